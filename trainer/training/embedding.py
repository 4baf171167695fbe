"""What a network makes of a clip before its last layer names an emotion."""

import keras
import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import Clips
from trainer.training.fit import segment_batches


def embed(model: keras.Model, clips: Clips) -> NDArray[np.float32]:
    """[N, members, D]: what lies before each member's head, the mean over a clip's segments, weighted by their speech.

    Zeros where the gate finds no segment.
    """
    pools = [layers.pool.output for layers in model.undertone_members]
    pooled = keras.Model(model.inputs, keras.ops.stack(pools, axis=-2))
    rows = [(clip, segment) for clip, found in enumerate(clips.segments) for segment in found]
    rows.sort(key=lambda row: len(row[1].mask))
    total = np.zeros((len(clips), *pooled.output.shape[-2:]))
    mass = np.zeros((len(clips), 1, 1))
    for part, features, speech in segment_batches(clips, rows):
        last = np.asarray(pooled([features, speech], training=False))[:, -1]
        for row, (clip, _) in enumerate(part):
            steps = max(float(speech[row].sum()), 1.0)
            total[clip] += steps * last[row]
            mass[clip] += steps
    return np.asarray(total / np.maximum(mass, 1.0), np.float32)
