"""Emotions are told apart by people who see fewer colours, and by people who see none."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.paths import ROOT

PALETTE = (ROOT / "undertone/console/web/page/palette.js").read_text()
KNOWN = {
    label: (colour, pattern, int(side))
    for label, colour, pattern, side in re.findall(r'(\w+): \["(#\w{6})", "(\w+)", (-?\d)\]', PALETTE)
}
# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, sight: str) -> NDArray[np.float64]:
    """A colour (#rrggbb) in CIE L*a*b* as somebody sees it."""
    coded = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.asarray(SIGHT[sight]) @ linear, 0, 1) / XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_palette_is_read() -> None:
    assert KNOWN.keys() >= {"angry", "sad", "fearful", "disgust", "neutral", "calm", "happy", "surprised"}


@pytest.mark.parametrize("sight", SIGHT)
def test_emotions_on_one_side_differ_in_colour(sight: str) -> None:
    for (one, (colour, _, side)), (other, (second, _, other_side)) in itertools.combinations(KNOWN.items(), 2):
        if side != other_side or colour == second:
            continue
        distance = float(np.linalg.norm(lab(colour, sight) - lab(second, sight)))
        # A just noticeable difference is 2.3; a bar of a few pixels needs several times as much.
        assert distance > 12, (one, other, distance)


def test_who_sees_no_colour_has_side_and_pattern() -> None:
    told = [(pattern, side) for _, pattern, side in KNOWN.values()]
    assert len(told) == len(set(told))


def test_the_files_of_the_page_ask_nobody_else_for_anything() -> None:
    for path in Path(ROOT / "undertone/console/web/page").iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|eval\(|new Function", path.read_text()), path
