"""Which tests run, and which may be skipped, in a checkout and in an installed package alike; and fixtures.

``-m core`` is a minute's choice for one more compiler, Python or set of versions: what is marked so, and the
first test of every other file. ``-m long`` is what takes hours, and is left out otherwise.
"""

import os
import re
from pathlib import Path

import hypothesis
import pytest
from faults import faults

__all__ = ["faults"]

MARKERS = (
    "long: hours of stepping; run them with: make long",
    "core: run for every compiler, Python and set of versions; a file without any gives its first test",
    "xdist_group(name): tests that share what is dear to compute, and so a process",
)

# The same examples on every run, so that a failure can be repeated; or many, and others every time.
hypothesis.settings.register_profile("ci", derandomize=True, max_examples=50, deadline=None)
hypothesis.settings.register_profile("long", max_examples=2000, deadline=None, print_blob=True)

#: Skips that continuous integration allows, by their reasons: what a machine may be without.
SKIPS = [
    "x86 only",
    "this processor has no fused multiply-add",
    "there is one build only",
    "there is no C++ compiler",
    "no wider type here",
    "longdouble is binary64 here",
]
# Beside an installed package there are no sources.
if not (Path(__file__).parents[1] / "pyproject.toml").exists():
    SKIPS += ["needs the sources", "needs a C compiler and the sources"]
# Packages that could not be had, as .ci/run has said then.
SKIPS += [f"could not import {name!r}" for name in os.environ.get("TWONN_WITHOUT", "").split()]


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if not config.getoption("--hypothesis-profile", None):
        hypothesis.settings.load_profile("ci")


#: Files whose tests share a fixture of ten seconds: each goes to one process under --dist loadgroup. The
#: caches of the other files cost less than is lost where one process has much to do and the other none.
TOGETHER = {"test_report"}


@pytest.hookimpl(tryfirst=True)  # before the choice by marks
def pytest_collection_modifyitems(config, items):
    _mark_core(items)
    for item in items:
        if item.path.stem in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if re.search(r"\blong\b", config.option.markexpr) is None:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def _mark_core(items):
    """Mark the first test of every file that marks none itself."""
    done = {item.path for item in items if item.get_closest_marker("core")}
    for item in items:
        # What tests/repository looks at is the same for every compiler and Python.
        if item.path in done or item.path.parent.name == "repository" or item.get_closest_marker("long"):
            continue
        done.add(item.path)
        item.add_marker("core")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _refuse_skip((yield))


def _refuse_skip(report):
    """Make a failure of a skip that continuous integration does not allow: what is not run is not tested."""
    if os.environ.get("TWONN_CI") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(tuple(SKIPS)):
        report.outcome = "failed"
        remedy = "With TWONN_CI=1 only the reasons in SKIPS of tests/conftest.py let a test be skipped."
        report.longrepr = f"Skipped: {reason}. {remedy}"
    return report
