"""A consumer with a function for each chunk: `python -m benchmarks.peers.consumer NAME`, of `HEARERS` below.

Reads `call-audio` from its start, answers each chunk with a record of JSON, and commits every few seconds. It says
`ready` when everything is loaded and has run once, and how many chunks it has heard when it is told to stop.
"""

import os

# One thread, as the others have: before NumPy and TensorFlow are loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from kafka import KafkaConsumer, KafkaProducer

from benchmarks.peers.features import FEATURES, FRAMES, RATE, Windows, librosa_features
from schemas.audio import Encoding
from schemas.topics import Topics
from undertone.acoustics.codecs import decode
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import mend
from undertone.signals import stop_on_signals

# What a chunk of a stream is answered with.
Hearer = Callable[[bytes, bytes], Any]


def _network() -> Any:
    import keras  # noqa: PLC0415  takes seconds, and half of the peers need none

    given = keras.Input((FRAMES, FEATURES), batch_size=1)
    return keras.Sequential([given, keras.layers.LSTM(128), keras.layers.Dense(8, "softmax")])


def notebook_keras() -> Hearer:
    """Librosa features of three seconds and a Keras LSTM's `predict`, for each chunk."""
    network, windows = _network(), Windows()

    def hear(stream: bytes, audio: bytes) -> list[float]:
        features = librosa_features(windows.push(stream, audio))
        answer: list[float] = network.predict(features[None], verbose=0)[0].tolist()
        return answer

    return hear


def notebook_litert() -> Hearer:
    """The same with the network in LiteRT, one window at a time."""
    import tensorflow as tf  # noqa: PLC0415  makes the flatbuffer, and is not used after that
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    flatbuffer = tf.lite.TFLiteConverter.from_keras_model(_network()).convert()
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    windows = Windows()

    def hear(stream: bytes, audio: bytes) -> list[float]:
        interpreter.set_tensor(given["index"], librosa_features(windows.push(stream, audio))[None])
        interpreter.invoke()
        answer: list[float] = interpreter.get_tensor(taken["index"])[0].tolist()
        return answer

    return hear


def librosa() -> Hearer:
    """The features alone."""
    windows = Windows()
    return lambda stream, audio: librosa_features(windows.push(stream, audio)).mean(axis=0).tolist()


def opensmile() -> Hearer:
    """OpenSMILE's eGeMAPS low-level descriptors of each chunk, with nothing of the chunk before."""
    import opensmile as library  # noqa: PLC0415  the venv of the peers alone has it

    smile = library.Smile(library.FeatureSet.eGeMAPSv02, library.FeatureLevel.LowLevelDescriptors, num_workers=1)

    def hear(stream: bytes, audio: bytes) -> list[float]:
        sound = decode(audio, Encoding.PCMU).astype(np.float32) / np.float32(32768)
        answer: list[float] = smile(sound, RATE)[0].mean(axis=-1).tolist()  # an array; to make a table takes longer
        return answer

    return hear


HEARERS = {one.__name__: one for one in (notebook_keras, notebook_litert, librosa, opensmile)}


def main(name: str) -> None:
    """Hear until SIGTERM."""
    over = threading.Event()
    stop_on_signals(over.set)
    kafka = KafkaSettings.load()
    topics = Topics(kafka.topic_prefix)
    mend()  # a plain client's first join is lost now and then: one had polled in a circle for twenty minutes
    hear = HEARERS[name]()
    hear(b"warm-up", bytes(RATE // 2))
    consumer = KafkaConsumer(
        topics.call_audio.name,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=f"{kafka.topic_prefix}{name}",
        auto_offset_reset="earliest",
    )
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, compression_type="lz4", linger_ms=10)
    while not consumer.assignment():
        consumer.poll(timeout_ms=100, max_records=1)
    consumer.seek_to_beginning()
    print("ready", flush=True)
    heard = 0
    while not over.is_set():
        for records in consumer.poll(timeout_ms=100).values():
            for record in records:
                if over.is_set():
                    break
                answer = json.dumps({"stream": record.key.decode(), "answer": hear(record.key, record.value)})
                producer.send(topics.emotion_events.name, key=record.key, value=answer.encode())
                heard += 1
    producer.flush()
    print(heard, flush=True)
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1])
