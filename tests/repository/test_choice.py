"""What tests/conftest.py chooses: the core, the long forms, and which skips fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

SKIPPING = """
import pytest

@pytest.mark.skipif(True, reason="the weather is bad")
def test_marked(): ...

def test_called():
    pytest.skip("there is no time")

def test_missing():
    pytest.importorskip("torch_that_is_nowhere")

@pytest.mark.skipif(True, reason="x86 only")
def test_allowed(): ...

@pytest.mark.xfail
def test_expected(): assert False
"""

CHOOSING = """
import pytest

@pytest.mark.long
def test_hours(): ...

def test_first(): ...

def test_second(): ...
"""

MARKED = CHOOSING.replace("def test_second", "@pytest.mark.core\ndef test_second")


def collected(folder, files, *options, **variables):
    """Return the exit code and the output of a session with this conftest and these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TWONN"))}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, "--rootdir", ".", "-c", os.devnull, "-rA", *options],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(TESTS), **variables},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_skips_are_skips_elsewhere(tmp_path):
    code, output = collected(tmp_path, {"test_skips.py": SKIPPING})
    assert code == 0 and "4 skipped, 1 xfailed" in output


def test_skips_fail_in_continuous_integration(tmp_path):
    code, output = collected(tmp_path, {"test_skips.py": SKIPPING}, TWONN_CI="1")
    assert code == 1 and "2 failed, 1 skipped, 1 xfailed, 1 error" in output
    for reason in ("the weather is bad", "there is no time", "could not import 'torch_that_is_nowhere'"):
        assert f"Skipped: {reason}" in output
    assert "SKIPS of tests/conftest.py" in output


def test_a_package_that_could_not_be_had_is_named(tmp_path):
    text = SKIPPING[
        SKIPPING.index("def test_missing") : SKIPPING.index('@pytest.mark.skipif(True, reason="x86')
    ]
    variables = {"TWONN_CI": "1", "TWONN_WITHOUT": "torch_that_is_nowhere another"}
    code, output = collected(tmp_path, {"test_skips.py": "import pytest\n" + text}, **variables)
    assert code == 0 and "1 skipped" in output


def test_a_file_that_is_skipped_whole_fails_too(tmp_path):
    text = "import pytest\npytest.importorskip('torch_that_is_nowhere')\ndef test_one(): ..."
    assert collected(tmp_path, {"test_skips.py": text})[0] == 5  # no test
    code, output = collected(tmp_path, {"test_skips.py": text}, TWONN_CI="1")
    assert code == 2 and "SKIPS of tests/conftest.py" in output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "a.first a.second b.first b.second c.first c.second"),
        ("core", "a.first b.second"),
        ("not core", "a.second b.first c.first c.second"),
        ("long", "a.hours b.hours c.hours"),
    ],
)
def test_the_choice(options, expected, tmp_path):
    files = {"test_a.py": CHOOSING, "test_b.py": MARKED, "repository/test_c.py": CHOOSING}
    code, output = collected(tmp_path, files, "-m", options)
    passed = re.findall(r"^PASSED .*test_(\w)\.py::test_(\w+)", output, re.MULTILINE)
    assert code == 0 and sorted(map(".".join, passed)) == expected.split()
