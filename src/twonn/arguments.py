"""Checks of arguments: what was got, what was expected, and how to fix it."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import numbers
import os
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Range of magnitudes of an input number that is not 0. The longest product of inputs in the dynamics,
#: h G_ik v_j² with G_ik quadratic in x, has five factors and fits binary64 with room to spare, so a start
#: inside the range can only overflow by moving, which is divergence, and no activation underflows.
SMALLEST_INPUT, LARGEST_INPUT = 1e-50, 1e50

#: What else people call something, in lower case with underscores, and the name that it has here; or, if
#: there is nothing of the kind, a sentence on what there is. These names are not accepted. They make the
#: error helpful.
Synonyms = Mapping[str, str]

_NO_SYNONYMS: Synonyms = MappingProxyType({})

#: A misspelt name has to be this similar to one of the names, and to a synonym.
_SIMILAR, _ALMOST_THE_SAME = 0.4, 0.8

N = TypeVar("N", bound=str)
C = TypeVar("C", bound=Callable[..., Any])


class ArgumentError(Exception):
    """An argument that is refused; raised as `ArgumentTypeError` or `ArgumentValueError`.

    Parameters
    ----------
    argument : str
    got : object
        A `Verbatim` is shown as it is, anything else by its repr.
    expected : str
        Ends "expected ...".
    fix : str
        A sentence: how to fix it.

    Attributes
    ----------
    argument, got, expected, fix : str
        All as the message has them.
    """

    def __init__(self, argument: str, got: object, expected: str, fix: str) -> None:
        shown = got if isinstance(got, Verbatim) else Verbatim(brief(got))
        super().__init__(argument, shown, expected, fix)  # what it is pickled with
        self.argument, self.got, self.expected, self.fix = argument, str(shown), expected, fix

    def __str__(self) -> str:
        return f"{self.argument}: got {self.got}; expected {self.expected}. {self.fix}"


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a wrong type."""


class ArgumentValueError(ArgumentError, ValueError):
    """An argument with a wrong value."""


class OutOfRangeError(ArgumentValueError):
    """Numbers that are too large, or not finite: where an optimizer has made them, a divergence."""


def brief(value: object) -> str:
    """Return a short repr in one line, also of integers beyond the digits that Python agrees to print."""
    try:
        return " ".join(reprlib.repr(value).split())  # an array has its rows on lines of their own
    except ValueError:
        return f"{type(value).__name__} too long to print"


class Verbatim(str):
    """Text that a refusal shows as it is, without quotes (a shape, a count)."""


