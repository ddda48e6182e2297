"""Describes this installation: versions, compiler, instruction set, and whether arithmetic is sound."""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping

import numpy as np

from twonn import _core
from twonn.values import FrozenMapping, public

__all__ = ["configuration", "provenance", "require_sound_arithmetic", "show_config"]


@functools.cache
def provenance() -> Mapping[str, str]:
    """Return what every result carries about the build that computed it."""
    return FrozenMapping(
        {
            "twonn": _version("twonn"),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "compiler": _core.COMPILER,
            "flags": _core.FLAGS,
            "instruction set": _core.ISA,
        }
    )


def configuration() -> dict[str, str]:
    """Return versions, compiler, flags, instruction set and the floating-point self-check."""
    optional = ("scipy", "matplotlib", "pandas", "xarray", "zarr", "dask", "distributed")
    faults = _core.arithmetic_faults()
    return {
        **provenance(),
        **{name: _version(name) for name in optional},
        "floating point": "; ".join(faults) if faults else "IEEE binary64, as required",
    }


@public
def show_config() -> None:
    """Print versions, compiler, flags, the instruction set in use and a floating-point self-check.

    The self-check asks the processor, in the calling thread, whether a*b + c is rounded twice, rounding
    is to nearest, subnormal numbers are kept, and intermediate results are binary64.
    """
    for name, value in configuration().items():
        print(f"{name:>16}  {value}")


def require_sound_arithmetic() -> None:
    """Refuse to compute where the bits would not be those promised.

    Raises
    ------
    RuntimeError
        If some library has set this thread to flush subnormals or to another rounding direction.
    """
    if faults := _core.arithmetic_faults():
        raise RuntimeError(
            f"the floating-point arithmetic of this thread is not IEEE binary64: {'; '.join(faults)}. "
            "Some library has changed the processor's mode (for PyTorch, call "
            "torch.set_flush_denormal(False)); results would be wrong in the last digits."
        )


@functools.cache  # reading package metadata takes longer than a short run
def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # long to import

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def provenance_of(text: str) -> dict[str, str]:
    """Return what a JSON text says of the builds that computed a result, if it says that."""
    said = json.loads(text)
    if not isinstance(said, dict) or not all(
        isinstance(value, str) and value.isprintable() and name.isprintable() for name, value in said.items()
    ):
        raise ValueError("provenance is not an object of printable texts")
    return said
