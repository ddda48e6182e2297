"""What a session has measured: its records, the files made from them, and the machine they are of."""

import datetime
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import figures
from records import curves

from twonn import config

#: Raised when the fields of a record change.
SCHEMA = 1

PACKAGES = ("scipy", "numba", "jax", "torch", "diffrax", "heyoka", "zarr", "mpmath")


def machine():
    """Return what is known of the machine, without its name."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor():
    """Return the processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def versions():
    """Return the versions of the package, of what it was built with, and of the peers that are installed."""
    found = dict(config.provenance())
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def session(records, missing, options):
    """Return all of a session, as it is written."""
    return {
        "schema": SCHEMA,
        "date": datetime.date.today().isoformat(),
        **options,
        "machine": machine(),
        "versions": versions(),
        "missing": sorted(missing),
        "records": records,
    }


def write(folder, whole):
    """Write results.json, tables.md and the figures."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    (folder / "tables.md").write_text(tables(whole), encoding="utf-8")
    figures.draw(folder, whole)


# --------------------------------------------------------------------------------------------------
# Tables


def duration(seconds):
    """Write a time with three digits in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def number(value):
    """Write a ratio with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def tables(whole):
    """Return all tables in Markdown: who and where, ratios, leaps, scaling, and how far everyone gets."""
    by_group = {}
    for line in whole["records"]:
        by_group.setdefault(line["group"], []).append(line)
    reached, leaps, scaling = (by_group.pop(name, []) for name in ("cost", "leaping", "scaling"))
    rest = [line for group in sorted(by_group, key=_order) for line in by_group[group]]
    parts = [about(whole), ratios(rest), in_steps(leaps), ratios(scaling), reach(reached, whole["cap"])]
    return "\n".join(parts)


def _order(group):
    """Return where a group comes in the table; those that are not listed come last."""
    listed = ("direct, one", "direct", "leap", "sliding", "geometry", "checkpoint", "sweep")
    return next((n for n, name in enumerate(listed) if group.startswith(name)), len(listed)), group


def about(whole):
    """Return a sentence on the machine, one on versions, and one on who is missing."""
    where, found = whole["machine"], whole["versions"]
    sentences = [
        f"Measured on {whole['date']} on {where['processor']}, {where['cores']} cores"
        + (f", at a load of {where['load']}" if where["load"] is not None else "")
        + ("; quick, with sizes too small to tell anything." if whole["quick"] else "."),
        "Versions: " + ", ".join(f"{name} {value}" for name, value in found.items()) + ".",
    ]
    if whole["missing"]:
        sentences.append(f"Not installed, and left out: {', '.join(whole['missing'])}.")
    return "\n\n".join(sentences) + "\n"


def ratios(records):
    """Return the table of ratios, ours = 1."""
    lines = [
        "| what | beside | twonn | the other | ratio | quartiles |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for line in records:
        low, median, high = line["ratio"]
        at = "".join(f", {name} = {value:,}" for name, value in line["at"].items())
        lines.append(
            f"| {line['group']}: {line['case']}{at}, per {line['unit']} | {line['peer']} "
            f"| {duration(line['ours'][1])} | {duration(line['theirs'][1])} "
            f"| {number(median)} | {number(low)} – {number(high)} |"
        )
    return "\n".join(lines) + "\n"


def in_steps(records):
    """Return the table of what leaps cost, in direct steps timed in turns with them."""
    lines = ["| a whole call | time | costs as much as | quartiles |", "| --- | ---: | ---: | ---: |"]
    for line in records:
        low, median, high = (1 / ratio for ratio in reversed(line["ratio"]))
        times = f"{duration(line['ours'][1])} | {median:,.0f} steps | {low:,.0f} – {high:,.0f}"
        lines.append(f"| {line['case']} | {times} |")
    return "\n".join(lines) + "\n"


def reach(records, cap):
    """Return how far everyone gets within the cap, and with what error there."""
    lines = [
        f"| one run | steps within {cap:g} s | time | relative error there |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, points in curves(records).items():
        logs, seconds, errors = zip(*points, strict=True)
        lines.append(f"| {name} | 10^{logs[-1]} | {duration(seconds[-1])} | {errors[-1]:.1e} |")
    return "\n".join(lines) + "\n"
