"""What is shipped: the source distribution holds all that is kept here, and the files of a release agree."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]

#: What the tools add of their own.
MADE = {"PKG-INFO", "setup.cfg"}

BUILD = "import sys, setuptools.build_meta; setuptools.build_meta.build_sdist(sys.argv[1])"


def kept() -> set[str]:
    """Return the files that are under version control, or about to be."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


def test_the_source_distribution_holds_all_that_is_kept_and_nothing_else(tmp_path):
    tree = tmp_path / "tree"
    # In a copy without what earlier builds have left: the list of an old distribution would be believed.
    translated = ROOT / "src" / "twonn" / "_core.c"  # spares translating it again
    for name in [*kept(), *([translated.relative_to(ROOT)] if translated.exists() else [])]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    (tree / "src" / "twonn" / "_core_stale.so").touch()
    done = subprocess.run([sys.executable, "-c", BUILD, tmp_path], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("twonn-*.tar.gz")
    assert archive.name == f"twonn-{PROJECT['version']}.tar.gz"
    with tarfile.open(archive) as tar:
        packed = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
    packed = {name for name in packed if name not in MADE and ".egg-info/" not in name}
    assert packed == kept()
    assert {"src/twonn/_core.pyx", "src/twonn/_kernel/build.h", "LICENSE"} <= packed


def test_every_package_is_in_the_wheel():
    source = ROOT / "src"
    packages = {".".join(path.parent.relative_to(source).parts) for path in source.rglob("__init__.py")}
    assert {*packages, "twonn.tests"} == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_what_the_package_reads_is_in_the_wheel():
    source = ROOT / "src"
    kinds = ("*.css", "*.html", "*.mplstyle", "*.pyi", "py.typed")
    read = [path for kind in kinds for path in source.rglob(kind)]
    data = PYPROJECT["tool"]["setuptools"]["package-data"]
    packed = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in source.joinpath(*package.split(".")).glob(pattern)
    }
    assert read and {*read} <= packed


def test_the_changelog_and_the_citation_know_the_version():
    version = PROJECT["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (?!Unreleased$)(\S+)", changes, re.MULTILINE)
    assert newest and newest[1] == version
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)", citation, re.MULTILINE)[1] == version
    assert re.search(r"^license: (\S+)", citation, re.MULTILINE)[1] == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("BSD 3-Clause License")


def test_all_name_the_same_versions_of_python():
    """Classifiers, wheels, .ci/run, the page of supported versions, and the check of the machine."""
    prefix = "Programming Language :: Python :: 3."
    minors = [name.removeprefix(prefix) for name in PROJECT["classifiers"] if name.startswith(prefix)]
    assert PROJECT["requires-python"] == f">=3.{minors[0]}"
    wheels = PYPROJECT["tool"]["cibuildwheel"]["build"]
    assert wheels == [f"cp3{minor}-*" for minor in minors]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"for minor in {' '.join(minors)}; do" in script
    versions = [f"3.{minor}" for minor in minors]
    page = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    assert f"**Python**: {', '.join(versions[:-1])} and {versions[-1]}." in page
    check = (ROOT / "tools" / "check_machine.py").read_text(encoding="utf-8")
    assert f"OLDEST = (3, {minors[0]})" in check
