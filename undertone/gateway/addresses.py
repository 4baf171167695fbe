"""Addresses to listen on, as people write them: `127.0.0.1:9019`, `[::1]:9019`, `0.0.0.0:10000-10999`."""

import ipaddress
import re
from dataclasses import dataclass

from schemas.errors import UserError

_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^\[\]:\s]+)):(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port, or with `last` the ports from `port` to `last`."""

    host: str
    port: int
    last: int | None = None

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it; a name other than localhost counts as reachable."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        ports = str(self.port) if self.last is None else f"{self.port}-{self.last}"
        return f"[{self.host}]:{ports}" if ":" in self.host else f"{self.host}:{ports}"


def parse_address(option: str, text: str, *, ports: bool = False) -> Address:
    """Read `HOST:PORT`, or `HOST:FIRST-LAST` where `ports` are asked for; port 0 takes a free one.

    Raises:
        UserError: it is neither.
    """
    match = _ADDRESS.fullmatch(text.strip())
    want = "HOST:FIRST-LAST" if ports else "HOST:PORT"
    if not match or (match["last"] is not None) != ports:
        raise UserError(f"{option} {text}: want {want}, as in 127.0.0.1:{'10000-10999' if ports else '9019'}")
    first, last = int(match["first"]), int(match["last"]) if match["last"] else None
    if max(first, last or 0) > 65535 or (last is not None and not 0 < first <= last):
        raise UserError(f"{option} {text}: ports go up to 65535, the first before the last")
    return Address(match["six"] or match["host"], first, last)
