"""List what has become slower between two sessions, beyond their noise: compare.py OLD.json NEW.json.

Sessions are compared by the ratios to peers, which were timed in turns, never by seconds: another load or
another machine changes both sides of a ratio. A line counts as slower if its quartiles lie apart, all of the
new ones below all of the old ones, and its median has fallen by more than both ranges between quartiles
together, and than the tolerance. Left out are lines of fewer than five pairs, whose noise is not known, and
the figure of cost against steps, whose two sides differ by orders of magnitude. Exit code: 1 if anything is
slower, else 0.
"""

import argparse
import json
import sys
from pathlib import Path

SCHEMA = 1

#: How many pairs tell something of the noise.
PAIRS = 5


def load(path):
    """Return a session, or end with a sentence."""
    try:
        whole = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read as a session's results.json: {error}")
    if not isinstance(whole, dict) or whole.get("schema") != SCHEMA:
        sys.exit(f"{path} is no results.json of this version; write one with: make bench")
    return whole


def keyed(whole):
    """Return {name of a line: its record} of all that can be compared."""
    return {
        " | ".join([r["group"], r["case"], r["peer"], *(f"{k}={v}" for k, v in r["at"].items())]): r
        for r in whole["records"]
        if r["pairs"] >= PAIRS and r["group"] != "cost"
    }


def change(old, new, tolerance):
    """Return the relative change of cost if it is beyond the noise, else None; positive is slower."""
    (old_low, old_median, old_high), (new_low, new_median, new_high) = old["ratio"], new["ratio"]
    cost = old_median / new_median - 1
    noise = (old_high - old_low) / old_median + (new_high - new_low) / new_median
    apart = new_high < old_low or new_low > old_high
    return cost if apart and abs(cost) > max(noise, tolerance) else None


def compared(old, new, tolerance=0.05):
    """Compare two sessions.

    Returns
    -------
    slower, faster : list of (str, float)
        Names of lines, and by how much their cost has changed; the worst first.
    only_old, only_new : list of str
        Lines that have nothing to be compared with.
    """
    before, after = keyed(old), keyed(new)
    changes = [(name, change(before[name], after[name], tolerance)) for name in before if name in after]
    beyond = sorted((line for line in changes if line[1] is not None), key=lambda line: -abs(line[1]))
    slower, faster = ([line for line in beyond if (line[1] > 0) is sign] for sign in (True, False))
    return slower, faster, [n for n in before if n not in after], [n for n in after if n not in before]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", help="results.json of the session before")
    parser.add_argument("new", help="results.json of the session after")
    parser.add_argument("--tolerance", type=float, default=0.05, help="change that is let pass (0.05)")
    chosen = parser.parse_args(arguments)
    old, new = load(chosen.old), load(chosen.new)
    for name in ("machine", "versions"):
        for key in sorted({*old[name], *new[name]} - {"load"}):
            before, after = old[name].get(key), new[name].get(key)
            if before != after:
                print(f"{key}: {before} before, {after} now")
    slower, faster, only_old, only_new = compared(old, new, chosen.tolerance)
    for title, lines in (("slower", slower), ("faster", faster)):
        for name, cost in lines:
            print(f"{title}: {name}: {100 * cost:+.0f} %")
    for title, lines in (("no longer measured", only_old), ("new", only_new)):
        for name in lines:
            print(f"{title}: {name}")
    print(f"{len(slower)} slower, {len(faster)} faster, of {len(keyed(old)) - len(only_old)} compared")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
