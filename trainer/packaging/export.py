"""A trained network as one TFLite flatbuffer: a signature for each batch size, one copy of the weights."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from schemas.card import STEPS_PER_BLOCK
from trainer.training.network import FRAMES_PER_BLOCK, NetworkShape, build_block_model

BATCH_SIZES = (1, 8, 32)


def to_tflite(model: keras.Model, batches: Sequence[int] = BATCH_SIZES, *, int8: bool = False) -> bytes:
    """Convert a sequence model to the flatbuffer that the bundle ships.

    Signature `batch_N`: features [N, context_frames + 20, n_mels], speech [N, 5], state [N, state_size] ->
    logits [N, n_classes], state [N, state_size], all float32. Builtin ops only, of versions that tflite-runtime
    2.14 knows. int8 stores the weights of the large products in eight bits ("dynamic range"): a third of the
    size, half the time, and logits that differ by some hundredths.
    """
    functions = {f"batch_{batch}": _frozen(model, batch) for batch in batches}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(tf.Module(), folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            # Per channel they would be FULLY_CONNECTED version 12; tflite-runtime 2.14 stops at 11.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        flatbuffer: bytes = converter.convert()
    return flatbuffer


def _frozen(model: keras.Model, batch: int) -> Any:
    """The block model at one batch size, its variables turned into constants.

    A Keras 3 model's variables stay outside a flatbuffer with several signatures (its outputs are then NaN). As
    constants they are written once, whatever the number of signatures: 738 KB for three, 680 KB for one.
    """
    shape: NetworkShape = model.undertone_shape
    block = build_block_model(model, batch)
    signature = [
        tf.TensorSpec((batch, shape.context_frames + FRAMES_PER_BLOCK, shape.n_mels), name="features"),
        tf.TensorSpec((batch, STEPS_PER_BLOCK), name="speech"),
        tf.TensorSpec((batch, shape.state_size), name="state"),
    ]

    def step(features: Any, speech: Any, state: Any) -> Any:
        outputs = block([features, speech, state])
        return outputs["logits"], outputs["state"]

    constants = convert_variables_to_constants_v2(tf.function(step, input_signature=signature).get_concrete_function())

    def named(features: Any, speech: Any, state: Any) -> dict[str, Any]:
        logits, new_state = constants(features, speech, state)
        return {"logits": logits, "state": new_state}

    return tf.function(named, input_signature=signature).get_concrete_function()
