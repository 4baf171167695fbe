"""When a call begins: by this machine's clock, and after every earlier call of its name that Kafka still shows.

A chunk that bears the name of a stream and an earlier start is taken for a late one of an older stream, and refused. A
producer that comes back after its clock was set back would have its whole call refused. So it looks at what it, or
another, wrote last, and begins after that.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import AuthorizationError

from schemas.audio import AudioChunk
from schemas.dead_letters import Rejected
from schemas.errors import UserError
from undertone.messaging.clients import reader
from undertone.messaging.reading import UnfinishedRead, end_offsets, partitions_of, read_until
from undertone.messaging.settings import KafkaSettings

# The newest chunks of the topic, 16 MB of them at most times: a second of a thousand calls, minutes of a few.
_LOOK_AT = 2000
_PATIENCE_S = 10.0
# Beyond this the times of the call's events would be no times any more.
_FARTHEST = timedelta(hours=1)
_WORTH_SAYING = timedelta(seconds=1)
# LogAppendTime: the broker's own clock.
_BY_BROKER = 1


@dataclass(slots=True)
class StartTimes:
    """Gives calls their start times. `by_call` holds the latest start in Kafka, `written` when its newest chunk came.

    `say` gets a line where a call does not begin when this machine's clock says.
    """

    say: Callable[[str], None]
    by_call: dict[str, datetime] = field(default_factory=dict)
    written: datetime | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def of(
        cls, settings: KafkaSettings, topic: str, call_ids: Collection[str] | None, say: Callable[[str], None]
    ) -> Self:
        """Look at the newest chunks of `topic`, for those of `call_ids`; None: for those of all calls."""
        times = cls(say)
        try:
            times.learn(_newest(settings, topic), None if call_ids is None else set(call_ids))
        except AuthorizationError:
            say(f"{topic} may not be read: whether an earlier call of this name began later is not known")
        except UnfinishedRead:
            say(f"{topic} was not read within {_PATIENCE_S:.0f} s: whether an earlier call began later is not known")
        return times

    def learn(self, records: Iterable[ConsumerRecord], call_ids: Collection[str] | None) -> None:
        """Note when the calls of `call_ids` (None: all) among `records` began, and when the newest was written."""
        for record in records:
            if record.timestamp_type == _BY_BROKER:
                came = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                self.written = max(came, self.written or came)
            call_id = (record.key or b"").decode(errors="replace").partition("/")[0]
            if call_ids is not None and call_id not in call_ids:
                continue
            try:
                chunk = AudioChunk.from_record(record.key, record.value, record.headers)
            except Rejected:
                continue  # a worker refuses it too: it began no stream
            self.by_call[chunk.call_id] = max(chunk.start_time, self.by_call.get(chunk.call_id, chunk.start_time))

    def begin(self, call_ids: Sequence[str]) -> datetime:
        """The moment at which `call_ids` begin.

        Raises:
            UserError: an earlier call of such a name began more than an hour ahead of now.
        """
        now = self.now()
        name, latest = max(
            ((call_id, self.by_call[call_id]) for call_id in call_ids if call_id in self.by_call),
            key=lambda item: item[1],
            default=("", now),
        )
        known = max(now, self.written or now)
        if latest - known > _FARTHEST:
            raise UserError(
                f"call {name} began in Kafka at {latest:%Y-%m-%d %H:%M:%S} UTC, {_ahead(latest - known)} ahead of the"
                " clock, so that this one would be refused: set the clock right, or take another --call-id"
            )
        start = max(known, latest + timedelta(milliseconds=1)) if name else known
        if start - now >= _WORTH_SAYING:
            self.say(
                f"this machine's clock is {_ahead(start - now)} behind what is in Kafka: call {call_ids[0]} begins at"
                f" {start:%Y-%m-%d %H:%M:%S} UTC"
            )
        return start


def _newest(settings: KafkaSettings, topic: str) -> Iterable[ConsumerRecord]:
    # Uncommitted ones too: nobody must wait here for a transaction that somebody else has left open.
    with closing(reader(settings, isolation_level="read_uncommitted")) as consumer:
        partitions = partitions_of(consumer, topic)
        consumer.assign(partitions)
        ends = end_offsets(settings, partitions)
        for partition, first in consumer.beginning_offsets(partitions).items():
            consumer.seek(partition, max(first, ends[partition] - _LOOK_AT // len(partitions)))
        give_up = time.monotonic() + _PATIENCE_S
        yield from read_until(consumer, ends, lambda: time.monotonic() > give_up)


def _ahead(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"{seconds:.0f} s" if seconds < 7200 else f"{seconds / 3600:.0f} h"
