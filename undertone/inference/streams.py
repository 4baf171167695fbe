"""The stream table: one row of arrays per open stream, so that gathering a batch of streams is fancy indexing."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.gate import GateState
from undertone.inference import caller_memory
from undertone.inference.model_slots import ModelSlots
from undertone.inference.records import NO_END, NO_OFFSET, ROW, OpenRecord, StreamKey, lookback
from undertone.inference.routing import lot_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The fewest rows, and how many are made for one that is used when the table shrinks.
_SMALLEST, _SPARE = 64, 2
# A full table grows by so much of itself: rows that nobody has yet are a tenth of its memory at most, where doubling
# made them half. What is copied for it in all is eight times the table.
_GROWTH = 8
# Of carried samples room is made in steps: whatever chunks there are, the table is copied four times for them at most.
_SAMPLES_STEP = 500
_NOBODY = -1


class StreamTable:
    """Rows by partition and stream name.

    `state`, `logits`, `totals` and `heard` grow with the largest model in use, `samples` with the most that a stream
    has carried: chunks of whole blocks, as the producer's, leave nothing but the lookback.
    """

    def __init__(self, state_size: int, labels: int) -> None:
        capacity = _SMALLEST
        self.rows = np.zeros(capacity, ROW)
        self.samples = np.zeros((capacity, 0), np.int16)
        self.state = np.zeros((capacity, state_size), np.float32)
        self.logits = np.zeros((capacity, labels), np.float32)
        self.totals = np.zeros((capacity, labels), np.float64)  # log-probabilities times steps, of closed segments
        self.heard = np.zeros((capacity, labels), np.float64)  # evidence times steps, of the caller's memory
        self.model = np.zeros(capacity, np.int32)  # slot of the model that the row's numbers belong to
        self.partition = np.full(capacity, _NOBODY, np.int32)  # of free rows it is -1
        self.lot = np.zeros(capacity, np.float64)  # that the row's call has drawn
        self.names: list[str] = [""] * capacity
        self.topics: list[str | None] = [None] * capacity  # where the audio comes from, None without Kafka
        self._row_of: dict[StreamKey, int] = {}
        self._free = list(range(capacity - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, key: StreamKey) -> bool:
        return key in self._row_of

    def row(self, key: StreamKey) -> int | None:
        """The stream's row, or None."""
        return self._row_of.get(key)

    def key(self, row: int) -> StreamKey:
        """Whose row it is."""
        return int(self.partition[row]), self.names[row]

    def rows_of(self, partition: int) -> NDArray[np.intp]:
        """The rows of a partition's streams."""
        return np.flatnonzero(self.partition == partition)

    def idle(self, partition: int, before_ms: int) -> NDArray[np.intp]:
        """The rows of a partition's streams whose last chunk is older than `before_ms`."""
        return np.flatnonzero((self.partition == partition) & (self.rows["seen_ms"] < before_ms))

    def newest_ms(self, partition: int) -> int | None:
        """Event time of the newest chunk of a partition's streams, None where there is no stream."""
        seen = self.rows["seen_ms"][self.rows_of(partition)]
        return int(seen.max()) if seen.size else None

    def models(self) -> set[int]:
        """The slots of the models that rows refer to."""
        return set(np.unique(self.model[self.partition != _NOBODY]).tolist())

    def settings_slots(self, rows: NDArray[np.intp], models: ModelSlots) -> NDArray[np.int32]:
        """The slots of the models that cut the rows' sound: an utterance ends by the settings that it began with."""
        return np.where(self.rows["open"][rows], self.model[rows], models.slots_by(self.lot[rows]))

    def add(self, stream: str, partition: int, topic: str | None, rate: int, slot: int, gate: GateState) -> int:
        """A fresh row for a stream that is not in the table."""
        if not self._free:
            self._rebuild(np.arange(len(self.rows)), len(self.rows) + max(_SMALLEST, len(self.rows) // _GROWTH))
        self.make_room(lookback(rate))
        row = self._free.pop()
        for array in (self.samples, self.state, self.logits, self.totals, self.heard):
            array[row] = 0
        self.rows[row] = np.zeros((), ROW)
        self.rows[row]["rate"] = rate
        self.rows[row]["last_sample"] = NO_END
        self.rows[row]["floor"], self.rows[row]["since_speech"] = gate.floor[0], gate.since_speech[0]
        for name in ("stream_offset", "segment_offset", "held_offset", "last_offset"):
            self.rows[row][name] = NO_OFFSET
        self.names[row], self.topics[row], self._row_of[partition, stream] = stream, topic, row
        self.partition[row], self.model[row] = partition, slot
        self.lot[row] = lot_of(stream)
        return row

    def remove(self, row: int) -> None:
        """Give a row back."""
        del self._row_of[self.key(row)]
        self.names[row], self.topics[row], self.partition[row] = "", None, _NOBODY
        self._free.append(row)

    def shrink(self) -> None:
        """Give memory back where most rows are free. Rows move: call it when nobody holds one."""
        wanted = max(_SMALLEST, _SPARE * len(self))
        if len(self.rows) >= 4 * wanted:
            self._rebuild(np.flatnonzero(self.partition != _NOBODY), wanted)

    def widen(self, **widths: int) -> None:
        """Make room for a larger `state`, or for more labels; rows stay."""
        for name, width in widths.items():
            old = getattr(self, name)
            if width > old.shape[1]:
                setattr(self, name, np.zeros((len(old), width), old.dtype))
                getattr(self, name)[:, : old.shape[1]] = old

    def make_room(self, samples: int) -> None:
        """Let every row carry so many samples, lookback included."""
        self.widen(samples=-(-samples // _SAMPLES_STEP) * _SAMPLES_STEP)

    def carry(self, rows: NDArray[np.intp], samples: NDArray[np.int16]) -> None:
        """Have the rows carry `samples` [n, width] from now on; how many of them count is in `held`."""
        self.make_room(samples.shape[1])
        self.samples[rows, : samples.shape[1]] = samples

    def carried(self, row: int) -> NDArray[np.int16]:
        """The samples that a row carries: its lookback and what is held beyond the last whole block."""
        return self.samples[row, : lookback(int(self.rows[row]["rate"])) + int(self.rows[row]["held"])]

    def record(self, row: int, version: str, state_size: int, labels: int) -> OpenRecord:
        """The row as a record: between segments the network has no state."""
        return OpenRecord(
            version,
            self.rows[row],
            self.carried(row),
            self.state[row, : state_size if self.rows[row]["open"] else 0],
            self.logits[row, :labels],
            self.totals[row, :labels],
            self.heard[row, :labels],
        )

    def idle_record(self, row: int, version: str, labels: int) -> OpenRecord:
        """What a stream that is closed for being idle goes on with: its row and its sums, and nothing that it heard."""
        nothing = np.empty(0, np.float32)
        return OpenRecord(
            version,
            self.rows[row].copy(),
            np.empty(0, np.int16),
            nothing,
            nothing,
            self.totals[row, :labels].copy(),
            self.heard[row, :labels].copy(),
        )

    def unpack(
        self, stream: str, partition: int, topic: str | None, record: OpenRecord, slot: int, *, same_model: bool
    ) -> int:
        """Put a record back into a row. With another model its open segment begins again, and its sums are lost."""
        row = self.add(stream, partition, topic, int(record.row["rate"]), slot, _no_gate())
        self.rows[row] = record.row
        self.carry(np.array([row]), record.samples[None])
        if same_model:
            self.state[row, : record.state.size] = record.state
            self.logits[row, : record.logits.size] = record.logits
            self.totals[row, : record.totals.size] = record.totals
            self.heard[row, : record.heard.size] = record.heard
        else:
            self.rows[row]["open"] = False
            self.rows[row]["total_steps"] = 0
            caller_memory.forget_model(self.rows[row])
        return row

    def _rebuild(self, kept: NDArray[np.intp], capacity: int) -> None:
        """Lay the rows `kept`, in this order, at the front of arrays of `capacity` rows."""
        for name in ("rows", "samples", "state", "logits", "totals", "heard", "model", "partition", "lot"):
            old = getattr(self, name)
            shape = (capacity, *old.shape[1:])
            new = np.full(shape, _NOBODY, old.dtype) if name == "partition" else np.zeros(shape, old.dtype)
            np.take(old, kept, axis=0, out=new[: kept.size], mode="clip")  # "raise" would copy it once more
            setattr(self, name, new)
        spare = capacity - kept.size
        self.names = [self.names[row] for row in kept] + [""] * spare
        self.topics = [self.topics[row] for row in kept] + [None] * spare
        self._row_of = {self.key(row): row for row, name in enumerate(self.names) if name}
        self._free = np.flatnonzero(self.partition == _NOBODY)[::-1].tolist()


def start_time(start_us: int) -> datetime:
    """The moment of a stream's first sample, UTC."""
    return EPOCH + timedelta(microseconds=int(start_us))


def _no_gate() -> GateState:
    return GateState(np.zeros(1, np.int32), np.zeros(1, np.int32))
