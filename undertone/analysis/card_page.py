"""The model card as a page: `docs/research/model-card.md` is that of the bundle that ships, written by `make docs`."""

from collections.abc import Iterator

from schemas.card import ModelCard
from undertone.inference.affect import groups_of, places_of

_HEAD = """# Model card

Written by `undertone models show --format markdown` from the card inside the bundle; `make docs` does it for the two
that ship, [the default](model-card.md) and [open](model-card-open.md). `undertone models check BUNDLE` checks that a
bundle is whole, that this machine's runtime knows its ops, and that it runs. Trainer and worker both build front end,
gate and segments from the card, so they cannot drift apart.
"""

_TAIL = """## How to read the figures

- `heldout_*`: files of speakers that no network under test was trained, tuned or calibrated on, run through the
  engine that workers run. UAR is the mean of the emotions' recalls; chance is one in the number of emotions.
- `heldout_uar_noise_*`: with noise so many dB below the speech, of kinds that were not in their training: babble of
  six other speakers; for the bundles that ship rain, a helicopter, a dog and a clock. `heldout_uar_telephone`: 8 kHz
  mu-law. `heldout_uar_after_*_s`: after so many seconds of speech.
- `heldout_uar_packet_loss_1_in_10`: a tenth of the packets of 20 ms lost, up to three in a row, and silent.
  `heldout_uar_echo_*`, `heldout_uar_hold_music_*`: another voice, or music, so many dB below the speech.
  `heldout_uar_after_*_utterances`: after so many others of the speaker, most of them neutral or calm, as in calls.
- `heldout_ece`: expected calibration error in 15 bins. A stated probability is off by that much on the mean.
- `parity`: greatest difference of the TFLite network from the Keras network that was trained, on real speech.
- `us_per_s`: microseconds of one core for the network on one second of audio of one stream, in batches of 32.

The class prior is how often each emotion is expected in calls; probabilities and `uncertain` are those after it
(`--class-prior`, `UNDERTONE_CLASS_PRIOR` for others). Figures on corpora expect every emotion equally often.

A group's probability is the sum of its emotions'. Arousal and valence of an event are the mean of the emotions' places
by their probability; the places lie on Russell's circle (1980, "A circumplex model of affect", Journal of Personality
and Social Psychology 39), each emotion at the nearest of his eight directions or halfway between two, and neutral in
the middle. They say where the words lie, not what a body feels.

`uncertain` is the label where the best emotion is less probable than the threshold above. It was chosen so that one
prediction in ten on the validation speakers is called uncertain.

## A model of your own

`undertone train --data your.csv --out your_model` takes any labels. It starts from the default's weights, and the new
card lists their corpora too; with `--from open` from those that may be used commercially. `--from none` starts from
nothing of ours, and then the licences of the corpora above do not reach into your model. `your_model/report.html` shows
everything that is known of the result.
"""


def card_page(card: ModelCard) -> str:
    """The card as Markdown."""
    return "\n".join((_HEAD, *_body(card), _TAIL))


def _shares(prior: dict[str, float] | None) -> str:
    return ", ".join(f"{label} {share:.3g}" for label, share in (prior or {}).items())


def _caller(card: ModelCard) -> str:
    if card.caller is None:
        return "none: each utterance is judged alone"
    normal = ", ".join(f"{label} {value:g}" for label, value in card.caller.normal.items() if value)
    return (
        f"takes {card.caller.weight:g} of the distance of the caller's mean evidence from {normal}; half of that after "
        f"{card.caller.half_s:g} s of speech"
    )


def _reference(card: ModelCard) -> str:
    found = card.reference
    if found is None:
        return "none: workers cannot tell drift"
    who = "held out" if found.held_out else "of the training data"
    return f"{found.utterances:,} utterances of {found.speakers} speakers {who}, by telephone"


def _groups(card: ModelCard) -> str:
    groups = groups_of(card.labels) if card.groups is None else card.groups
    return "; ".join(f"{name}: {', '.join(members)}" for name, members in groups.items()) or "none"


def _places(card: ModelCard) -> str:
    places = places_of(card.labels) if card.affect is None else card.affect
    return ", ".join(f"{label} {place.valence:g} {place.arousal:g}" for label, place in places.items()) or "none"


def _body(card: ModelCard) -> Iterator[str]:
    network, front, gate, cut = card.network, card.front_end, card.gate, card.segments
    yield f"## {card.version}\n"
    if card.licence:
        yield f"**{card.licence}**\n"
    yield "| | |\n|---|---|"
    cleaning = [
        name
        for name, on in (
            ("DC removal", front.remove_dc),
            (f"pre-emphasis {front.pre_emphasis}", front.pre_emphasis),
            ("level normalisation", front.level_normalisation),
            (f"spectral gate {front.spectral_gate_db} dB", front.spectral_gate_db),
        )
        if on
    ]
    for name, value in (
        ("emotions", ", ".join(card.labels)),
        ("intended use", card.intended_use or "not stated"),
        ("limitations", card.limitations or "not stated"),
        ("`uncertain`", f"below a probability of {card.calibration.uncertain_below:g}"),
        ("temperature", f"{card.calibration.temperature:g}"),
        ("class prior", _shares(card.calibration.prior) or "that of the training data"),
        ("in the training data", _shares(card.calibration.training_prior) or "not stated"),
        ("caller's memory", _caller(card)),
        ("groups", _groups(card)),
        ("valence, arousal", _places(card)),
        ("network", f"{network.parameters:,} parameters, {network.arithmetic}, {network.size:,} bytes"),
        ("state", f"{network.state_size} floats a stream"),
        ("batches", ", ".join(map(str, network.batch_sizes))),
        (
            "front end",
            f"{front.n_mels} log-mel bands, {front.fmin_hz:g} to {front.fmax_hz:g} Hz, {front.window_ms} ms windows, "
            f"{front.hop_ms:g} ms apart, {front.context_frames} frames of context",
        ),
        ("cleaning", ", ".join(cleaning) or "none"),
        ("gate (VAD)", f"{gate.floor_margin_db:g} dB above the noise floor and over {gate.min_dbfs:g} dBFS"),
        ("segments", f"end after {cut.gap_frames * front.hop_ms:g} ms without speech, or {cut.max_seconds} s"),
        ("reference", _reference(card)),
        ("lineage", card.lineage.told() if card.lineage else "not stated"),
        ("sha256", f"`{network.sha256}`"),
    ):
        yield f"| {name} | {value} |"
    if card.training_data:
        yield "\n## What it was trained on\n\n| corpus | files | speakers | licence | source |\n|---|---|---|---|---|"
        for part in card.training_data:
            yield f"| {part.corpus} | {part.utterances:,} | {part.speakers} | {part.licence} | {part.url} |"
    if card.metrics:
        yield "\n## Figures\n\n| figure | value |\n|---|---|"
        for name, figure in card.metrics.items():
            yield f"| `{name}` | {figure:.4g} |"
    yield ""
