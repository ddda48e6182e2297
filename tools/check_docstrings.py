"""Checks the docstrings of all that is public by numpydoc's rules, as listed in pyproject.toml.

``numpydoc lint`` reads files, and so does not know what is public; private helpers need no sections.
"""

import inspect
import sys
import tomllib
from enum import Enum
from pathlib import Path

from numpydoc.validate import validate

import twonn

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"

#: Namespaces of functions and classes beside twonn itself.
NAMESPACES = ("initializers", "optimizers", "plot", "schedules", "datasets")


def public() -> list[str]:
    """Return the full names of public functions and classes, and of what these classes have."""
    names = []
    for space in ("", *NAMESPACES):
        module = getattr(twonn, space, None) if space else twonn
        for name in getattr(module, "__all__", ()):
            found = getattr(module, name)
            if inspect.ismodule(found) or not callable(found):
                continue
            names.append(".".join(filter(None, ("twonn", space, name))))
            if inspect.isclass(found):
                names += [f"{names[-1]}.{member}" for member in members(found)]
    return names


def members(owner: type) -> list[str]:
    """Return the names of public methods that have a docstring of their own."""
    return [
        name
        for name, value in vars(owner).items()
        if not name.startswith("_")
        and isinstance(value, classmethod | staticmethod | type(members))
        and getattr(owner, name).__doc__
    ]


def is_result(name: str) -> bool:
    """Tell whether a class describes its attributes, or its members: nobody makes it from parameters."""
    found = twonn
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    if not inspect.isclass(found):
        return False
    return issubclass(found, Enum) or "Attributes\n" in (inspect.getdoc(found) or "")


def main() -> int:
    """Print what is wrong, a line each."""
    rules = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["numpydoc_validation"]
    ignored = set(rules["checks"]) - {"all"}
    names = public()
    wrong = [
        f"{name}: {code} {message}"
        for name in names
        for code, message in validate(name)["errors"]
        if code not in ignored and not (code == "PR01" and is_result(name))
    ]
    print(*wrong, f"numpydoc: {len(names)} docstrings, {len(wrong)} faults", sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
