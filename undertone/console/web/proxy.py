"""Who somebody is by what a proxy says that has logged them in, as oauth2-proxy does: a header, where one is named."""

import ipaddress

from starlette.requests import HTTPConnection

from undertone.console.web.roles import Person, Role
from undertone.console.web.settings import ConsoleSettings

# The longest `labelled_by` of a label.
_NAME = 128


class Proxy:
    """Reads headers of requests that come from the proxy's own address; to all others they are nothing."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._user_header = settings.user_header
        self._groups_header = settings.groups_header
        self._groups = settings.groups
        self._role = Role.__members__.get(settings.user_role.upper())
        self._networks = settings.proxy_addresses

    def who(self, request: HTTPConnection) -> Person | None:
        """Who asks, as the proxy has it; None where no header is named, or the request is not from the proxy."""
        if not self._user_header or not self._is_proxy(request.client.host if request.client else ""):
            return None
        name = printable(_said(request, self._user_header))
        role = self._role_of(request)
        return Person(role, name) if name and role else None

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._networks)

    def _role_of(self, request: HTTPConnection) -> Role | None:
        """The greatest role of somebody's groups and of what everybody has; None where there is none."""
        groups = _said(request, self._groups_header).split(",") if self._groups_header else []
        found = [self._groups[group.strip()] for group in groups if group.strip() in self._groups]
        return max([*found, *([self._role] if self._role else [])], default=None)


def _said(request: HTTPConnection, header: str) -> str:
    """What a header says. Who has it twice sent one of them: a proxy replaces it, and does not add another."""
    values = request.headers.getlist(header)
    if len(values) != 1:
        return ""
    # Headers are read as Latin-1; names are sent as UTF-8.
    return values[0].encode("latin-1").decode(errors="replace")


def printable(text: str) -> str:
    """What a line of the log, or a label, can hold."""
    return "".join(filter(str.isprintable, text)).strip()[:_NAME]
