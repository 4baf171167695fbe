"""A worker whose model is slow as long as a file is there.

python -m tests.chaos.slow_worker FILE SECONDS     each run of the network takes SECONDS longer
"""

import sys
import time
from pathlib import Path
from typing import Any

from undertone.cli.main import main
from undertone.inference.runtime import Runtime


def slow_down(flag: Path, seconds: float) -> None:
    """Patch the runtime."""
    run = Runtime.run

    def slowly(self: Runtime, *args: Any) -> Any:
        if flag.exists():
            time.sleep(seconds)
        return run(self, *args)

    Runtime.run = slowly  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    slow_down(Path(sys.argv[1]), float(sys.argv[2]))
    sys.argv = ["undertone", "worker"]
    main()
