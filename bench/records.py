"""The lines of the results: how one is made of pairs of timings, and which of them make a curve."""

import numpy as np

#: What leaps are timed beside where nobody else gets.
YARDSTICK_STEPS = 100_000
YARDSTICK = f"{YARDSTICK_STEPS:,} direct steps"


def quartiles(values):
    return np.percentile(values, [25, 50, 75]).tolist()


def record(group, case, peer, ours, theirs, *, unit="step", target=None, errors=None, **at):
    """Return one line of the results.

    Parameters
    ----------
    group, case, peer : str
        What is measured, of which problem, beside what. Together with `at` they name the line.
    ours, theirs : ndarray, shape (pairs,)
        Seconds per unit, pair by pair.
    unit : str
    target : float, optional
        What ours may cost relative to theirs.
    errors : pair of float, optional
        Relative errors of the two results.
    **at
        Where on an axis the line is: log10_steps, threads, runs, d.
    """
    return {
        "group": group,
        "case": case,
        "peer": peer,
        "at": at,
        "unit": unit,
        "pairs": len(ours),
        "ours": quartiles(ours),
        "theirs": quartiles(theirs),
        "ratio": quartiles(np.asarray(theirs) / ours),
        "target": target,
        "errors": errors,
    }


def curves(records):
    """Return {name: [(log10 of steps, seconds, error), …]}, the package's leaps first."""
    found = {}
    for line in records:
        for name, side in (("twonn, leaping", 0), (line["peer"], 1)):
            if name != YARDSTICK:
                seconds = line["theirs" if side else "ours"][1]
                point = (seconds, line["errors"][side])
                found.setdefault(name, {}).setdefault(line["at"]["log10_steps"], []).append(point)
    return {
        name: [(log, *np.median(points, axis=0).tolist()) for log, points in sorted(at.items())]
        for name, at in found.items()
    }
