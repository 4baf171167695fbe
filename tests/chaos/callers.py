"""Telephone calls of a disturbed run, which come by the gateway: AudioSocket, in real time, a few in each round.

What the gateway makes of a call that breaks off depends on the moment, so such a call is judged by what lies in
`call-audio`. One that nothing has happened to must lie there to the sample.
"""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from schemas.audio import AudioChunk
from tests.chaos.plan import voices
from tests.support.gateway import KINDS, AudioSocketClient, heard
from undertone.gateway.audiosocket_messages import Kind

_MESSAGE_MS = 100
_LONGEST_S, _SHORTEST_S = 9.0, 4.0
# A gateway that was killed is back within a few seconds, at a load of 10 within ten times as many.
_RING_S = 60.0
_END_S = 60.0


@dataclass
class Call:
    """One call: what was said, and whether it came through as a whole."""

    id: UUID
    rate: int
    samples: NDArray[np.int16]
    whole: bool = False
    cut: threading.Event = field(default_factory=threading.Event)

    @property
    def stream(self) -> str:
        """Its stream's name."""
        return f"{self.id}/customer"


class Callers:
    """People who call the gateway at `address`; `ring` lets some begin, `hang_up` waits until all have ended."""

    def __init__(self, address: tuple[str, int], seed: int) -> None:
        self.calls: list[Call] = []
        self._address = address
        self._choose = random.Random(f"{seed} callers")
        self._threads: list[threading.Thread] = []

    def ring(self, count: int) -> None:
        """Let `count` calls begin."""
        for _ in range(count):
            rate = self._choose.choice((8000, 16_000))
            voice = self._choose.choice(voices(rate))
            size = round(self._choose.uniform(_SHORTEST_S, _LONGEST_S) * rate)
            samples = np.resize(np.roll(voice, self._choose.randrange(len(voice))), size)
            call = Call(UUID(int=self._choose.getrandbits(128), version=4), rate, samples)
            self.calls.append(call)
            self._threads.append(threading.Thread(target=self._speak, args=[call], daemon=True))
            self._threads[-1].start()

    def cut(self) -> None:
        """Let every connection break; who speaks calls again at once, as the same call."""
        for call in self.calls:
            call.cut.set()

    def hang_up(self) -> None:
        """Wait until every call has ended, one way or the other."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _speak(self, call: Call) -> None:
        # A connection that breaks, or is refused in the middle, is the end of a call: so it is in telephone systems.
        with suppress(OSError):
            client, resumed = self._connect(call), False
            step, start = call.rate * _MESSAGE_MS // 1000, time.monotonic()
            for number, first in enumerate(range(0, len(call.samples), step)):
                time.sleep(max(0.0, start + number * _MESSAGE_MS / 1000 - time.monotonic()))
                if call.cut.is_set() and not resumed:
                    client.cut()
                    client, resumed = AudioSocketClient(self._address, call.id), True
                client.send(KINDS[call.rate], call.samples[first : first + step].astype("<i2").tobytes())
            client.send(Kind.END)
            client.socket.settimeout(_END_S)
            call.whole = client.answer() == [] and not resumed

    def _connect(self, call: Call) -> AudioSocketClient:
        end = time.monotonic() + _RING_S
        while True:
            try:
                return AudioSocketClient(self._address, call.id)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.3)


def wrong_calls(calls: Sequence[Call], streams: Mapping[str, Sequence[AudioChunk]]) -> list[str]:
    """What is wrong with what the gateway has written, a sentence each."""
    found = []
    for call in calls:
        chunks = streams.get(call.stream, ())
        if [chunk.sequence for chunk in chunks] != list(range(len(chunks))):
            found.append(f"call {call.id}: its chunks are not each there once, in their order")
        elif call.whole and not _is_all(call, chunks):
            found.append(f"call {call.id}: not every sample of it lies in Kafka")
    return found


def _is_all(call: Call, chunks: Sequence[AudioChunk]) -> bool:
    return bool(chunks) and chunks[-1].end_of_stream and np.array_equal(heard(chunks), call.samples)
