"""On a machine that lacks something make says so in one sentence, and a second try trips over nothing.

What is missing is played by stand-ins: a Python that has no ensurepip, a compiler that fails.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECK = ROOT / "tools" / "check_machine.py"

SYSTEMS = {
    "debian": 'ID=debian\nVERSION_ID="12"\n',
    "ubuntu": "ID=ubuntu\nID_LIKE=debian\n",
    "fedora": "ID=fedora\n",
    "rocky": 'ID="rocky"\nID_LIKE="rhel centos fedora"\n',
    "other": "ID=plan9\n",
}

#: Modules found before those of the Python that is stood in for.
NO_ENSUREPIP = {"ensurepip.py": "raise ImportError('as Debian without python3-venv')"}
NO_HEADER = {"sitecustomize.py": "import sysconfig\nsysconfig.get_path = lambda *a, **k: '/nowhere'"}
OLD = {"sitecustomize.py": "import sys\nsys.version_info = (3, 10, 14)"}

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="names the packages of Linux systems")


@pytest.fixture
def python(tmp_path):
    """Return a function that makes a Python with other modules before its own, and returns its path."""

    def make(modules: dict[str, str]) -> str:
        folder = tmp_path / "modules"
        folder.mkdir()
        for name, text in modules.items():
            (folder / name).write_text(text, encoding="utf-8")
        return script(f'PYTHONPATH={shlex.quote(str(folder))} exec {shlex.quote(sys.executable)} "$@"')

    def script(text: str) -> str:
        path = tmp_path / "python-of-this-test"
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    make.script = script
    return make


def environment(tmp_path, system="debian", **variables):
    """Return the environment of a machine of this system, without what make tells its children."""
    release = tmp_path / "os-release"
    release.write_text(SYSTEMS[system], encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return {**kept, "OS_RELEASE": str(release), **variables}


def said(python, tmp_path, **options):
    """Return what the check says, which is one line, or nothing."""
    done = subprocess.run(
        [python, str(CHECK)], env=environment(tmp_path, **options), capture_output=True, text=True
    )
    assert done.stdout == "" and done.returncode == bool(done.stderr), done
    assert done.stderr.count("\n") == bool(done.stderr)
    return done.stderr.strip()


def test_where_all_is_there_nothing_is_said(tmp_path):
    assert said(sys.executable, tmp_path) == ""


@linux_only
@pytest.mark.parametrize(
    ("system", "command"),
    [
        ("debian", "apt install python3.{}-venv"),
        ("ubuntu", "apt install python3.{}-venv"),
        ("fedora", "dnf install python3"),
        ("rocky", "dnf install python3"),
        ("other", "the packages of your system that bring it."),
    ],
)
def test_python_without_ensurepip(system, command, python, tmp_path):
    sentence = said(python(NO_ENSUREPIP), tmp_path, system=system)
    assert "needs the modules venv and ensurepip, which this machine lacks: install" in sentence
    assert sentence.endswith(command.format(sys.version_info.minor))


@linux_only
def test_python_without_its_header(python, tmp_path):
    sentence = said(python(NO_HEADER), tmp_path)
    assert "needs Python.h, which" in sentence
    assert sentence.endswith(f"apt install python3.{sys.version_info.minor}-dev")


@linux_only
@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"], ids=["missing", "failing"])
def test_no_compiler(compiler, tmp_path):
    sentence = said(sys.executable, tmp_path, CC=compiler)
    assert "needs a C compiler, which" in sentence and sentence.endswith("apt install gcc libc6-dev")


@linux_only
def test_all_that_is_missing_is_one_sentence(python, tmp_path):
    sentence = said(python(NO_ENSUREPIP | NO_HEADER), tmp_path, system="fedora", CC="/nowhere/cc")
    assert "needs the modules venv and ensurepip, Python.h and a C compiler, which" in sentence
    assert sentence.endswith("install them, as root, with: dnf install python3 python3-devel gcc")


def test_a_python_that_is_too_old(python, tmp_path):
    sentence = said(python(OLD), tmp_path)
    assert sentence.startswith("twonn needs Python 3.11 or newer") and "make PYTHON=" in sentence


# --------------------------------------------------------------------------------------------------
# make


@pytest.fixture
def checkout(tmp_path):
    """Return a folder with as much of the sources as make looks at before it builds."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "tools", folder / "tools")
    (folder / "src").mkdir()
    for name in ("Makefile", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(checkout, *arguments, **options):
    return subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env=environment(checkout.parent, **options),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("target", ["reproduce", "test", "lint", "docs", "bench-quick", "lowest"])
def test_make_refuses_before_it_makes_anything(target, checkout, python):
    before = sorted(checkout.rglob("*"))
    done = make(checkout, target, f"PYTHON={python(NO_ENSUREPIP)}")
    assert done.returncode != 0
    sentence, *rest = done.stderr.strip().splitlines()
    assert "needs the modules venv and ensurepip" in sentence
    assert all(line.startswith("make") for line in rest)
    assert sorted(checkout.rglob("*")) == before


def test_make_without_any_python(checkout):
    done = make(checkout, "test", "PYTHON=/nowhere/python3")
    assert done.returncode != 0 and "there is no /nowhere/python3" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_environment_that_was_cut_short_leaves_nothing(checkout, python):
    """As ``python -m venv`` does where ensurepip fails: Python is there, pip is not, and it has failed."""
    cut_short = python.script(
        'if [ "$2" = venv ]; then mkdir -p "$3/bin"; touch "$3/bin/python"; exit 1; fi\n'
        f'exec {shlex.quote(sys.executable)} "$@"'
    )
    done = make(checkout, "test", f"PYTHON={cut_short}")
    assert done.returncode != 0
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("broken", ["without pip", "killed", "of a Python that has gone"])
def test_a_broken_environment_does_not_pass_for_a_good_one(broken, checkout):
    python = checkout / ".venv" / "bin" / "python"
    if broken == "without pip":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    else:
        python.parent.mkdir(parents=True)
        python.touch() if broken == "killed" else python.symlink_to("/nowhere/python3")
    stale = checkout / ".venv" / "installed-test"
    stale.touch()
    done = make(checkout, ".venv/bin/python", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    subprocess.run([python, "-m", "pip", "--version"], check=True, stdout=subprocess.DEVNULL)
    assert not stale.exists()
    # And one that works is kept.
    kept = python.lstat().st_ctime_ns
    assert make(checkout, ".venv/bin/python", f"PYTHON={sys.executable}").returncode == 0
    assert python.lstat().st_ctime_ns == kept


def test_what_was_installed_into_a_broken_environment_is_installed_again(checkout):
    """Its marks are newer than all sources, but it is made anew."""
    environment = checkout / ".venv"
    (environment / "wheel").mkdir(parents=True)
    for mark in ("wheel/made", "installed", "installed-test"):
        (environment / mark).touch()
    planned = make(checkout, "--dry-run", "test", f"PYTHON={sys.executable}").stdout
    for step in ("rm -rf .venv", "-m venv .venv", "pip wheel", "[test]", "pytest"):
        assert step in planned
        planned = planned[planned.index(step) :]


def test_the_readme_names_the_packages():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in (
        "apt install make gcc libc6-dev python3-venv python3-dev",
        "dnf install make gcc python3-devel",
        "xcode-select --install",
    ):
        assert command in readme
