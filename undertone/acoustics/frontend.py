"""The front end: what the network sees of the sound. Trainer and worker both build it from the model card."""

import numpy as np
from numpy.typing import NDArray

from schemas.card import FrontEndSpec
from undertone.acoustics import cleaning
from undertone.acoustics.frames import block_windows, fft_samples, frame_view, hop_samples, window_samples
from undertone.acoustics.level import FULL_SCALE
from undertone.acoustics.spectrum import hann, mel_bands, power_spectrum

# Frames and spectra of 16 windows at 8 kHz (1 MB) stay in the processor's second-level cache, and the calls into NumPy
# are few: 19.2 us a window, where groups of 8 take 20.3 and groups of 4 take 22.2.
GROUP = 16


class FrontEnd:
    """Log-mel frames of windows of samples, by a card's `FrontEndSpec`.

    A window is a block of 20 frames and the `context_frames` before it. The same window gives the same bits whatever
    else is in the batch, and offline features (`frames_of`) go through the same windows as a live stream's.
    """

    def __init__(self, spec: FrontEndSpec, filter_bank: NDArray[np.float32] | None = None) -> None:
        """`filter_bank` is the bundle's, float32 [n_mels, 129]; without one librosa makes it."""
        self.spec = spec
        self.frames = spec.context_frames + spec.frames_per_block
        if filter_bank is None:
            filter_bank = mel_bands(spec.n_mels, spec.fmin_hz, spec.fmax_hz)
        bands: NDArray[np.floating] = filter_bank
        if spec.pre_emphasis is not None:
            bands = bands * cleaning.pre_emphasis(spec.pre_emphasis)
        self._bands = np.ascontiguousarray(bands.T, np.float32)
        # NumPy holds an array against an array in a fifth of the time that it needs against a number.
        self._floor = np.full((GROUP, self.frames, spec.n_mels), spec.log_floor, np.float32)

    def window_samples(self, rate: int) -> int:
        """Samples in one window: the block and what its first frame needs before it."""
        return window_samples(rate, self.frames)

    def compute(self, windows: NDArray[np.int16], rate: int) -> NDArray[np.float32]:
        """Features of a batch of windows.

        Args:
            windows: int16 [B, window_samples(rate)], each ending where its block ends.
            rate: 8000 or 16000, the same for the batch.

        Returns:
            float32 [B, context_frames + 20, n_mels]: natural log of the mel energies of samples in [-1, 1].

        Raises:
            ValueError: the windows have another length, or the rate is none of the two.
        """
        if windows.ndim != 2 or windows.shape[1] != self.window_samples(rate):
            raise ValueError(f"windows of shape {windows.shape}, need [B, {self.window_samples(rate)}] at {rate} Hz")
        out = np.empty((len(windows), self.frames, self.spec.n_mels), np.float32)
        for start in range(0, len(windows), GROUP):
            self._compute_group(windows[start : start + GROUP], rate, out[start : start + GROUP])
        return out

    def frames_of(self, samples: NDArray[np.int16], rate: int) -> NDArray[np.float32]:
        """Features of a whole signal, block by block: float32 [blocks, context_frames + 20, n_mels].

        `samples` is int16 [n]; zeros stand before it and fill up its last block, as in a live stream. The frames
        without the context are `frames_of(...)[:, context_frames:].reshape(-1, n_mels)`.
        """
        return self.compute(block_windows(samples, rate, self.spec.context_frames), rate)

    def _compute_group(self, windows: NDArray[np.int16], rate: int, out: NDArray[np.float32]) -> None:
        samples = windows.astype(np.float32)
        if self.spec.level_normalisation:
            samples *= cleaning.level_gain(windows)[:, None]
        frames = frame_view(samples, fft_samples(rate), hop_samples(rate))
        if self.spec.remove_dc:
            frames = cleaning.remove_dc(frames)
        power = power_spectrum(frames * (hann(rate) / np.float32(FULL_SCALE)))
        # A stack of matrices: one product of one shape per stream, so its bits do not depend on the batch size.
        # Flattened to [B * frames, 129] the blocking of the product, and so the rounding, would.
        np.matmul(power, self._bands, out=out)
        if self.spec.spectral_gate_db is not None:
            out[:] = cleaning.spectral_gate(out, self.spec.spectral_gate_db)
        np.maximum(out, self._floor[: len(out)], out=out)
        np.log(out, out=out)
