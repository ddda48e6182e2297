"""Builds the one extension; everything else about the package is in pyproject.toml."""

import glob
import os
import shlex

from Cython.Build import cythonize
from setuptools import Extension, setup

# The bit contract: no contraction of a*b+c, no reassociation, no flush to zero, whatever CFLAGS says.
FLAGS = ["-O3", "-std=c11", "-fno-fast-math", "-ffp-contract=off"]

recorded = " ".join(shlex.split(os.environ.get("CFLAGS", "")) + FLAGS)

setup(
    ext_modules=cythonize(
        [
            Extension(
                "twonn._core",
                ["src/twonn/_core.pyx"],
                depends=["src/twonn/_core.pxd", *sorted(glob.glob("src/twonn/_kernel/*"))],
                extra_compile_args=FLAGS,
                # With -ffast-math a linker adds start-up code that flushes subnormals to zero.
                extra_link_args=["-fno-fast-math"],
                define_macros=[("TWONN_FLAGS", f'"{recorded}"')],
            )
        ],
        include_path=["src"],
    )
)
