"""Builds the kernel, once per instruction set; everything else about the package is in pyproject.toml."""

import glob
import os
import shlex
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup

CFLAGS = shlex.split(os.environ.get("CFLAGS", ""))
MSVC = sysconfig.get_platform().startswith("win")

# Without the vector types of gcc and clang the kernel is compiled as C++ (_kernel/vector_types.h).
SCALAR = MSVC or "-DTWONN_NO_VECTOR_TYPES" in CFLAGS

# The bit contract: no contraction of a*b+c, no reassociation, no flush to zero, whatever CFLAGS says.
if MSVC:
    FLAGS = ["/O2", "/std:c++17", "/utf-8", "/fp:strict"]
else:
    FLAGS = ["-O3", "-std=c++17" if SCALAR else "-std=c11", "-fno-fast-math", "-ffp-contract=off"]

# The baseline is what every processor of the kind has (SSE2 on x86-64, NEON on aarch64); wider builds are
# chosen at import. The platform that is built for may not be this machine's, as on macOS.
BUILDS = {"baseline": []}
if sysconfig.get_platform().endswith("x86_64") and not SCALAR:
    BUILDS["avx2"] = ["-mavx2"]
    BUILDS["avx512"] = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]

# Fewer, by their names, for builds that are only looked into (make sanitize).
BUILDS = {name: BUILDS[name] for name in os.environ.get("TWONN_BUILDS", " ".join(BUILDS)).split()}

KERNEL = "src/twonn/_core.pyx"


def build(name: str, flags: list[str]) -> Extension:
    """Return one build of the kernel: a file that includes what Cython makes of it."""
    source = "scalar.cpp" if SCALAR else f"{name}.c"
    flags = [*CFLAGS, *FLAGS, *flags]  # setuptools gives CFLAGS to C only
    return Extension(
        f"twonn._core_{name}",
        [f"src/twonn/_kernel/{source}"],
        depends=[KERNEL, "src/twonn/_core.pxd", *sorted(glob.glob("src/twonn/_kernel/*"))],
        extra_compile_args=flags,
        # With -ffast-math a linker adds start-up code that flushes subnormals to zero.
        extra_link_args=[] if MSVC else ["-fno-fast-math"],
        define_macros=[("TWONN_FLAGS", f'"{" ".join(flags)}"')],
    )


cythonize(
    [Extension("twonn._core", [KERNEL], depends=glob.glob("src/twonn/_kernel/*.pxi"))], include_path=["src"]
)
setup(
    ext_modules=[build(name, flags) for name, flags in BUILDS.items()],
    options={"build_ext": {"parallel": len(BUILDS)}},
)
