"""The kernel without vector types: its headers are standard C++ then, and their functions give the same bits.

Whole runs are tested by the other files, with a kernel that is built so (make scalar).
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HEADERS = Path(__file__).resolve().parents[1] / "src" / "twonn" / "_kernel"
NAMES = sorted(path.name for path in HEADERS.glob("*.h"))

#: As a compiler that has no vector types takes them; it defines none of these names.
STANDARD = ["-std=c++17", "-U__GNUC__", "-U__clang__"]
WITHOUT_VECTOR_TYPES = ["-std=c++17", "-DTWONN_NO_VECTOR_TYPES"]

INCLUDES = "".join(f'#include "{name}"\n' for name in ("build.h", "nodes.h", "smooth.h", "optimizers.h"))

#: C as well as C++. What compares, on numbers of every kind, and the functions on a leap.
PROGRAM = (
    INCLUDES
    + r"""
#include <math.h>
#include <stdio.h>

static void print(double value) { printf("%a\n", value); }
static void print_pair(pair p) { print(first(p)), print(second(p)); }

static void pairs(double a, double b)
{
    const pair p = pair_of(a, b), q = pair_of(b, 1.0);
    const pair_mask is_above = above(p, q);
    print_pair(firsts(p, q));
    print_pair(seconds(p, q));
    print_pair(larger(p, q));
    print_pair(where(is_above, p));
    print_pair(-p);
    printf("%d %d\n", pattern_of(is_above, above(q, p)), both_within(p, 1.0));
}

static void patterns(void)
{
    for (int pattern = 0; pattern < 16; pattern++) {
        const pair_mask point0 = active_neurons(pattern, 0), point1 = active_neurons(pattern, 1);
        printf("%d\n", pattern_of(point0, point1));
        print_pair(where(point0, both(3.0)));
        print_pair(where(point1, both(5.0)));
    }
}

static void leaps(void)
{
    nodes matrix[NODES + 1], x, y;
    for (int c = 0; c <= NODES; c++)
        for (int n = 0; n < NODES; n++)
            matrix[c].at[n] = 1.0 / (1 + c + n * n);
    for (int start = -760; start < 760; start += 7) {
        for (int n = 0; n < NODES; n++)
            x.at[n] = start + n * 0.3;
        exp_nodes(&x, &y);
        apply(matrix, 0.1, &y, &x);
        for (int n = 0; n < NODES; n++)
            print(y.at[n]), print(x.at[n]);
    }
}

int main(void)
{
    const double numbers[] = {0.0, -0.0, 1.0, -1.0, 1.5, 5e-324, INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 9; j++)
            pairs(numbers[i], numbers[j]);
    patterns();
    leaps();
    return 0;
}
"""
)

#: What only gcc and clang know.
EXTENSIONS = r"__attribute__|__builtin|vector_size|__m128|_mm_|#\s*pragma|\btypeof\b"


def compiler(*names: str) -> str:
    """Return the first of these that there is; without the sources or any of them the test is skipped."""
    if not NAMES:
        pytest.skip("needs a C compiler and the sources")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("there is no C++ compiler" if "c++" in names else "needs a C compiler and the sources")
    return found


def c_plus_plus() -> str:
    return compiler("g++", "c++", "clang++")


def compiled(tmp_path: Path, program: str, command: str, *flags: str) -> str:
    """Return what the compiler prints of a program, or fails with."""
    source = tmp_path / "program.c"
    source.write_text(program)
    language = "c++" if "-std=c++17" in flags else "c"
    done = subprocess.run(
        [command, f"-I{HEADERS}", "-O3", "-ffp-contract=off", *flags, "-x", language, str(source), "-lm"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("flags", [STANDARD, WITHOUT_VECTOR_TYPES])
def test_the_headers_are_standard_without_vector_types(flags, tmp_path):
    strict = ("-Wall", "-Wextra", "-pedantic-errors", "-Werror", "-Wno-unused-function", "-fsyntax-only")
    compiled(tmp_path, INCLUDES, c_plus_plus(), *flags, *strict)


def test_other_compilers_see_no_extension_of_gcc(tmp_path):
    """Attributes, for one, pass as standard. So the text that is left of the headers is searched."""
    for name in ("float.h", "math.h", "stdint.h", "string.h"):  # with their own text out of the way
        (tmp_path / name).touch()
    text = compiled(tmp_path, INCLUDES, c_plus_plus(), *STANDARD, "-E", "-nostdinc", "-nostdinc++", "-I.")
    assert all(f'{name}"' in text for name in NAMES)  # each of them is included
    assert not re.findall(rf"^.*(?:{EXTENSIONS}).*$", text, re.MULTILINE)


def test_the_instruction_set_is_scalar_whatever_the_processor_has(tmp_path):
    text = compiled(tmp_path, INCLUDES + "isa = TWONN_ISA", c_plus_plus(), *WITHOUT_VECTOR_TYPES, "-E")
    assert text.endswith('isa = "scalar"\n')


def test_the_functions_give_the_same_bits(tmp_path):
    printed = []
    for command, flags in (
        (compiler("gcc", "cc", "clang"), ["-std=c11"]),
        (c_plus_plus(), WITHOUT_VECTOR_TYPES),
    ):
        compiled(tmp_path, PROGRAM, command, *flags)
        done = subprocess.run([tmp_path / "a.out"], capture_output=True, text=True, check=True)
        printed.append(done.stdout.splitlines())
    with_vector_types, without = printed
    assert len(without) > 10_000
    assert with_vector_types == without


def test_a_c_compiler_without_vector_types_is_told_what_to_do(tmp_path):
    source = tmp_path / "program.c"
    source.write_text(INCLUDES)
    done = subprocess.run(
        [compiler("gcc", "cc", "clang"), f"-I{HEADERS}", "-DTWONN_NO_VECTOR_TYPES", "-E", str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "compiled as C++: set CFLAGS=-DTWONN_NO_VECTOR_TYPES" in done.stderr
