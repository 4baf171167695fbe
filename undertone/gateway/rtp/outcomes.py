"""What becomes of RTP packets."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of packets: labels of `undertone_gateway_rtp_packets_total`."""

    TAKEN = "taken"
    LOST = "lost"
    LATE = "late"
    REPEATED = "repeated"
    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    UNAUTHENTIC = "unauthentic"
    NOT_ALLOWED = "not_allowed"
    OTHER_SOURCE = "other_source"
    REFUSED = "refused"
    TOO_MANY = "too_many"
