"""One colour for each label, the same in tables and pages."""

from collections.abc import Sequence

from schemas.events import NO_SPEECH, UNCERTAIN

GREY = "#9aa3ad"
PALE = "#c9ced6"
# What people expect of common names; every other label takes the next colour that none of these has.
_COMMON = {
    "angry": "#d1343c",
    "frustrated": "#e0703a",
    "happy": "#e8a317",
    "satisfied": "#4f9d4c",
    "calm": "#2a9d8f",
    "neutral": "#6c7f93",
    "sad": "#3b6fb6",
    "fearful": "#7b52ab",
    "disgust": "#7d8f2b",
    "surprised": "#d661a0",
}
_OTHERS = ("#8c564b", "#17a2c4", "#b5651d", "#5d3a9b", "#009e73", "#c44e52", "#4c72b0", "#937860")


def colour_of(label: str, labels: Sequence[str]) -> str:
    """The colour (#rrggbb) of one of a model's `labels`, of `uncertain` or of `no-speech`."""
    if label == UNCERTAIN:
        return GREY
    if label == NO_SPEECH or label not in labels:
        return PALE
    if label in _COMMON:
        return _COMMON[label]
    others = [name for name in labels if name not in _COMMON]
    return _OTHERS[others.index(label) % len(_OTHERS)]
