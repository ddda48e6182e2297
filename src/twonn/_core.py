"""The kernel: that build of _core.pyx which fits this processor best, or the one that TWONN_ISA names."""

import os
import sys
from importlib import import_module

_BASELINE = "twonn._core_baseline"
_VARIABLE = "TWONN_ISA"


def _chosen() -> str:
    """Return the name of the build to use, having checked that this processor can run it."""
    baseline = import_module(_BASELINE)
    usable = baseline.usable_instruction_sets()
    wanted = os.environ.get(_VARIABLE) or usable[-1]
    if wanted not in usable:
        raise ImportError(
            f"{_VARIABLE}: got {wanted!r}, expected one of {', '.join(map(repr, usable))}, which this build "
            f"of twonn has and this processor can run. Set {_VARIABLE} to one of them, or leave it unset for "
            "the widest."
        )
    return _BASELINE if wanted == baseline.ISA else f"twonn._core_{wanted}"


sys.modules[__name__] = import_module(_chosen())
