"""The model bundle: one zip with `card.json` and `model.tflite`, read as a hostile file.

Nothing in it is executed and nothing is unpacked to disk; sizes are bounded before anything is read.
"""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.card import MAX_FLATBUFFER_BYTES, ModelCard
from schemas.errors import UserError, one_line

DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "default.zip"
MAX_CARD_BYTES = 256 * 1024
MAX_BUNDLE_BYTES = MAX_CARD_BYTES + MAX_FLATBUFFER_BYTES
_LIMITS = {"card.json": MAX_CARD_BYTES, "model.tflite": MAX_FLATBUFFER_BYTES}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A card and the flatbuffer that its checksum names. `origin` is for messages only."""

    card: ModelCard
    flatbuffer: bytes
    origin: str = "bundle"


def read_bundle(source: Path | bytes) -> Bundle:
    """Read and check a bundle from a file or from the value of a `models` record.

    Raises:
        UserError: not a zip, a part missing or too large, a card that does not validate, a wrong checksum.
    """
    origin = str(source) if isinstance(source, Path) else "model bundle"
    parts = _parts(source, origin)
    try:
        card = ModelCard.model_validate_json(parts["card.json"])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{origin}: card.json: {one_line(field)}: {one_line(first['msg'])}") from None
    flatbuffer = parts["model.tflite"]
    if hashlib.sha256(flatbuffer).hexdigest() != card.network.sha256:
        raise UserError(f"{origin}: model.tflite does not match the card's sha256; the bundle is damaged, get it anew")
    return Bundle(card, flatbuffer, origin)


def bundle_bytes(card: ModelCard, flatbuffer: bytes) -> bytes:
    """The bundle as bytes, the same for the same parts.

    Raises:
        ValueError: the card's checksum or size is not that of `flatbuffer`.
    """
    if (hashlib.sha256(flatbuffer).hexdigest(), len(flatbuffer)) != (card.network.sha256, card.network.size):
        raise ValueError("the card names another flatbuffer")
    parts = {"card.json": card.model_dump_json(indent=2).encode(), "model.tflite": flatbuffer}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            # A fixed date: a zip of the same parts must have the same bytes.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()


def _parts(source: Path | bytes, origin: str) -> dict[str, bytes]:
    size = len(source) if isinstance(source, bytes) else _file_size(source)
    if size > MAX_BUNDLE_BYTES:
        raise UserError(f"{origin}: {size} bytes, more than the {MAX_BUNDLE_BYTES} that a bundle may have")
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            return {name: _part(archive, name, origin) for name in _LIMITS}
    except UserError:
        raise
    except Exception as error:
        # Damage reaches any line of zipfile and zlib, and what they raise is nowhere listed: zlib.error alone came
        # from one damaged bundle in twenty.
        raise UserError(f"{origin}: not a model bundle ({one_line(error)})") from None


def _part(archive: zipfile.ZipFile, name: str, origin: str) -> bytes:
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise UserError(f"{origin}: not a model bundle (no {name} in it)") from None
    # What `bundle_bytes` and every zip tool write; bzip2 and LZMA would be two more parsers before strangers.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{origin}: not a model bundle ({name} is neither stored nor deflated)")
    # The directory may lie about the size, so reading is bounded as well.
    with archive.open(entry) as part:
        data = part.read(_LIMITS[name] + 1)
    if len(data) > _LIMITS[name]:
        raise UserError(f"{origin}: {name} is larger than {_LIMITS[name]} bytes")
    return data


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: cannot read the model bundle ({error.strerror})") from None
