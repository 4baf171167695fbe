"""What a model bundle is, for people, and whether it can be trusted and run."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.audio import AudioChunk, Encoding, Role
from schemas.card import STEPS_PER_BLOCK, ModelCard
from schemas.errors import UserError
from schemas.events import Summary
from undertone.acoustics.frames import block_samples
from undertone.inference.bundle import Bundle, filter_bank, located, read_bundle
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.runtime import Runtime
from undertone.inference.trial import Trial


def card_table(card: ModelCard) -> RenderableType:
    """The model card as tables for a terminal."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    front, gate = card.front_end, card.gate
    network = card.network
    for name, value in (
        ("model", card.version),
        ("created", card.created.isoformat()),
        ("emotions", ", ".join(card.labels)),
        ("uncertain", f"below a probability of {card.calibration.uncertain_below:g}"),
        ("lineage", card.lineage.told() if card.lineage else "not stated"),
        ("licence", card.licence or "not stated"),
        ("use", card.intended_use or "not stated"),
        ("limits", card.limitations or "not stated"),
        ("network", f"{network.parameters:,} parameters, {network.arithmetic}, {network.size / 1024:.0f} KB"),
        ("state", f"{4 * network.state_size} bytes a stream; batches of {', '.join(map(str, network.batch_sizes))}"),
        ("front end", f"{front.n_mels} log-mel bands, {front.fmin_hz:g} to {front.fmax_hz:g} Hz"),
        ("filter bank", "in the bundle" if card.filter_bank else "made by librosa"),
        ("gate", f"{gate.floor_margin_db:g} dB above the noise floor and over {gate.min_dbfs:g} dBFS"),
        ("temperature", f"{card.calibration.temperature:g}"),
        ("sha256", network.sha256),
    ):
        facts.add_row(name, Text(value))
    return Group(facts, *_tables(card))


def _tables(card: ModelCard) -> Iterator[Table]:
    if card.training_data:
        data = Table("trained on", "files", "speakers", "licence", "source", box=box.SIMPLE_HEAD)
        for part in card.training_data:
            data.add_row(part.corpus, str(part.utterances), str(part.speakers), part.licence, part.url)
        yield data
    if card.metrics:
        figures = Table("figure", "value", box=box.SIMPLE_HEAD)
        for name, value in card.metrics.items():
            figures.add_row(name.replace("_", " "), f"{value:.4g}")
        yield figures


def check_bundle(path: Path) -> Iterator[str]:
    """Check a bundle step by step; a line for each step that is passed.

    Raises:
        UserError: the first thing that is wrong.
    """
    bundle = read_bundle(path)
    yield f"{path}: sizes, card and checksum"
    # In a process of its own, for a crafted network can crash it.
    if reason := Trial(located(path).read_bytes()).reason():
        raise UserError(f"{path}: {reason}")
    runtime = Runtime(bundle)
    yield f"ops and signatures, batches of {', '.join(map(str, bundle.card.network.batch_sizes))}"
    _check_batches(bundle, runtime)
    yield "the same prediction in every batch, and silence leaves the state as it is"
    summary = _check_stream(Model(bundle.card, runtime, filter_bank(bundle)))
    yield f"a stream of synthetic voice, heard as {summary.label}"


def _check_batches(bundle: Bundle, runtime: Runtime) -> None:
    """The engine relies on both: which batch a stream lands in must not show, nor silence."""
    spec, network = bundle.card.front_end, bundle.card.network
    rng = np.random.default_rng(0)
    count = max(network.batch_sizes)
    shape = (count, spec.context_frames + spec.frames_per_block, spec.n_mels)
    features = rng.normal(-8, 3, shape).astype(np.float32)
    speech = np.ones((count, STEPS_PER_BLOCK), np.float32)
    zeros = np.zeros((count, network.state_size), np.float32)
    together, state = runtime.run(features, speech, zeros)
    alone, _ = runtime.run(features[:1], speech[:1], zeros[:1])
    if not np.allclose(alone[0], together[0], atol=1e-4):
        raise UserError(f"{bundle.origin}: a stream's prediction depends on the batch it is in; export it anew")
    _, silent = runtime.run(features, np.zeros_like(speech), state)
    if not np.array_equal(silent, state):
        raise UserError(f"{bundle.origin}: silence changes the network's state; export it anew")


def _check_stream(model: Model) -> Summary:
    """Two seconds of a 150 Hz pulse train through the engine."""
    rate, blocks = 16_000, 8
    samples = np.zeros(blocks * block_samples(rate), np.int16)
    samples[:: rate // 150] = 20_000
    chunk = AudioChunk(
        call_id="check",
        channel="customer",
        role=Role.CUSTOMER,
        sequence=0,
        first_sample=0,
        start_time=datetime(1970, 1, 1, tzinfo=UTC),
        encoding=Encoding.L16LE,
        sample_rate=16_000,
        audio=samples.tobytes(),
        end_of_stream=True,
    )
    events = [envelope.data for envelope in Engine(model).feed([chunk]).events]
    summary = cast(Summary, events[-1])
    total = sum(summary.probabilities.values())
    if not summary.probabilities or not abs(total - 1) < 1e-3:
        raise UserError(f"model {model.card.version}: the engine's probabilities add up to {total:.3f}, not to 1")
    return summary
