"""Header names that are no UTF-8, which any client may write and the broker takes.

kafka-python raises for them in `poll` and, polled again, spins for ever; restarted, it meets the same record. One such
record would end every worker of its partition. Here its name gets replacement characters instead, and the record goes
the way of all others.
"""

from typing import Any, SupportsIndex

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


def accept_any_header_name() -> None:
    """Let every consumer of this process read such records."""
    memory_records.DefaultRecordBatch = _LenientBatch


class _LenientBatch(DefaultRecordBatch):
    """Reads strictly, as it is quicker, and the one record that cannot be read so once more."""

    _buffer: Any

    def _read_msg(self, *args: Any) -> Any:
        try:
            return super()._read_msg(*args)
        except UnicodeDecodeError:
            strict, self._buffer = self._buffer, _LenientBuffer(self._buffer)
            try:
                return super()._read_msg(*args)
            finally:
                self._buffer = strict


class _LenientBuffer(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found: Any = super().__getitem__(key)
        return _LenientBytes(found) if isinstance(key, slice) else found


class _LenientBytes(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
