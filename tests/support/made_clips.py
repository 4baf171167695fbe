"""Clips that are made, not recorded, and a network small enough to learn them in seconds."""

import numpy as np

from trainer.data.clips import Clips, one_hot
from trainer.data.preprocessing import Preprocessing
from trainer.data.speech import hang_over
from trainer.training.augmentation import Augmentation
from trainer.training.network import CONTEXT_FRAMES, NetworkShape
from trainer.training.recipe import Recipe

SHAPE = NetworkShape(n_classes=2, channels=(8, 8, 8), dense=16, heads=2, dropout=0.0)
CALM = Augmentation(speed=0.02, gain_db=3, tilt_db=1, telephone=0, noise=0.2, frequency_mask=2, time_mask=4)
HOW = Preprocessing.default(CONTEXT_FRAMES)
RECIPE = Recipe(epochs=6, batch=8, learning_rate=5e-3, mixup=0.0, ema=0.9, augmentation=CALM)


def make_clips(count: int, seed: int) -> Clips:
    """Two kinds of "speech" between silences: energy in the low bands, or in the high ones."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features, levels, masks = [], [], []
    for label in labels:
        frames = 80 + 20 * int(rng.integers(3))
        clip = rng.normal(-18, 1, (frames, 64)).astype(np.float32)
        clip[20:70, 10 + 30 * label : 24 + 30 * label] += 10
        raw = np.zeros(frames, bool)
        raw[20:58] = True
        features.append(clip)
        masks.append(raw)
        levels.append(np.where(hang_over(raw, HOW.gate), -25, -70).astype(np.float32))
    ones = np.ones((count, 2), np.float32)
    return Clips(features, levels, masks, one_hot(labels, 2), ones, np.ones(count, np.float32), HOW)
