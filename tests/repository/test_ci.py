"""What .ci/run does with its stages: which have to pass, which are left out and say so.

Stand-ins play make and the compilers; no stage is carried out.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Writes what it is asked for, and fails where FAIL names a target.
MAKE = """#!/bin/sh
echo "$@" >> "$LOG"
for target in "$@"; do
    case " $FAIL " in *" $target "*) exit 2;; esac
done
"""


@pytest.fixture
def ci(tmp_path):
    """Return a function that runs .ci/run, and returns its status and output, and what make was asked."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    (checkout / ".ci").mkdir(parents=True)
    (checkout / ".venv" / "bin").mkdir(parents=True)
    tools.mkdir()
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci")
    script(checkout / ".venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    script(tools / "make", MAKE)
    script(tools / "gcc", "echo /nowhere/libasan.so")
    for name in ("bash", "dirname", "timeout", "mktemp", "tail", "rm", "sh", "env", "cat"):
        (tools / name).symlink_to(shutil.which(name))

    def run(fail="", **variables):
        log = tmp_path / "log"
        log.write_text("")
        done = subprocess.run(
            [tools / "bash", checkout / ".ci" / "run"],
            env={"PATH": str(tools), "HOME": str(tmp_path), "LOG": str(log), "FAIL": fail, **variables},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, log.read_text().splitlines()

    run.tools = tools
    return run


def script(path, text):
    path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def other_python(tools, minor):
    """Put a Python of this version on the path, as far as .ci/run looks into it."""
    program = f"import sys; sys.version_info = (3, {minor}, 0, 'final', 0); exec(sys.argv.pop(1))"
    script(tools / f"python3.{minor}", f'shift; exec {sys.executable} -c "{program}" "$@"')


FIRST = ["lint", "torch", "test", ".venv/installed-docs", "docs"]

OTHER = next(minor for minor in (13, 12) if minor != sys.version_info.minor)


def test_a_machine_with_nothing_else_passes_and_says_what_is_left_out(ci):
    status, output, asked = ci()
    assert status == 0, output
    assert asked[:5] == FIRST
    assert "make lint" in output and "tests: 0 s" in output
    assert asked[5:] == ["build/lowest/installed", "lowest TESTS=-m core -q"]
    for line in (
        "sanitizers: left out: there is no gcc with libasan",
        "scalar: left out: there is no C++ compiler",
        "other Pythons: left out: there are none",
        "clang: left out: there is none",
    ):
        assert output.count(line) == 2  # when it is found out, and at the end
    assert output.index(".ci/run: passed") < output.rindex("clang: left out")


@pytest.mark.parametrize("target", ["lint", "test", "docs", "lowest"])
def test_a_stage_that_fails_ends_it(target, ci):
    status, output, asked = ci(fail=target)
    assert status == 1
    assert asked[-1].split()[0] == target
    assert "FAILED after 0 s; repeat it with: make" in output and ".ci/run: FAILED" in output


def test_without_pytorch_its_tests_may_be_skipped(ci):
    script(ci.tools / "make", MAKE.replace('echo "$@"', 'echo "$@" "[$TWONN_CI $TWONN_WITHOUT]"'))
    status, output, asked = ci(fail="torch")
    assert status == 0
    assert "torch: left out, after 0 s" in output
    assert asked[1:3] == ["torch [1 ]", "test [1 torch]"]


def test_the_lowest_versions_are_left_out_where_they_cannot_be_installed(ci):
    status, output, asked = ci(fail="build/lowest/installed")
    assert status == 0 and asked[-1] == "build/lowest/installed"
    assert "lowest versions, installation: left out" in output


def test_each_other_python_is_tested_with_a_wheel_of_its_own(ci):
    other_python(ci.tools, OTHER)
    # As a version manager leaves it for a version that it has not.
    script(ci.tools / "python3.14", "echo 'python3.14: command not found' >&2; exit 127")
    status, output, asked = ci()
    assert status == 0, output
    folder, given = f"build/python3.{OTHER}", f"PYTHON={ci.tools}/python3.{OTHER} VENV=build/python3.{OTHER}"
    assert asked[7:] == [
        f"{folder}/bin/python {given}",
        f"{folder}/wheel/made {given}",
        f"{folder}/installed-test {given}",
        f"test {given} TESTS=-m core -q",
    ]
    assert "python3.14" not in output


@pytest.mark.parametrize(("target", "status"), [("bin/python", 0), ("wheel/made", 1), ("installed-test", 0)])
def test_an_other_python_without_its_packages_is_left_out_but_must_build_ours(target, status, ci):
    other_python(ci.tools, OTHER)
    code, output, asked = ci(fail=f"build/python3.{OTHER}/{target}")
    assert code == status
    assert target in asked[-1]
    assert ("left out, after" if status == 0 else "FAILED after") in output


def test_after_the_time_is_up_no_further_stage_begins(ci):
    other_python(ci.tools, OTHER)
    status, output, asked = ci(TWONN_CI_SECONDS="0")
    assert status == 0
    assert asked == FIRST
    for name in ("sanitizers", "scalar", "lowest versions", f"python3.{OTHER}", "clang"):
        assert f"{name}: left out: 0 s were over" in output


def test_a_later_stage_that_is_not_over_in_time_is_left_out(ci):
    (ci.tools / "sleep").symlink_to(shutil.which("sleep"))
    script(ci.tools / "make", MAKE + 'case "$*" in lowest*) sleep 60;; esac')
    status, output, asked = ci(TWONN_CI_END="1")
    assert status == 0, output
    assert asked[-1] == "lowest TESTS=-m core -q"
    assert "lowest versions: left out: not over after" in output


def test_the_documentation_is_left_out_where_its_packages_are_not_to_be_had(ci):
    status, output, asked = ci(fail=".venv/installed-docs")
    assert status == 0 and "docs" not in asked
    assert "documentation, installation: left out" in output


@pytest.mark.parametrize("compiler", ["g++", "c++"])
def test_the_build_without_vector_types_needs_a_c_plus_plus_compiler(compiler, ci):
    script(ci.tools / compiler, "true")
    status, output, asked = ci()
    assert status == 0, output
    assert asked[5:] == ["scalar TESTS=-m core -q", "build/lowest/installed", "lowest TESTS=-m core -q"]
    assert ci(fail="scalar")[0] == 1


def test_clang_and_sanitizers_are_used_where_they_are(ci, tmp_path):
    (tmp_path / "libasan.so").touch()
    script(ci.tools / "gcc", f"echo {tmp_path}/libasan.so")
    script(ci.tools / "clang", "true")
    status, output, asked = ci()
    assert status == 0, output
    assert asked[5] == "sanitize FORGERIES=9 TESTS=-m core -q"
    assert asked[-1] == "clang TESTS=-m core -q"
    assert "left out: there are none" in output  # other Pythons
