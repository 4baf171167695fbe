"""What things cost, measured: `python -m benchmarks.NAME`, and `--help` says what each takes."""

import sys

from schemas.errors import UserError
from undertone.cli.extras import require


def needs(extra: str, *modules: str) -> None:
    """End with one line where a benchmark's packages are not installed."""
    try:
        require(extra, f"this benchmark needs {' and '.join(modules)}", *modules)
    except UserError as error:
        sys.exit(str(error))
