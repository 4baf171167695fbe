"""What a call is called: from the key that a wire has (a UUID, a port, its own id) to call id, channel and role."""

import asyncio
import csv
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator

from schemas.audio import CallId, Channel, Role
from schemas.errors import UserError, one_line
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.rtp.srtp import SrtpKey

_COLUMNS = {"key", "call_id", "channel", "role", "srtp"}
# What a service may answer: a name is a hundred bytes.
_MAX_ANSWER = 10_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallName:
    """One stream's name, and who speaks on it."""

    call_id: str
    channel: str = "customer"
    role: Role = Role.CUSTOMER
    srtp: SrtpKey | None = field(default=None, repr=False, compare=False)
    """What its RTP is encrypted with."""


class _Row(BaseModel):
    # An error's text goes to the log, and a value may be a key.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    call_id: CallId
    role: Role = Role.CUSTOMER
    channel: Channel | None = None
    srtp: SecretStr | None = None

    @field_validator("srtp")
    @classmethod
    def _is_key(cls, text: SecretStr | None) -> SecretStr | None:
        if text is not None:
            SrtpKey(text)
        return text

    def name(self) -> CallName:
        srtp = SrtpKey(self.srtp) if self.srtp else None
        return CallName(self.call_id, self.channel or self.role.value, self.role, srtp)


class CallNames(Protocol):
    """Who knows the names of calls."""

    async def lookup(self, key: str) -> CallName | None:
        """The name of the stream with this key; None where nobody knows it.

        Raises:
            Refused: it cannot be told now.
        """


class WireNames:
    """Without --calls: the wire's own id is the call's, and a customer speaks."""

    async def lookup(self, key: str) -> CallName | None:
        """Always a name."""
        return CallName(key)


class FileNames:
    """A CSV file with the columns key,call_id and perhaps channel,role,srtp. Read when it changes.

    Raises:
        UserError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._names: dict[str, CallName] = {}
        self._read()

    async def lookup(self, key: str) -> CallName | None:
        """The name in the file as it is now; where it cannot be read any more, as it was."""
        try:
            await asyncio.to_thread(self._read)
        except UserError as error:
            _log.error("%s; the names that were there before still hold", error)
        return self._names.get(key.lower())

    def _read(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._seen = seen
            text = self._path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--calls {self._path}: cannot be read ({error})") from error
        self._names = _parse(self._path, text)


def _parse(path: Path, text: str) -> dict[str, CallName]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = {(name or "").strip().lower() for name in rows.fieldnames or ()}
    if not {"key", "call_id"} <= columns or columns - _COLUMNS:
        raise UserError(f"--calls {path}: want the columns key,call_id,channel,role,srtp in its first line")
    names: dict[str, CallName] = {}
    for row in rows:
        fields = {name.strip().lower(): value.strip() for name, value in row.items() if name and value}
        key = fields.pop("key", "").lower()
        try:
            name = _Row.model_validate(fields).name()
        except ValidationError as error:
            first = error.errors(include_context=False)[0]
            raise UserError(f"--calls {path}: line {rows.line_num}: {first['loc'][0]}: {first['msg']}") from error
        if not key or key in names:
            raise UserError(f"--calls {path}: line {rows.line_num}: {'the key is there before' if key else 'no key'}")
        names[key] = name
    return names


class UrlNames:
    """A service that names calls: GET URL?key=... answers {"call_id", "channel", "role"}, or 404."""

    def __init__(self, url: str, timeout_s: float) -> None:
        import httpx  # noqa: PLC0415  only who asks for it needs the package

        self._url = url
        self._client = httpx.AsyncClient(timeout=timeout_s)

    async def lookup(self, key: str) -> CallName | None:
        """The name that the service gives."""
        import httpx  # noqa: PLC0415

        try:
            answer = await self._client.get(self._url, params={"key": key})
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            return _Row.model_validate_json(answer.content[:_MAX_ANSWER]).name()
        except (httpx.HTTPError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            _log.error("--calls %s does not name %s: %s", self._url, one_line(key, 80), one_line(error))
            raise Refused(Refusal.UNKNOWN_CALL, "who names calls does not answer as it should") from error


def call_names(source: str | None, timeout_s: float) -> CallNames:
    """What `--calls` names: a file, a URL, or nothing.

    Raises:
        UserError: a file that cannot be read.
    """
    if source is None:
        return WireNames()
    return UrlNames(source, timeout_s) if source.startswith(("http://", "https://")) else FileNames(Path(source))
