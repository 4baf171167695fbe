"""The client's side of AudioHook, as Genesys Cloud speaks it: for tests."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

ORGANIZATION = "d7934305-0972-4844-938e-9060eef73d05"
BOTH_SIDES = [["external", "internal"], ["external"], ["internal"]]


def offer(*channels: list[str], kind: str = "PCMU", rate: int = 8000) -> list[dict[str, Any]]:
    """The media of an `open`: one for each list of channels."""
    return [{"type": "audio", "format": kind, "channels": names, "rate": rate} for names in channels]


@dataclass
class Messages:
    """Writes a session's messages, with its numbers and its clock; `position` is in samples."""

    session: str = "30b0e395-84d3-4570-ac13-9a62d8f514c0"
    conversation: str = "090eaa2f-72fa-480a-83e0-8667ff89c0ec"
    position: int = 0
    seq: int = 0
    serverseq: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)

    def write(self, kind: str, **parameters: Any) -> str:
        """The next message."""
        self.seq += 1
        return json.dumps(
            {
                "version": "2",
                "id": self.session,
                "type": kind,
                "seq": self.seq,
                "serverseq": self.serverseq,
                "position": f"PT{self.position / 8000}S",
                "parameters": parameters,
            }
        )

    def open(self, media: list[dict[str, Any]] | None = None, **parameters: Any) -> str:
        """`open`, by default with both sides in it."""
        return self.write(
            "open",
            **{
                "organizationId": ORGANIZATION,
                "conversationId": self.conversation,
                "participant": {"id": self.session, "ani": "+4930123", "aniName": "A", "dnis": "+4930456"},
                "media": offer(*BOTH_SIDES) if media is None else media,
                "language": "en-US",
            }
            | parameters,
        )

    def skip(self, kind: str, count: int, start: int | None = None) -> str:
        """`discarded` or `resumed`: the clock goes on by `count` samples."""
        start = self.position if start is None else start
        self.position += count
        return self.write(kind, start=f"PT{start / 8000}S", discarded=f"PT{count / 8000}S")

    def read(self, text: str | bytes) -> dict[str, Any]:
        """An answer of the server's, in its order."""
        answer: dict[str, Any] = json.loads(text)
        assert answer["version"] == "2"
        assert answer["seq"] == self.serverseq + 1
        assert answer["clientseq"] <= self.seq
        self.serverseq = answer["seq"]
        self.answers.append(answer)
        return answer


def handshake_headers(session: str, key: str = "key", organization: str = ORGANIZATION) -> dict[str, str]:
    """The headers of a handshake that is not signed."""
    return {
        "Audiohook-Organization-Id": organization,
        "Audiohook-Session-Id": session,
        "Audiohook-Correlation-Id": "e160e428-53e2-487c-977d-96989bf5c99d",
        "X-API-KEY": key,
    }


def signed(
    headers: dict[str, str],
    secret: bytes,
    target: str,
    authority: str,
    *,
    created: float | None = None,
    nonce: str | None = None,
    leave_out: str = "",
) -> dict[str, str]:
    """The headers with a signature, made by hand and not by the library that checks it."""
    values = {"@request-target": target, "@authority": authority}
    values |= {name.lower(): value for name, value in headers.items()}
    values.pop(leave_out, None)
    names = " ".join(f'"{name}"' for name in values)
    made = int(time.time() if created is None else created)
    nonce = secrets.token_urlsafe(24) if nonce is None else nonce
    parameters = (
        f'({names});keyid="{headers["X-API-KEY"]}";nonce="{nonce}";alg="hmac-sha256";created={made};expires={made + 10}'
    )
    lines = [f'"{name}": {value}' for name, value in values.items()] + [f'"@signature-params": {parameters}']
    signature = base64.b64encode(hmac.digest(secret, "\n".join(lines).encode(), hashlib.sha256)).decode()
    return headers | {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{signature}:"}
