"""How a port's call is called: by `--calls`, whose keys are ports, or by port and source."""

from collections.abc import Sequence
from dataclasses import replace

from schemas.streams import voices
from undertone.gateway.names import CallName, CallNames, WireNames
from undertone.gateway.refusals import Refusal, Refused


async def names_of(names: CallNames, port: int, ssrc: int, channels: int) -> list[CallName]:
    """A name for each channel. In stereo those of the keys PORT/1 and PORT/2, where both are there.

    Raises:
        Refused: `--calls` does not know the port, or cannot tell.
    """
    if isinstance(names, WireNames):
        return sides([CallName(f"rtp-{port}-{ssrc}")], channels)
    if channels > 1:
        found = [await names.lookup(f"{port}/{number}") for number in range(1, channels + 1)]
        known = [name for name in found if name is not None]
        if len(known) == channels:
            return known
    name = await names.lookup(str(port))
    if name is None:
        raise Refused(Refusal.UNKNOWN_CALL, f"port {port} is not in --calls")
    return sides([name], channels)


def sides(names: Sequence[CallName], channels: int) -> list[CallName]:
    """As many names as `channels`: of one name in stereo, the agent is left and the customer right."""
    if channels <= len(names):
        return list(names[:channels])
    return [replace(names[0], channel=voice.channel, role=voice.role) for voice in voices(None, channels)]
