"""What the documentation shows works: its code, its spec files, its commands, and the map of data."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from faults import rows
from typer.testing import CliRunner

import twonn
from twonn.cli import app
from twonn.report import SECTIONS
from twonn.spec import Spec, SweepSpec

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

#: What is built does not count.
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    if not {"_build", "gallery", "api"} & set(path.relative_to(DOCS if DOCS in path.parents else ROOT).parts)
)

EXAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in (DOCS / "examples").glob("*.py"))

#: A block of code: its language, and its text.
BLOCK = re.compile(r"^(?P<fence>`{3,})\{?(?P<language>[\w-]+)[^\n]*\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)

#: What readers may expect to work as it stands; ``py`` and ``sh`` need what a test does not have.
CARRIED_OUT = ("python", "code-cell", "toml", "console")


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(m["language"], m["text"]) for m in BLOCK.finditer(text) if m["language"] in languages]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


def carry_out(language: str, text: str, names: dict) -> None:
    """Run a block; a spec file is written under the name in its first line, and read."""
    if language in ("python", "code-cell"):
        # Options of a cell are not Python.
        exec(compile(re.sub(r"\A(:[\w-]+:.*\n)+", "", text), "<block>", "exec"), names)
    elif language == "toml":
        name = re.match(r"# (\S+\.toml)\n", text)
        path = Path(name[1] if name else "SPEC.toml")
        path.write_text(text, encoding="utf-8")
        (SweepSpec if re.search(r"^(runs = |\[sweep\])", text, re.M) else Spec)(path)
    else:
        for line in re.findall(r"^\$ twonn (.*)$", text, re.M):
            result = CliRunner().invoke(app, shlex.split(line, comments=True))
            assert result.exit_code == 0, f"twonn {line}: {result.output}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, *CARRIED_OUT)])
def test_the_blocks_of_a_page_run_in_turn(page, folder):
    found = blocks(page, *CARRIED_OUT)
    if any("torch" in text for _, text in found):
        pytest.importorskip("torch")
    # A cluster's event loop may complain when it ends, which is an error here but not to a reader.
    if any("LocalCluster" in text for _, text in found):
        assert {language for language, _ in found} == {"python"}
        program = "\n".join(text for _, text in found)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return
    names = {"__name__": "__main__"}
    for language, text in found:
        carry_out(language, text, names)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_gallery_run_and_draw(example, folder):
    exec(compile((ROOT / example).read_text(encoding="utf-8"), example, "exec"), {"__name__": "__main__"})
    assert plt.get_fignums()


def test_the_blocks_are_found():
    assert [language for language, _ in blocks("README.md", "python", "toml")] == ["python", "toml"]
    assert "docs/numerics.md" in PAGES and "CONTRIBUTING.md" in PAGES
    assert len(blocks("docs/tutorial.md", "code-cell")) == 10
    assert EXAMPLES


def test_links_between_files_lead_somewhere():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_the_page_on_the_report_names_its_sections():
    text = (DOCS / "howto" / "reproduce.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(SECTIONS)


def test_the_page_of_faults_has_no_promise_that_did_not_hold():
    """The numbers are compared with what the tests count where these do so."""
    page = rows((DOCS / "faults.md").read_text(encoding="utf-8"))
    assert page and all(page.values())
    for section, faults in page.items():
        for fault, cells in faults.items():
            assert cells, (section, fault)
            for column, cell in cells.items():
                held, tried = (int(number.replace(",", "")) for number in cell.split(" of "))
                assert tried > 0
                assert held == tried or column == "plain Zarr notices", (section, fault, column)


# --------------------------------------------------------------------------------------------------
# Numbers of equations and lemmas


def labels(page: str) -> list[str]:
    """The labels of the numbered equations of a page, in order."""
    return re.findall(r"^\$\$ \((\S+)\)$", (DOCS / page).read_text(encoding="utf-8"), re.M)


def cited(kind: str, text: str) -> set[int]:
    """The numbers in "eq. 5", "eqs. 3 to 7, 11" or "lemmas 1 and 2", ends of ranges included."""
    found = re.findall(rf"\b{kind}s?\.? (\d+(?:(?:, | and | to |, and )\d+)*)", text)
    return {int(number) for numbers in found for number in re.findall(r"\d+", numbers)}


@pytest.mark.parametrize(("page", "prefix"), [("theory.md", "eq-"), ("numerics.md", "eq-numerics-")])
def test_equations_bear_the_numbers_that_sphinx_gives_them(page, prefix):
    """Sphinx numbers the labelled ones of a page from 1 on, and comments in the code cite these numbers."""
    found = labels(page)
    assert found == [f"{prefix}{number}" for number in range(1, len(found) + 1)]
    text = (DOCS / page).read_text(encoding="utf-8")
    assert set(re.findall(r"\{eq\}`([^`]+)`", text)) <= set(found)
    # Two dollars open a formula and two close it.
    assert text.count("$$") % 2 == 0


def test_what_the_analysis_cites_is_in_the_theory():
    theory = (DOCS / "theory.md").read_text(encoding="utf-8")
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/twonn/analysis").glob("*.py"))
    )
    equations, lemmas = cited("eq", code), cited("lemma", code)
    assert {1, 5, 7, 11, 16, 23} <= equations and {1, 2, 3, 4, 5} <= lemmas  # they are found
    assert equations <= set(range(1, len(labels("theory.md")) + 1))
    assert lemmas <= {int(number) for number in re.findall(r"^\*\*Lemma (\d+) ", theory, re.M)}


# --------------------------------------------------------------------------------------------------
# The README's example, and the map of data


def test_the_example_of_the_readme_is_right(folder, capsys):
    ((_, example),) = blocks("README.md", "python")
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    traj, (w0, w1) = names["traj"], names["start"].w[:, 0]
    assert traj.t[-1] == 10**16
    # gap = c/(ln t + K) with c = |w_0 + w_1|/2 and K = ln 2h + (w_0 − w_1)/2, up to 4e-15 of it
    gap = abs(w0 + w1) / 2 / (np.log(10.0**16) + np.log(0.01) + (w0 - w1) / 2)
    assert np.isclose(traj.gap[-1], gap, rtol=1e-13, atol=0)
    assert "All 10^16 steps were taken." in capsys.readouterr().out
    assert (folder / "run.npz").exists()


def test_the_spec_of_the_readme_is_the_paper(folder):
    ((_, example),) = blocks("README.md", "toml")
    (folder / "SPEC.toml").write_text(example, encoding="utf-8")
    spec = Spec(folder / "SPEC.toml")
    assert spec.problem == twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
    assert spec.params == twonn.initializers.sample("he_normal", runs=1, seed=42)[0]


def test_the_map_of_data_names_what_is_known():
    spec = importlib.util.spec_from_file_location("regimes", DOCS / "regimes.py")
    regimes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(regimes)
    for points, regime, law in (
        ((1.0, -0.3), "both slide", "1/ln t, universal constant"),
        ((2.0, 1.0), "one slides, one on both", "1/ln t, universal constant"),
        ((1.5, -1.0), "each on its own point", "does not vanish"),
        ((1.5, -1.5), "each on its own point", "1/ln t, constant from the start"),
        ((0.5, -0.5), "both slide", "faster"),
    ):
        code, _, law_code = regimes.cell(*points, train_output=False)
        assert (regimes.REGIMES[code], regimes.LAWS[law_code]) == (regime, law)
