"""Runs a command that ends when its parent does, even if the parent is killed with -9: nothing is left behind.

The command is wrapped in a short Python program and not in a `preexec_fn`, which may deadlock in a process with
threads; Kafka clients have threads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tethered(command: Sequence[str], at_death: signal.Signals = signal.SIGKILL) -> list[str]:
    """`command`, wrapped so that it gets the signal `at_death` when the calling thread ends.

    Linux counts the thread that starts the process as its parent: call from a thread that lives long enough.
    Elsewhere than on Linux the command runs unwatched.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(at_death)), *command]


def main() -> None:
    """Ask the kernel for the signal, then become the command."""
    parent, at_death, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(at_death))
        if os.getppid() != int(parent):  # it died before we asked
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  no shell is wanted here


if __name__ == "__main__":
    main()
