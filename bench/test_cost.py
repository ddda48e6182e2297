"""What so many steps cost, and how accurate they are: from 10^2 to 10^1000, as far as everyone gets.

Every result is compared with the exact solution before its time counts. Nothing is extrapolated: a peer is
left out from where a call would take longer than the cap, or where it is known to fail.
"""

import numpy as np
import peers
import pytest
from measuring import (
    FLOW_ERROR,
    OPTIONS,
    PAPER_START,
    Exact,
    U,
    flat,
    paired,
    paper,
    rounding,
    seconds_of,
    size,
)
from records import YARDSTICK, YARDSTICK_STEPS

HORIZONS = size((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 30, 100, 150, 300, 1000), (2, 3, 4, 16, 1000))

PROBLEM = paper()
EXACT = Exact(PROBLEM, PAPER_START)
LEAPS = peers.OURS[1]


def assert_exact(peer, steps, parameters):
    """Assert that a result is right, and return its error relative to the exact descent.

    Twonn's sums are compensated: a few roundings of the result. Loops round at every step. Integrators of the
    flow are held against the flow.
    """
    error = EXACT.error(parameters, EXACT.descent(steps))
    if peer in peers.OURS:
        assert error <= 1e-15
    elif peer in peers.FLOW:
        assert EXACT.error(parameters, EXACT.flow(steps)) <= FLOW_ERROR
    else:
        assert error <= rounding(steps, parameters, 1) / np.linalg.norm(flat(parameters)) + 4 * U
    return error


def within(peer, log10_steps, before):
    """Return whether a call is possible and expected to take no longer than the cap."""
    steps = 10**log10_steps
    if steps > peer.largest:
        return False
    if not before:
        return True
    last, seconds = before
    growth = 1.0 if peer in peers.FLOW or peer is LEAPS else steps / 10**last
    return seconds * growth <= OPTIONS["cap"]


@pytest.mark.parametrize("peer", (peers.OURS[0], *peers.ONE_RUN, *peers.FLOW), ids=lambda peer: peer.name)
def test_cost(peer, benchmark, present, add_record):
    present(peer)
    peer.run(PROBLEM, PAPER_START, 10)  # compiles

    def measure():
        before = None
        for log10_steps in HORIZONS:
            if not within(peer, log10_steps, before):
                break
            before = log10_steps, compare(peer, log10_steps, add_record)

    benchmark.pedantic(measure)


def compare(peer, log10_steps, add_record):
    """Time a peer beside leaps, and return its median."""
    steps = 10**log10_steps
    theirs, ours = (one.run(PROBLEM, PAPER_START, steps) for one in (peer, LEAPS))
    errors = assert_exact(LEAPS, steps, ours), assert_exact(peer, steps, theirs)
    once = seconds_of(lambda: peer.run(PROBLEM, PAPER_START, steps))
    mine, other = paired(
        lambda: LEAPS.run(PROBLEM, PAPER_START, steps),
        lambda: peer.run(PROBLEM, PAPER_START, steps),
        size(int(np.clip(OPTIONS["cap"] / once, 3, 15)), 2),
    )
    add_record(
        "cost", "the paper's run", peer.name, mine, other, unit="run", errors=errors, log10_steps=log10_steps
    )
    return float(np.median(other))


@pytest.mark.parametrize("log10_steps", HORIZONS)
def test_leaps(log10_steps, benchmark, add_record):
    """Where nobody else gets, beside steps of our own."""
    steps = 10**log10_steps
    error = assert_exact(LEAPS, steps, LEAPS.run(PROBLEM, PAPER_START, steps))
    ours, other = benchmark.pedantic(
        paired,
        args=(
            lambda: LEAPS.run(PROBLEM, PAPER_START, steps),
            lambda: peers.twonn_direct(PROBLEM, PAPER_START, YARDSTICK_STEPS),
            size(31, 2),
        ),
    )
    add_record(
        "cost",
        "the paper's run",
        YARDSTICK,
        ours,
        other,
        unit="run",
        errors=(error, 0.0),
        log10_steps=log10_steps,
    )
