"""Results are values: equal by content, read-only, and the same after pickling and copying."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import fields
from functools import cache, cached_property, wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Floats",
    "FrozenMapping",
    "Shown",
    "Value",
    "are_same",
    "derived",
    "frozen",
    "frozen_array",
    "number_of",
    "public",
    "set_fields",
]

T = TypeVar("T")
P = TypeVar("P", bound=Callable[..., Any])

#: Arrays of binary64.
Floats = NDArray[np.float64]


def public(thing: P) -> P:
    """Have a class or function say that it is of twonn, where its name is public, wherever it is defined."""
    thing.__module__ = "twonn"
    return thing


class FrozenMapping(Mapping[str, Any]):
    """A mapping that nobody changes; unlike `types.MappingProxyType` it can be pickled and copied."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries = {name: frozen(entry) for name, entry in entries.items()}

    def __getitem__(self, name: str) -> Any:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self._entries),)

    def __repr__(self) -> str:
        return repr(self._entries)


def frozen(value: Any) -> Any:
    """Return an object whose arrays and mappings cannot be changed, in tuples and lists as well."""
    if isinstance(value, np.ndarray):
        if value.flags.writeable:
            if value.base is not None:  # a part of another array, which stays as it is
                value = value.view()
            value.flags.writeable = False
        return value
    if value is None or isinstance(value, (str, int, float, FrozenMapping)):
        return value  # before what takes long to tell
    if isinstance(value, Mapping):
        return FrozenMapping(value)
    if type(value) in (tuple, list):
        return tuple(frozen(entry) for entry in value)
    return value


def derived(compute: Callable[[Any], T]) -> cached_property[T]:
    """Return a property that is computed when it is first asked for, and read-only like its object."""

    @wraps(compute)
    def frozen_one(self: Any) -> T:
        result: T = frozen(compute(self))
        return result

    return cached_property(frozen_one)


def are_same(one: Any, other: Any) -> bool:
    """Whether two objects have the same content, in arrays, mappings and tuples as well; NaN equals NaN."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        if one.dtype.names is not None:
            return all(are_same(one[name], other[name]) for name in one.dtype.names)
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(are_same(one[name], other[name]) for name in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(are_same, one, other))
    missing = isinstance(one, float) and isinstance(other, float) and one != one and other != other
    return missing or (type(one) is type(other) and bool(one == other))


class Value:
    """A frozen dataclass whose instances are values.

    Two are equal if they are of one class and all their fields are, except those declared with compare=False:
    arrays by type, shape and entries, and NaN is equal to NaN. They have no hash, as they hold arrays. Fields
    are made read-only. What is pickled or copied are the fields, not what was derived from them.
    """

    def __post_init__(self) -> None:
        for name in _names(self):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        compared = [field.name for field in fields(self) if field.compare]  # type: ignore[arg-type]
        return all(are_same(getattr(self, name), getattr(other, name)) for name in compared)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), {name: getattr(self, name) for name in _names(self)})


class Shown:
    """A result that shows, fact by fact, what a user wants to know first: as text and in notebooks."""

    def _facts(self) -> dict[str, str]:
        """Return what to say, by headings of at most eleven letters."""
        raise NotImplementedError

    def __repr__(self) -> str:
        lines = (f"  {heading:<12}{text}" for heading, text in self._facts().items())
        return "\n".join([type(self).__name__, *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(heading)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for heading, text in self._facts().items()
        )
        return f"<table><caption>{type(self).__name__}</caption><tbody>{rows}</tbody></table>"


def number_of(number: int, noun: str) -> str:
    """Return a number with what is counted, as a text: 1 run, 1,000 runs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _names(value: Any) -> tuple[str, ...]:
    return _names_of(cast(Hashable, type(value)))


@cache
def _names_of(kind: Hashable) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))  # type: ignore[arg-type]


def _made(kind: type[T], values: dict[str, Any]) -> T:
    return kind(**values)


def frozen_array(array: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous array that cannot be changed: this one, if it is contiguous."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def set_fields(frozen: object, **values: object) -> None:
    """Fill in the fields of a frozen object that is being made."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)
