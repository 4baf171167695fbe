"""The same features and the same network as a Quix Streams application: `python -m benchmarks.peers.quix`.

A record at a time, as the library works; a stream's samples and the network's state lie in its state store, and it
promises exactly once, as we do. It has our front end, pitch and network, and none of our gate, utterances and events.
"""

import signal
import tempfile
from typing import Any

import numpy as np
from quixstreams import Application, State

from schemas.audio import Encoding
from schemas.card import STEPS_PER_BLOCK
from schemas.topics import Topics
from undertone.acoustics.codecs import decode
from undertone.acoustics.frames import block_samples
from undertone.acoustics.pitch import track_pitch
from undertone.inference.model import Model
from undertone.messaging.settings import KafkaSettings

RATE = 8000
_MODEL = Model.load()
_BLOCK = block_samples(RATE)
_WINDOW = _MODEL.front_end.window_samples(RATE)
_SPEECH = np.ones((1, STEPS_PER_BLOCK), np.float32)
heard = 0


def hear(audio: bytes, state: State) -> dict[str, Any]:
    """Predict on every whole block of a chunk, and answer with the last."""
    global heard  # noqa: PLW0603  the library owns the loop
    samples = np.frombuffer(state.get_bytes("samples", bytes(2 * (_WINDOW - _BLOCK))), np.int16)
    network = np.frombuffer(state.get_bytes("network", bytes(4 * _MODEL.card.network.state_size)), np.float32)[None]
    samples = np.concatenate([samples, decode(audio, Encoding.PCMU)])
    logits, pitch = np.zeros((1, len(_MODEL.card.labels)), np.float32), np.zeros((1, 5))
    while samples.size >= _WINDOW:
        window, samples = samples[None, :_WINDOW], samples[_BLOCK:]
        logits, network = _MODEL.runtime.run(_MODEL.front_end.compute(window, RATE), _SPEECH, network)
        pitch = track_pitch(window, RATE)
    state.set_bytes("samples", samples.tobytes())
    state.set_bytes("network", network.tobytes())
    if not heard:
        print("ready", flush=True)  # its stores are open and its partitions are here
    heard += 1
    return {"probabilities": _MODEL.probabilities(logits)[0].tolist(), "pitch": pitch[0].tolist()}


def main() -> None:
    """Hear until SIGTERM."""
    kafka = KafkaSettings.load()
    topics = Topics(kafka.topic_prefix)
    with tempfile.TemporaryDirectory() as state_dir:
        app = Application(
            broker_address=kafka.bootstrap_servers,
            consumer_group=f"{kafka.topic_prefix}quix",
            auto_offset_reset="earliest",
            processing_guarantee="exactly-once",
            state_dir=state_dir,
            loglevel="WARNING",
        )
        audio = app.topic(topics.call_audio.name, key_deserializer="str", value_deserializer="bytes")
        events = app.topic(topics.emotion_events.name, value_serializer="json")
        frame = app.dataframe(audio)
        frame = frame.apply(hear, stateful=True)
        frame.to_topic(events)
        signal.signal(signal.SIGTERM, lambda *_: app.stop())
        app.run()
    print(heard, flush=True)


if __name__ == "__main__":
    main()
