"""What the peers of the notebook's kind hear: the last three seconds of each stream, and librosa's features of them."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from undertone.acoustics.codecs import decode

RATE = 8000
WINDOW_S = 3
HOP = 128
FRAMES = WINDOW_S * RATE // HOP + 1
FEATURES = 180  # 40 MFCC, 12 of chroma, 128 mel bands, as most public speech-emotion notebooks take them


class Windows:
    """The last three seconds of each stream, as float32 in [-1, 1]."""

    def __init__(self) -> None:
        self._held: defaultdict[bytes, NDArray[np.float32]] = defaultdict(lambda: np.zeros(WINDOW_S * RATE, np.float32))

    def push(self, stream: bytes, audio: bytes) -> NDArray[np.float32]:
        """Take a chunk of mu-law; returns the stream's window."""
        held = self._held[stream]
        samples = decode(audio, Encoding.PCMU)[-held.size :].astype(np.float32) / 32768
        held[: held.size - samples.size] = held[samples.size :]
        held[held.size - samples.size :] = samples
        return held


def librosa_features(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """[frames, 180]: one transform for all of them, which most notebooks do not save."""
    import librosa  # noqa: PLC0415  the peers that need it have it

    magnitude = np.abs(librosa.stft(window, n_fft=512, hop_length=HOP))
    mel = librosa.feature.melspectrogram(S=magnitude**2, sr=RATE, n_mels=128)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=40)
    # `tuning` is given, for to estimate it takes longer than all the rest.
    chroma = librosa.feature.chroma_stft(S=magnitude, sr=RATE, tuning=0.0)
    found: NDArray[np.float32] = np.vstack([mfcc, chroma, mel]).T.astype(np.float32)
    return found
