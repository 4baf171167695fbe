"""Write the dashboards."""

from pathlib import Path

from scripts.dashboards.written import FOLDER, written


def main() -> None:
    """Write each dashboard, and take away what is none any more."""
    files = written()
    for old in set(FOLDER.glob("*.json")) - {FOLDER / name for name in files}:
        old.unlink()
    for name, text in files.items():
        Path(FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
