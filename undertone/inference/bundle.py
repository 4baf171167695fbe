"""The model bundle: one zip with `card.json`, `model.tflite`, `filter_bank.f32` and perhaps a `signature`, read as a
hostile file.

Nothing in it is executed and nothing is unpacked to disk; sizes are bounded before anything is read.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.card import MAX_FILTER_BANK_BYTES, MAX_FLATBUFFER_BYTES, FilterBankSpec, ModelCard, NetworkSpec
from schemas.errors import UserError, one_line
from undertone.acoustics.spectrum import BINS, mel_bands

DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "default.zip"
# By the names that stand for them wherever a bundle's file is asked for; `open` may be used commercially.
SHIPPED = {"default": DEFAULT_BUNDLE, "open": DEFAULT_BUNDLE.with_name("open.zip")}
MAX_CARD_BYTES = 256 * 1024
SIGNATURE_BYTES = 64  # Ed25519
MAX_BUNDLE_BYTES = MAX_CARD_BYTES + MAX_FLATBUFFER_BYTES + MAX_FILTER_BANK_BYTES + SIGNATURE_BYTES
CARD, NETWORK, FILTERS, SIGNATURE = "card.json", "model.tflite", "filter_bank.f32", "signature"
_LIMITS = {
    CARD: MAX_CARD_BYTES,
    NETWORK: MAX_FLATBUFFER_BYTES,
    FILTERS: MAX_FILTER_BANK_BYTES,
    SIGNATURE: SIGNATURE_BYTES,
}
_FLOAT32 = np.dtype("<f4")


class Unsigned(UserError):
    """A bundle whose signature is missing, or not one of a key that is trusted."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A card and the files that its checksums name. `origin` is for messages only."""

    card: ModelCard
    flatbuffer: bytes
    filters: bytes | None = None  # None: made before bundles carried them; librosa makes them again
    origin: str = "bundle"


def located(path: Path) -> Path:
    """A shipped bundle's file for its name, else the path itself. Another file called `open` needs its whole path."""
    return SHIPPED.get(str(path), path)


def read_bundle(source: Path | bytes) -> Bundle:
    """Read and check a bundle from a file, a shipped one by its name, or from the value of a `models` record.

    Raises:
        UserError: not a zip, a part missing or too large, a card that does not validate, a wrong checksum, filters
            that are none.
    """
    origin = _origin(source)
    parts = parts_of(source)
    try:
        card = ModelCard.model_validate_json(parts[CARD])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{origin}: {CARD}: {one_line(field)}: {one_line(first['msg'])}") from None
    for name, spec in _named(card).items():
        if name not in parts:
            raise UserError(f"{origin}: not a model bundle (no {name} in it)")
        if hashlib.sha256(parts[name]).hexdigest() != spec.sha256:
            raise UserError(f"{origin}: {name} does not match the card's sha256; the bundle is damaged, get it anew")
    bundle = Bundle(card, parts[NETWORK], parts[FILTERS] if card.filter_bank else None, origin)
    filter_bank(bundle)
    return bundle


def bundle_bytes(bundle: Bundle) -> bytes:
    """The bundle as bytes, the same for the same parts.

    Raises:
        ValueError: a file's checksum or size is not that of the card.
    """
    parts = {CARD: bundle.card.model_dump_json(indent=2).encode(), NETWORK: bundle.flatbuffer}
    if bundle.filters is not None:
        parts[FILTERS] = bundle.filters
    specs = _named(bundle.card)
    for name in parts.keys() - {CARD} | specs.keys():
        data, spec = parts.get(name, b""), specs.get(name)
        if spec is None or (hashlib.sha256(data).hexdigest(), len(data)) != (spec.sha256, spec.size):
            raise ValueError(f"the card names another {'flatbuffer' if name == NETWORK else 'filter bank'}")
    return zip_of(parts)


def zip_of(parts: Mapping[str, bytes]) -> bytes:
    """Files as a zip; the same bytes for the same files in the same order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            # A fixed date: a zip of the same parts must have the same bytes.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()


def filter_bank(bundle: Bundle) -> NDArray[np.float32] | None:
    """The mel filters that the bundle carries, float32 [n_mels, 129], or None.

    Raises:
        UserError: they are not n_mels filters of 129 numbers between 0 and 1.
    """
    if bundle.filters is None:
        return None
    n_mels = bundle.card.front_end.n_mels
    if len(bundle.filters) != n_mels * BINS * _FLOAT32.itemsize:
        raise UserError(f"{bundle.origin}: {FILTERS} does not hold {n_mels} filters of {BINS} numbers")
    filters = np.frombuffer(bundle.filters, _FLOAT32).reshape(n_mels, BINS)
    if not ((filters >= 0) & (filters <= 1)).all():  # NaN fails too
        raise UserError(f"{bundle.origin}: {FILTERS} holds numbers that are not between 0 and 1")
    return filters.astype(np.float32)


def with_filter_bank(bundle: Bundle) -> Bundle:
    """The bundle with the filters of its card's front end, as librosa makes them."""
    spec = bundle.card.front_end
    filters = mel_bands(spec.n_mels, spec.fmin_hz, spec.fmax_hz).astype(_FLOAT32).tobytes()
    named = FilterBankSpec(sha256=hashlib.sha256(filters).hexdigest(), size=len(filters))
    return replace(bundle, card=bundle.card.model_copy(update={"filter_bank": named}), filters=filters)


def _named(card: ModelCard) -> dict[str, NetworkSpec | FilterBankSpec]:
    """The files that a card has checksums of."""
    return {NETWORK: card.network} | ({FILTERS: card.filter_bank} if card.filter_bank else {})


def parts_of(source: Path | bytes) -> dict[str, bytes]:
    """The files of a bundle, by name and in their order: card and network, and filters and signature if it has them.

    Raises:
        UserError: not a zip, a part missing or too large.
    """
    origin = _origin(source)
    if isinstance(source, Path):
        source = located(source)
    size = len(source) if isinstance(source, bytes) else _file_size(source)
    if size > MAX_BUNDLE_BYTES:
        raise UserError(f"{origin}: {size} bytes, more than the {MAX_BUNDLE_BYTES} that a bundle may have")
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            optional = {FILTERS, SIGNATURE} - set(archive.namelist())
            return {name: _part(archive, name, origin) for name in _LIMITS if name not in optional}
    except UserError:
        raise
    except Exception as error:
        # Damage reaches any line of zipfile and zlib, and what they raise is nowhere listed: zlib.error alone came
        # from one damaged bundle in twenty.
        raise UserError(f"{origin}: not a model bundle ({one_line(error)})") from None


def _origin(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "model bundle"


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
