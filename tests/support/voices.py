"""Synthetic utterances for tests of the trainer: speakers differ in pitch and formants, moods in melody and pace."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

RATE = 16_000
# mood -> (melody in octaves per second, syllables per second, brightness)
MOODS = {
    "frustrated": (0.0, 7.0, 0.97),
    "satisfied": (0.9, 3.0, 0.80),
    "puzzled": (-0.9, 4.5, 0.90),
}


def utterance(mood: str, speaker: int, take: int, seconds: float = 1.2) -> NDArray[np.int16]:
    """Voice-like sound, int16 [n] at 16 kHz, 0.3 s of near silence on both sides; the same for equal arguments."""
    melody, pace, brightness = MOODS[mood]
    rng = np.random.default_rng([sorted(MOODS).index(mood), speaker, take])
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = (90 + 23 * speaker) * 2 ** (melody * t + rng.normal(0, 0.03))
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0)
    source = scipy.signal.lfilter([1.0], [1.0, -brightness], pulses)
    for formant in (520 + 25 * speaker, 1400 + 60 * speaker, 2500):
        b, a = scipy.signal.iirpeak(formant, 6, fs=RATE)
        source = source + 2 * scipy.signal.lfilter(b, a, source)
    syllables = 0.15 + np.clip(np.sin(2 * np.pi * (pace + rng.normal(0, 0.2)) * t), 0, 1)
    voice = source * syllables
    voice *= 0.2 / np.sqrt(np.mean(voice**2))
    quiet = np.zeros(int(0.3 * RATE))
    sound = np.concatenate([quiet, voice, quiet]) + rng.normal(0, 1e-4, len(voice) + 2 * len(quiet))
    return np.clip(sound * 32767, -32768, 32767).astype(np.int16)


def write_corpus(folder: Path, moods: Sequence[str], speakers: Sequence[int], takes: int) -> Path:
    """WAV files and a CSV with the columns path, emotion, speaker, gender; the CSV's path."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "calls.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "emotion", "speaker", "gender"))
        for mood in moods:
            for speaker in speakers:
                for take in range(takes):
                    name = f"{mood}_{speaker}_{take}.wav"
                    soundfile.write(folder / name, utterance(mood, speaker, take), RATE, subtype="PCM_16")
                    rows.writerow((name, mood, f"s{speaker}", "female" if speaker % 2 else "male"))
    return manifest
