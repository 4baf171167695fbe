"""The teacher's weights come from a file of another project: it is read with care, and read right."""

import struct
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import UserError
from trainer.distillation.teacher import EMBEDDING, LAYERS, WIDTH, WhisperEncoder, embedding, spoken

SHAPES = {
    "conv1/weight": (WIDTH, 80, 3),
    "conv1/bias": (WIDTH,),
    "conv2/weight": (WIDTH, WIDTH, 3),
    "conv2/bias": (WIDTH,),
    "position_encodings/encodings": (1500, WIDTH),
    "layer_norm/gamma": (WIDTH,),
    "layer_norm/beta": (WIDTH,),
} | {
    f"layer_{layer}/{name}": shape
    for layer in range(LAYERS)
    for name, shape in {
        "self_attention/layer_norm/gamma": (WIDTH,),
        "self_attention/layer_norm/beta": (WIDTH,),
        "self_attention/linear_0/weight": (3 * WIDTH, WIDTH),
        "self_attention/linear_0/bias": (3 * WIDTH,),
        "self_attention/linear_1/weight": (WIDTH, WIDTH),
        "self_attention/linear_1/bias": (WIDTH,),
        "ffn/layer_norm/gamma": (WIDTH,),
        "ffn/layer_norm/beta": (WIDTH,),
        "ffn/linear_0/weight": (4 * WIDTH, WIDTH),
        "ffn/linear_0/bias": (4 * WIDTH,),
        "ffn/linear_1/weight": (WIDTH, 4 * WIDTH),
        "ffn/linear_1/bias": (WIDTH,),
    }.items()
}


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of random weights in the file format, with a decoder's variable that is to be passed over."""
    rng = np.random.default_rng(0)
    variables = {"decoder/scale": rng.normal(size=3).astype(np.float16)}
    variables |= {f"encoder/{name}": rng.normal(0, 0.05, shape).astype(np.float16) for name, shape in SHAPES.items()}
    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, values in variables.items():
        shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        parts += [text(name), shape, struct.pack("<BI", 4, values.nbytes), values.tobytes()]
    path = tmp_path_factory.mktemp("teacher") / "model.bin"
    path.write_bytes(b"".join(parts))
    return path


def test_embeds_speech_whatever_its_level(model_file: Path) -> None:
    encoder = WhisperEncoder(model_file)
    assert set(encoder.weights) == set(SHAPES)
    tone = np.sin(np.arange(12_000) * 0.1).astype(np.float32)
    layers = encoder.encode(tone * 0.1)
    assert layers.shape == (LAYERS, 37, WIDTH)
    heard = embedding(layers)
    assert heard.shape == (EMBEDDING,)
    assert np.isfinite(heard).all()
    np.testing.assert_allclose(embedding(encoder.encode(tone * 0.01)), heard, atol=1e-3)
    assert np.isfinite(embedding(encoder.encode(np.zeros(500, np.float32)))).all()


def test_outer_silence_is_cut_and_silence_alone_is_not() -> None:
    samples = np.zeros(32_000, np.int16)
    samples[12_000:16_000] = 8000
    speech, start = spoken(samples)
    assert (len(speech), start) == (4000 + 2 * 3200, 8800 / 16_000)
    silence, start = spoken(np.zeros(1000, np.int16))
    assert (len(silence), start) == (1000, 0.0)


def test_damaged_and_foreign_files_are_named(model_file: Path, tmp_path: Path) -> None:
    data = model_file.read_bytes()
    cut = tmp_path / "cut.bin"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged"):
        WhisperEncoder(cut)
    foreign = tmp_path / "foreign.bin"
    foreign.write_bytes(data[:4] + text("BertSpec") + data[18:])
    with pytest.raises(UserError, match="BertSpec"):
        WhisperEncoder(foreign)
