"""Write the dashboards."""

from pathlib import Path

from scripts.dashboards.written import FIGURES, FOLDER, figures, written


def main() -> None:
    """Write each dashboard and the console's figures, and take away what is no dashboard any more."""
    files = written()
    for old in set(FOLDER.glob("*.json")) - {FOLDER / name for name in files}:
        old.unlink()
    for name, text in files.items():
        Path(FOLDER / name).write_text(text)
    FIGURES.write_text(figures())


if __name__ == "__main__":
    main()
