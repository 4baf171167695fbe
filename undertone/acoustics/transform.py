"""SciPy's real transforms, without what `scipy.fft` loads beside them.

`import scipy.fft` brings SciPy's array API with it, and half of NumPy that nobody else asks for: a quarter of the
processor time in which a worker starts. The transforms themselves are one compiled file, which is loaded by itself.
"""

import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_NAME = "scipy.fft._pocketfft.pypocketfft"
# As C++ has them: which way, and divided by nothing or by the whole signal's length.
_FORWARD, _UNSCALED, _BY_LENGTH = True, 0, 2


def _load() -> ModuleType:
    """The compiled file, under its own name, so that `scipy.fft` finds it where something else loads that."""
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    scipy = importlib.util.find_spec("scipy")
    for folder in (scipy.submodule_search_locations or ()) if scipy else ():
        for suffix in EXTENSION_SUFFIXES:
            file = Path(folder, "fft", "_pocketfft", f"pypocketfft{suffix}")
            spec = importlib.util.spec_from_file_location(_NAME, file) if file.exists() else None
            if spec and spec.loader:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                sys.modules[_NAME] = module
                return module
    return importlib.import_module(_NAME)  # a SciPy that is laid out otherwise


_pocketfft = _load()


def rfft(values: Floats, n: int | None = None) -> NDArray[np.complexfloating]:
    """The transform of real rows, with zeros up to `n`; bit for bit `scipy.fft.rfft`, float32 stays float32."""
    if n is not None and n != values.shape[-1]:
        padded = np.zeros((*values.shape[:-1], n), values.dtype)
        padded[..., : values.shape[-1]] = values
        values = padded
    found: NDArray[np.complexfloating] = _pocketfft.r2c(values, (-1,), _FORWARD, _UNSCALED, None, 1)
    return found


def even_irfft(power: Floats) -> Floats:
    """Rows of an even signal from its spectrum, which is real: [..., n // 2 + 1] to the first n // 2 + 1 of n values.

    Bit for bit `scipy.fft.dct(power, type=1, norm="forward")`.
    """
    found: Floats = _pocketfft.dct(power, 1, (-1,), _BY_LENGTH, None, 1)
    return found


def fast_length(least: int) -> int:
    """The next length that real transforms are quick at."""
    return int(_pocketfft.good_size(least, True))