def real_array(argument: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return a fresh float64 array of numbers that the dynamics can start from, or refuse."""
    converted = finite_array(argument, value)
    size = np.abs(converted)
    if np.any((size > LARGEST_INPUT) | ((size < SMALLEST_INPUT) & (size > 0))):
        refusal = OutOfRangeError if np.any(size > LARGEST_INPUT) else ArgumentValueError
        raise refusal(
            argument,
            value,
            f"zeros and magnitudes from {SMALLEST_INPUT:g} to {LARGEST_INPUT:g}",
            "Rescale the problem: products of such numbers leave the range of binary64.",
        )
    return converted


def finite_array(argument: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return a fresh float64 array of finite numbers; refuse what binary64 cannot hold exactly."""
    expected = "finite real numbers"
    if np.ma.is_masked(value):
        raise ArgumentValueError(argument, value, expected, "Fill in the masked entries.")
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged nesting
        raise ArgumentValueError(argument, value, expected, "Give rows of equal length.") from error
    if array.dtype.kind not in "iuf":
        raise ArgumentTypeError(
            argument,
            Verbatim(f"{brief(value)} (dtype {array.dtype})"),
            expected,
            "Convert it to a float64 array first.",
        )
    with np.errstate(over="ignore"):
        converted = array.astype(np.float64)
    # A longdouble or a large integer that binary64 cannot hold would silently be a different start.
    if array.dtype.kind == "f":
        lost = np.isfinite(array) & (converted != array)
    else:  # as Python numbers: NumPy would round the integers before comparing them with floats
        lost = array.astype(object) != converted.astype(object)
    if np.any(lost):
        raise ArgumentValueError(
            argument,
            value,
            "numbers that binary64 holds exactly",
            "Round them to float64 yourself, so that they are the numbers you mean.",
        )
    if not np.all(np.isfinite(converted)):
        raise OutOfRangeError(argument, value, expected, "Remove the NaN or infinite entries.")
    return converted


def real_number(argument: str, value: object, expected: str) -> float:
    """Return a Python float, or refuse with what was expected; booleans are not numbers here."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise ArgumentTypeError(argument, value, expected, "Give a plain real number.")
    if isinstance(value, np.longdouble) and float(value) != value:
        raise ArgumentValueError(argument, value, expected, "Round it to float64 yourself.")
    try:
        return float(value)
    except OverflowError as error:  # an integer or a fraction beyond 1.8e308
        raise ArgumentValueError(
            argument, value, expected, "Give a number that binary64 can hold."
        ) from error


def positive_number(argument: str, value: object, fix: str) -> float:
    """Return a finite float above zero, or refuse."""
    expected = "a finite number > 0"
    number = real_number(argument, value, expected)
    if not (math.isfinite(number) and number > 0):
        raise ArgumentValueError(argument, value, expected, fix)
    return number


def whole_number(argument: str, value: object, *, least: int, fix: str) -> int:
    """Return a Python int of at least `least`, or refuse; floats are refused even when integral."""
    expected = f"a whole number >= {least}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise ArgumentTypeError(argument, value, expected, fix)
    if value < least:
        raise ArgumentValueError(argument, value, expected, fix)
    return int(value)


def flag(argument: str, value: object) -> bool:
    """Return a bool, or refuse; 0 and 1 are refused so that a misplaced argument is noticed."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(argument, value, "True or False", "Pass a boolean.")
    return bool(value)


def one_of(argument: str, value: object, names: Sequence[N], synonyms: Synonyms = _NO_SYNONYMS) -> N:
    """Return `value` if it is one of `names`, or refuse and name the one that is meant."""
    if not isinstance(value, str):
        raise ArgumentTypeError(argument, value, listed(names), "Give its name as a string.")
    for name in names:
        if value == name:
            return name
    raise ArgumentValueError(argument, value, listed(names), closest(value, names, synonyms))


def listed(names: Sequence[str]) -> str:
    """Return what is expected where names are to choose from."""
    return f"one of {', '.join(map(repr, names))}"


def closest(value: str, names: Sequence[str], synonyms: Synonyms = _NO_SYNONYMS) -> str:
    """Return a hint to the one of `names` that is meant by a name that is not among them."""
    written = re.sub(r"[\s-]+", "_", value.strip().lower()).strip("_")
    others = difflib.get_close_matches(written, synonyms, cutoff=_ALMOST_THE_SAME)
    match = difflib.get_close_matches(written, [*names, *others], n=1, cutoff=_SIMILAR)
    if not match:
        return "Choose one of these."
    meant = synonyms.get(match[0], match[0])
    return f"Did you mean {meant!r}?" if meant in names else meant


def suggesting(synonyms: Synonyms) -> Callable[[C], C]:
    """Have a function or a class answer an unknown keyword with the one that is meant.

    Python itself would only say that the keyword is unexpected.
    """

    def decorated(thing: C) -> C:
        if isinstance(thing, type):
            thing.__init__ = _refusing(thing.__init__, thing.__name__, synonyms)  # type: ignore[misc]
            return thing
        return _refusing(thing, thing.__name__, synonyms)

    return decorated


def _refusing(function: C, name: str, synonyms: Synonyms) -> C:
    known = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]

    @functools.wraps(function)
    def checked(*arguments: Any, **keywords: Any) -> Any:
        for keyword in keywords:
            if keyword not in known:
                got = Verbatim(f"the keyword {keyword!r}")
                raise ArgumentTypeError(name, got, listed(known), closest(keyword, known, synonyms))
        return function(*arguments, **keywords)

    return checked  # type: ignore[return-value]


def checked_path(path: object, argument: str = "path") -> Path:
    """Return the path of a file, or refuse."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(name := os.fspath(path), str):
        raise ArgumentTypeError(argument, path, "a file name", "Give a str or a pathlib.Path.")
    if not name or "\0" in name:
        raise ArgumentValueError(argument, path, "a file name", "Give a name such as 'run.npz'.")
    return Path(name)


def required(package: str, purpose: str, extra: str = "frames") -> Any:
    """Import an optional package, or say what needs it and how to install it."""
    try:
        return __import__(package)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {package}; install it with: pip install twonn[{extra}]"
        ) from error
