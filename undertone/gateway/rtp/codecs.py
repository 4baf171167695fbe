"""Payload types (RFC 3551) and their decoders: G.711, G.722, L16; comfort noise and telephone events are time only.

A payload's timestamps count at `clock_rate`, its samples come at `rate`. They differ for G.722 alone, whose clock is
8 kHz by an old mistake that RFC 3551 keeps.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from schemas.errors import MissingExtra, UserError, one_line
from undertone.acoustics.codecs import decode
from undertone.acoustics.resample import HIGHEST_RATE, LOWEST_RATE
from undertone.gateway.refusals import MalformedMessage

_MAX_CHANNELS = 2
_SETTING = re.compile(r"(\d{1,3})=([A-Za-z0-9-]+)/(\d{1,6})(?:/(\d))?")


class Format(StrEnum):
    """Names of payloads as SDP writes them (a=rtpmap)."""

    PCMU = "PCMU"
    PCMA = "PCMA"
    G722 = "G722"
    L16 = "L16"
    CN = "CN"
    TELEPHONE_EVENT = "telephone-event"


@dataclass(frozen=True, slots=True)
class PayloadType:
    """What a payload type's number stands for."""

    format: Format
    clock_rate: int
    channels: int = 1

    @property
    def is_audio(self) -> bool:
        """Whether its packets hold samples; of the others only the time counts."""
        return self.format not in (Format.CN, Format.TELEPHONE_EVENT)

    @property
    def rate(self) -> int:
        """Samples per second and channel."""
        return 2 * self.clock_rate if self.format is Format.G722 else self.clock_rate

    @property
    def encoding(self) -> Encoding:
        """How its samples come, and go to Kafka: G.711 as it is, so that nothing is lost on the way."""
        return {Format.PCMU: Encoding.PCMU, Format.PCMA: Encoding.PCMA}.get(self.format, Encoding.L16)

    def goes_on(self, before: "PayloadType") -> bool:
        """Whether a stream of the type `before` can hold its samples."""
        return (self.rate, self.channels, self.encoding) == (before.rate, before.channels, before.encoding)


STATIC: Mapping[int, PayloadType] = {
    0: PayloadType(Format.PCMU, 8000),
    8: PayloadType(Format.PCMA, 8000),
    9: PayloadType(Format.G722, 8000),
    10: PayloadType(Format.L16, 44100, 2),
    11: PayloadType(Format.L16, 44100),
    13: PayloadType(Format.CN, 8000),
    # No static type, but the number that nearly everybody gives it.
    101: PayloadType(Format.TELEPHONE_EVENT, 8000),
}


def payload_types(setting: str) -> dict[int, PayloadType]:
    """All payload types: the static ones, and those of a setting like `96=L16/16000/1,97=...`, as in SDP's a=rtpmap.

    G.722 is unknown where PyAV, which decodes it, is not installed.

    Raises:
        UserError: a setting that cannot be read, or a format that there is no decoder for.
    """
    given = dict(_payload_type(text) for text in setting.split(",") if text.strip())
    if find_spec("av"):
        return {**STATIC, **given}
    if any(payload_type.format is Format.G722 for payload_type in given.values()):
        raise MissingExtra("G.722 over RTP", "gateway")
    return {**{number: kind for number, kind in STATIC.items() if kind.format is not Format.G722}, **given}


def _payload_type(text: str) -> tuple[int, PayloadType]:
    match = _SETTING.fullmatch(text.strip())
    formats = {form.lower(): form for form in Format}
    if match is None or (form := formats.get(match[2].lower())) is None:
        raise UserError(
            f"--rtp-payload {one_line(text, 80)}: want NUMBER=FORMAT/RATE[/CHANNELS], FORMAT {', '.join(Format)}"
        )
    number, rate, channels = int(match[1]), int(match[3]), int(match[4] or 1)
    if number > 127 or 64 <= number < 96:
        raise UserError(f"--rtp-payload {text}: payload types are 0 to 63 and 96 to 127")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= _MAX_CHANNELS:
        raise UserError(f"--rtp-payload {text}: want {LOWEST_RATE} to {HIGHEST_RATE} Hz, 1 or 2 channels")
    if form is not Format.L16 and (channels > 1 or (form is Format.G722 and rate != 8000)):
        raise UserError(f"--rtp-payload {text}: {form} has one channel" + " and clock 8000" * (form is Format.G722))
    return number, PayloadType(form, rate, channels)


class Decoder(Protocol):
    """Payloads of one stream to samples."""

    def __call__(self, payload: bytes) -> NDArray[np.int16]:
        """Samples of a payload: int16 [n, channels].

        Raises:
            MalformedMessage: a payload that ends within a sample.
        """


def decoder(payload_type: PayloadType) -> Decoder:
    """A new decoder; G.722 needs PyAV."""
    if payload_type.format is Format.G722:
        return _g722()
    return _Pcm(payload_type)


class _Pcm:
    def __init__(self, payload_type: PayloadType) -> None:
        self._channels = payload_type.channels
        self._encoding = payload_type.encoding
        self._width = payload_type.channels * payload_type.encoding.sample_bytes

    def __call__(self, payload: bytes) -> NDArray[np.int16]:
        if len(payload) % self._width:
            raise MalformedMessage(f"{len(payload)} bytes of payload end within a sample")
        return decode(payload, self._encoding).reshape(-1, self._channels)


def _g722() -> Decoder:
    import av  # noqa: PLC0415  only who hears G.722 needs it

    # Its state goes on through losses, as a phone's does: it finds back within some milliseconds.
    context = av.AudioCodecContext.create("g722", "r")

    def samples(payload: bytes) -> NDArray[np.int16]:
        if not payload:
            return np.empty((0, 1), np.int16)
        try:
            frames = context.decode(av.Packet(payload))
        except av.FFmpegError as error:
            raise MalformedMessage(f"no G.722: {error}") from error
        return np.concatenate([frame.to_ndarray().reshape(-1, 1) for frame in frames])

    return samples
