"""What a shell completes: names that the command and its spec files know."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["engines", "names", "sections", "settings"]


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes one of some names."""
    listed = tuple(known)
    return lambda incomplete: [name for name in listed if name.startswith(incomplete)]


def engines(incomplete: str) -> list[str]:
    """Return the engines that begin so."""
    from twonn.problem.runspec import ENGINES

    return names(ENGINES)(incomplete)


def sections(incomplete: str) -> list[tuple[str, str]]:
    """Return the sections of the report that begin so, each with what it is."""
    from twonn.report import SECTIONS

    return [(name, one.description) for name, one in SECTIONS.items() if name.startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """Return the entries of a spec file that begin so; if there is one, with its values."""
    entries = _values()
    path, equals, _ = incomplete.partition("=")
    begun = [path] if equals else [entry for entry in entries if entry.startswith(path)]
    if len(begun) == 1 and (values := entries.get(begun[0], ())):
        # All of it at once: bash, for which a word ends at the =, does not ask again after it.
        return names(f"{begun[0]}={value}" for value in values)(incomplete)
    return [] if equals else [f"{entry}=" for entry in begun]


def _values() -> dict[str, tuple[str, ...]]:
    """Return the entries that a spec file may have, each with its values, if these are names."""
    from twonn import spec
    from twonn.initializers import NAMES
    from twonn.optimizers import OPTIMIZERS
    from twonn.problem.losses import LOSS_NAMES
    from twonn.problem.problem import REDUCTIONS
    from twonn.problem.runspec import ENGINES, SLIDING

    known: dict[str, tuple[str, ...]] = {
        "problem.loss": LOSS_NAMES,
        "problem.reduction": REDUCTIONS,
        "problem.bias": ("true", "false"),
        "problem.train_output": ("true", "false"),
        "initializer.name": NAMES,
        "run.engine": ENGINES,
        "run.sliding": SLIDING,
        "run.optimizer": OPTIMIZERS,
    }
    entries = (f"{table}.{key}" for table, keys in spec.TABLES.items() for key in (*keys[0], *keys[1]))
    return {entry: known.get(entry, ()) for entry in entries}
