"""Call audio as RTP (RFC 3550): packets, their order, their codecs, and the reports that go back."""
