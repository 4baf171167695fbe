"""How a port's call is called."""

import asyncio
from pathlib import Path

import pytest

from schemas.audio import Role
from schemas.errors import UserError
from undertone.gateway.names import CallNames, FileNames, WireNames
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.rtp.naming import names_of, sides


def named(names: CallNames, port: int, channels: int = 1) -> list[tuple[str, str, Role]]:
    found = asyncio.run(names_of(names, port, 0xDEADBEEF, channels))
    return [(name.call_id, name.channel, name.role) for name in found]


def test_without_a_file_port_and_source_are_the_name() -> None:
    assert named(WireNames(), 10_000) == [("rtp-10000-3735928559", "customer", Role.CUSTOMER)]
    assert [channel for _, channel, _ in named(WireNames(), 10_000, 2)] == ["agent", "customer"]


def test_a_file_names_ports_and_the_sides_of_stereo(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(
        "key,call_id,channel,role,srtp\n10000,A,,agent,\n10002,B,,,\n10004/1,C,left,customer,\n10004/2,C,right,agent,\n"
        "10006,D,,,inline:dGhpcnR5IGJ5dGVzIG9mIGtleSBhbmQgc2FsdCEh\n"
    )
    names = FileNames(path)
    assert named(names, 10_000) == [("A", "agent", Role.AGENT)]
    assert named(names, 10_002, 2) == [("B", "agent", Role.AGENT), ("B", "customer", Role.CUSTOMER)]
    assert named(names, 10_004, 2) == [("C", "left", Role.CUSTOMER), ("C", "right", Role.AGENT)]
    (secret,) = asyncio.run(names_of(names, 10_006, 1, 1))
    assert secret.srtp is not None
    assert secret.srtp.key == b"thirty bytes of key and salt!!"
    assert "srtp" not in repr(secret)
    # Both sides of a stereo source come under one key, and a codec in mono takes the first.
    assert all(side.srtp is secret.srtp for side in sides([secret], 2))
    with pytest.raises(Refused) as refused:
        named(names, 10_008)
    assert refused.value.reason is Refusal.UNKNOWN_CALL


def test_a_key_that_is_none_is_told_with_its_line_and_without_its_text(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("key,call_id,srtp\n10000,A,inline:c2VjcmV0\n")
    with pytest.raises(UserError, match=r"line 2: srtp: .*6 bytes of key and salt") as raised:
        FileNames(path)
    assert "c2VjcmV0" not in str(raised.value)
