"""A service that is asked to stop does, wherever its main thread stands at that moment."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from undertone.signals import from_handler

# Where a main thread stands for a moment whenever it waits for an event, as the services do again and again.
_WAITS = """
import threading, time
from undertone.signals import stop_on_signals
event = threading.Event()
with event._cond:
    stop_on_signals(event.set)
    print("holds the lock", flush=True)
    time.sleep(1)
event.wait()
print("stopped")
"""


def test_a_signal_while_the_event_s_lock_is_held_stops_the_service_all_the_same() -> None:
    with subprocess.Popen([sys.executable, "-c", _WAITS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "holds the lock\n"
        process.send_signal(signal.SIGTERM)
        try:
            assert process.communicate(timeout=60) == ("stopped\n", None)
            assert process.returncode == 0
        finally:
            process.kill()


def test_every_ask_is_done_outside_the_handler() -> None:
    done = threading.Semaphore(0)
    threads = set()

    def call() -> None:
        threads.add(threading.current_thread())
        done.release()

    ask = from_handler(call)
    before = signal.signal(signal.SIGUSR1, lambda *_: ask())
    try:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert done.acquire(timeout=60)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(threads) == 1
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_the_process_ends_at_once(number: signal.Signals) -> None:
    code = (
        "import time; from undertone.signals import stop_on_signals\n"
        "stop_on_signals(lambda: print('asked', flush=True)); print('ready', flush=True)\n"
        "while True: time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        # The handler takes itself away after it has asked.
        while process.poll() is None:
            process.send_signal(number)
            time.sleep(0.05)
        assert process.returncode == -number
