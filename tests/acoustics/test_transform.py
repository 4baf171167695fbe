"""Our transforms are SciPy's, to the bit, and a worker starts without the rest of `scipy.fft`."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from undertone.acoustics.transform import even_irfft, fast_length, rfft


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [256, 512, 640, 641])
def test_bit_for_bit_what_scipy_gives(dtype: Any, n: int) -> None:
    import scipy.fft  # noqa: PLC0415  after ours: it has to take the file that is loaded already

    values = np.random.default_rng(1).normal(size=(3, 4, 256)).astype(dtype)
    found, wanted = rfft(values, n), scipy.fft.rfft(values, n)
    assert found.dtype == wanted.dtype
    assert found.tobytes() == wanted.tobytes()
    power = np.square(found.real)
    back = even_irfft(power)
    assert back.dtype == dtype
    assert back.tobytes() == scipy.fft.dct(power, type=1, norm="forward").tobytes()


def test_the_way_back_from_a_power_spectrum_is_the_inverse_transform() -> None:
    import scipy.fft  # noqa: PLC0415

    power = np.square(np.abs(rfft(np.random.default_rng(1).normal(size=(3, 512)), 640)))
    np.testing.assert_allclose(even_irfft(power), scipy.fft.irfft(power, 640)[:, :321], atol=1e-12)


def test_lengths_are_those_of_scipy() -> None:
    import scipy.fft  # noqa: PLC0415

    assert [fast_length(n) for n in range(1, 700)] == [scipy.fft.next_fast_len(n, real=True) for n in range(1, 700)]


def test_what_is_no_number_of_samples_is_not_changed() -> None:
    values = np.ones((2, 8), np.float32)
    assert rfft(values).shape == rfft(values, 8).shape == (2, 5)
    assert (values == 1).all()


@pytest.mark.parametrize("before", ["", "import scipy.fft\n"])
def test_a_worker_does_without_the_rest_of_scipy_and_does_not_mind_it(before: str) -> None:
    code = f"""{before}import sys
import worker.service
from undertone.acoustics.transform import _pocketfft
print(*sorted(name for name in sys.modules if name.startswith(("scipy.fft", "numpy.f2py"))))
import scipy.fft
assert sys.modules["scipy.fft._pocketfft.pypocketfft"] is _pocketfft
assert scipy.fft.rfft([1.0, 2.0, 3.0]).size == 2
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if not before:
        assert done.stdout.split() == ["scipy.fft._pocketfft.pypocketfft"]
