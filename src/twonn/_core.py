"""The kernel: that build of _core.pyx which fits this processor best, or the one that TWONN_ISA names."""

import os
import sys
import warnings
from importlib import import_module
from types import ModuleType

_BASELINE = "twonn._core_baseline"
_VARIABLE = "TWONN_ISA"


def _chosen() -> ModuleType:
    """Return the build to use, having checked that this processor can run it."""
    baseline = import_module(_BASELINE)
    usable = baseline.usable_instruction_sets()
    wanted = os.environ.get(_VARIABLE) or usable[-1]
    if wanted not in usable:
        raise ImportError(
            f"{_VARIABLE}: got {wanted!r}, expected one of {', '.join(map(repr, usable))}, which this build "
            f"of twonn has and this processor can run. Set {_VARIABLE} to one of them, or leave it unset for "
            "the widest."
        )
    while wanted != baseline.ISA:
        try:
            return import_module(f"twonn._core_{wanted}")
        except ImportError as error:
            narrower = usable[usable.index(wanted) - 1]
            warnings.warn(
                f"the kernel for {wanted} is missing or cannot be loaded ({error}); twonn uses the one "
                f"for {narrower}, which gives the same bits more slowly. Reinstall twonn to repair this.",
                RuntimeWarning,
                stacklevel=2,
            )
            wanted = narrower
    return baseline


sys.modules[__name__] = _chosen()
