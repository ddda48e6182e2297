"""Options of a session, what it records, and the tables at its end."""

import measuring
import numpy as np
import peers
import pytest
import records
import results

ROWS = pytest.StashKey[list]()
TIMES = pytest.StashKey[list]()
NOTES = pytest.StashKey[list]()
RECORDS = pytest.StashKey[list]()
MISSING = pytest.StashKey[set]()


def pytest_addoption(parser):
    group = parser.getgroup("twonn")
    group.addoption("--quick", action="store_true", help="small sizes: shows that all runs, no more")
    group.addoption("--cap", type=float, default=3.0, help="seconds that one call may take (3)")
    group.addoption("--results", metavar="FOLDER", help="where to write results and figures")


def pytest_configure(config):
    for key in (ROWS, TIMES, NOTES, RECORDS):
        config.stash[key] = []
    config.stash[MISSING] = set()
    quick = config.getoption("--quick")
    measuring.OPTIONS.update(quick=quick, cap=0.02 if quick else config.getoption("--cap"))


@pytest.fixture
def add_record(request):
    """Add a line to the results; see records.record."""

    def add(*args, **kwargs):
        request.config.stash[RECORDS].append(records.record(*args, **kwargs))

    return add


@pytest.fixture
def present(request):
    """Skip, by name, what is measured beside a peer that is not installed."""

    def check(peer):
        if peer.missing:
            request.config.stash[MISSING].add(peer.name)
            pytest.skip(f"{peer.name}: {peer.needs} is not installed")

    return check


@pytest.fixture
def plain_loop(present):
    """Return run(problem, params, steps) -> (transitions, w, b, v) in plain C."""
    present(peers.PLAIN_C)
    return peers.counting_loop


@pytest.fixture
def simd_loop(present):
    """Return run(problem, params, steps) -> (w, b, v) of many runs, as simd_loop.c has them."""
    present(peers.VECTOR_C)
    return peers.vector_c


@pytest.fixture
def add_row(request, add_record):
    """Add a line to the table: case, seconds per step of each pair of runs, target of the ratio."""

    def add(case, ours, other, target=None, peer="plain C"):
        request.config.stash[ROWS].append((case, ours, other, target))
        add_record("a step", case, peer, ours, other, target=target)

    return add


@pytest.fixture
def add_time(request, add_record):
    """Add a line to the table: case, seconds of each run, seconds of a direct step beside it, target."""

    def add(case, seconds, step, target):
        request.config.stash[TIMES].append((case, seconds, step, target))
        add_record("leaping", case, "a direct step", seconds, step, unit="call")

    return add


@pytest.fixture
def add_note(request):
    """Add a sentence below the table."""
    return request.config.stash[NOTES].append


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    write = terminalreporter.write_line
    rows, times, notes = config.stash[ROWS], config.stash[TIMES], config.stash[NOTES]
    if rows or times or notes:
        terminalreporter.section("twonn")
    if rows:
        write(f"{'ns per step':<36} twonn  other  ratio  quartiles    min .. max      target")
    for case, ours, other, target in rows:
        low, first, median, third, high = np.percentile(ours / other, [0, 25, 50, 75, 100])
        write(
            f"{case:<36} {np.median(ours) * 1e9:5.2f}  {np.median(other) * 1e9:5.2f}  "
            f"{median:5.3f}  {first:.3f} {third:.3f}  {low:.3f} .. {high:.3f}"
            + (f"  {target:.2f} {'met' if median <= target else 'MISSED'}" if target else "")
        )
    if times:
        write(f"{'leaps':<44} {'µs':>7}  quartiles        costs as much as  target")
    for case, seconds, step, target in times:
        first, median, third = np.percentile(seconds * 1e6, [25, 50, 75])
        write(
            f"{case:<44} {median:7.1f}  {first:7.1f} {third:7.1f}  {np.median(seconds / step):8,.0f} steps  "
            f"{target * 1e6:6.0f} {'met' if median <= target * 1e6 else 'MISSED'}"
        )
    for note in notes:
        write(note)


def pytest_sessionfinish(session):
    config = session.config
    folder, records = config.getoption("--results"), config.stash[RECORDS]
    if folder and records:
        results.write(folder, results.session(records, config.stash[MISSING], measuring.OPTIONS))
