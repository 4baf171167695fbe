"""A worker that dies, as from kill -9, right before or after a step of its Nth transaction.

python tests/support/crashing_worker.py before|after METHOD N     METHOD is one of KafkaProducer's
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer

from undertone.cli.main import main


def die_at(when: str, method: str, nth: int) -> None:
    """Patch the producer, so that call number `nth` of `method` is the process's last."""
    call: Callable[..., Any] = getattr(KafkaProducer, method)
    calls = 0

    def dying(self: KafkaProducer, *args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            os._exit(9)
        result = call(self, *args, **options)
        if calls == nth and when == "after":
            os._exit(9)
        return result

    setattr(KafkaProducer, method, dying)


if __name__ == "__main__":
    die_at(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.argv = ["undertone", "worker"]
    main()
