"""What a network makes of a clip before its last layer names an emotion."""

import keras
import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import Clips
from trainer.training.fit import segment_batches
from trainer.training.network import build_sequence_model, restore_weights
from trainer.training.weights import Start


def embed(start: Start, clips: Clips) -> NDArray[np.float32]:
    """[N, D]: what lies before the head, as the mean over a clip's segments, weighted by their speech."""
    network = build_sequence_model(start.shape)
    restore_weights(network, start.weights)
    pools = [layers.pool.output for layers in network.undertone_members]
    pooled = keras.Model(network.inputs, keras.ops.concatenate(pools, axis=-1))
    rows = [(clip, segment) for clip, found in enumerate(clips.segments) for segment in found]
    rows.sort(key=lambda row: len(row[1].mask))
    total = np.zeros((len(clips), pooled.output.shape[-1]))
    mass = np.zeros((len(clips), 1))
    for part, features, speech in segment_batches(clips, rows):
        last = np.asarray(pooled([features, speech], training=False))[:, -1]
        for row, (clip, _) in enumerate(part):
            steps = max(float(speech[row].sum()), 1.0)
            total[clip] += steps * last[row]
            mass[clip] += steps
    return np.asarray(total / mass, np.float32)
