"""Call audio that comes in by wire: telephony's own protocols to chunks on `call-audio`."""
