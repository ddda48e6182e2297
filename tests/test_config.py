"""What the installation says of itself, and the floating-point self-check made to fail."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import twonn
from twonn import _core, config

ROOT = Path(__file__).resolve().parents[1]
HEADER = ROOT / "src" / "twonn" / "_kernel" / "build.h"

PROGRAM = """
#include <stdio.h>
#ifdef FLUSH
#include <xmmintrin.h>
#endif
#ifdef DIRECTED
#include <fenv.h>
#endif
#include "build.h"
int main(void)
{
#ifdef FLUSH
    _mm_setcsr(_mm_getcsr() | FLUSH);
#endif
#ifdef DIRECTED
    fesetround(DIRECTED);
#endif
    printf("%d", twonn_arithmetic_faults());
    return 0;
}
"""

COMPILER = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(
    COMPILER is None or not HEADER.exists(), reason="needs a C compiler and the sources"
)
needs_x86 = pytest.mark.skipif(
    not any(name in sysconfig.get_platform() for name in ("x86_64", "amd64")), reason="x86 only"
)


def faults(tmp_path: Path, *flags: str) -> int:
    source = tmp_path / "check.c"
    source.write_text(PROGRAM)
    program = tmp_path / "check"
    subprocess.run(
        [
            COMPILER,
            "-O3",
            "-ffp-contract=off",
            f"-I{HEADER.parent}",
            *flags,
            str(source),
            "-o",
            str(program),
            "-lm",
        ],
        check=True,
    )
    return int(subprocess.run([program], capture_output=True, text=True, check=True).stdout)


@needs_compiler
def test_the_check_passes_with_the_flags_of_the_build(tmp_path):
    assert faults(tmp_path) == 0


def has_fma() -> bool:
    try:
        return " fma " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


@needs_compiler
@needs_x86
@pytest.mark.skipif(not has_fma(), reason="this processor has no fused multiply-add")
def test_the_check_finds_contraction(tmp_path):
    assert faults(tmp_path, "-mfma", "-ffp-contract=fast") & 1


@needs_compiler
@pytest.mark.parametrize("direction", ["FE_UPWARD", "FE_DOWNWARD", "FE_TOWARDZERO"])
def test_the_check_finds_directed_rounding(tmp_path, direction):
    assert faults(tmp_path, f"-DDIRECTED={direction}") & 2


@needs_compiler
@needs_x86
@pytest.mark.parametrize("mode", ["0x8000", "0x0040", "0x8040"])  # flush to zero, denormals are zero
def test_the_check_finds_flushing(tmp_path, mode):
    assert faults(tmp_path, f"-DFLUSH={mode}") & 4


@needs_compiler
@needs_x86
def test_the_check_finds_excess_precision(tmp_path):
    assert faults(tmp_path, "-mfpmath=387") & 8


def test_this_installation_is_sound():
    assert _core.arithmetic_faults() == []
    config.require_sound_arithmetic()


def test_a_run_is_refused_where_the_arithmetic_is_unsound(monkeypatch):
    monkeypatch.setattr(_core, "arithmetic_faults", lambda: ["subnormal numbers are flushed to zero"])
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    with pytest.raises(RuntimeError, match=r"subnormal .* flushed .*set_flush_denormal\(False\)"):
        twonn.run(problem, twonn.Params(w=[1.0, -1.0]), steps=1)


def test_show_config_names_versions_compiler_flags_and_the_check(capsys):
    twonn.show_config()
    text = capsys.readouterr().out
    for expected in (
        "twonn",
        "numpy",
        "compiler",
        "-ffp-contract=off",
        "instruction set",
        "IEEE binary64, as required",
        _core.COMPILER,
        sys.version.split()[0],
    ):
        assert expected in text
    assert "-ffast-math" not in text.replace("-fno-fast-math", "")
    assert "-march" not in text


def test_show_config_says_what_is_wrong(capsys, monkeypatch):
    monkeypatch.setattr(_core, "arithmetic_faults", lambda: ["rounding is not to nearest"])
    twonn.show_config()
    assert "rounding is not to nearest" in capsys.readouterr().out


def test_results_carry_their_provenance():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    traj = twonn.run(problem, twonn.Params(w=[1.0, -1.0]), steps=1)
    assert traj.provenance == config.provenance()
    assert {"twonn", "numpy", "compiler", "flags", "instruction set"} <= traj.provenance.keys()


def test_a_package_that_is_missing_is_said_to_be():
    assert config._version("a-package-of-nobody") == "not installed"


@pytest.mark.parametrize("text", ["[]", '{"twonn": 1}', '{"twonn": "\\u001b[2J"}', '{"\\u001b[2J": "1"}'])
def test_provenance_is_an_object_of_printable_texts(text):
    assert config.provenance_of('{"twonn": "1"}') == {"twonn": "1"}
    with pytest.raises(ValueError, match="provenance is not an object of printable texts"):
        config.provenance_of(text)
