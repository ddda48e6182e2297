"""Checkpoints that no run has written: with a right checksum, but any contents."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from twonn.engine.fields import FORMERLY, VERSION
from twonn.files import MAGIC

Values = Mapping[str, Any]

#: Where ranges end, in arithmetic and in the tables of the kernel.
INTEGERS = (
    *(
        -(2**63),
        -(2**31),
        -256,
        -2,
        -1,
        0,
        1,
        2,
        3,
        4,
        5,
        15,
        16,
        65,
        66,
        255,
        256,
        257,
        1023,
        1024,
        1025,
        1026,
    ),
    *(
        4096,
        9999,
        10_000,
        2**24,
        2**31 - 1,
        2**31,
        2**32 - 1,
        2**53,
        2**62,
        2**63 - 4096,
        2**63 - 2,
        2**63 - 1,
    ),
)
FLOATS = (
    *(math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e-310, 2.0**-1022, -1.0, 1.0, 0.5, 1e-50, 1e-3, 1e3),
    *(43.7, 700.0, 2_399_999.0, 2_400_000.0, 2.0**53, 2.0**63, 1e50, -1e100, 2.0**995, 2.0**996, 1.7e308),
)
TEXTS = (
    *(
        "",
        "\0",
        "0",
        "0x0",
        "0x1",
        "-0x5",
        " 0x5",
        "0x_5",
        "0X5",
        "0x05",
        "5",
        "many",
        "0x7fffffff",
        "null",
        "{}",
    ),
    *(
        "0x7fffffffffffffff",
        "0x8000000000000000",
        "0x1" + "0" * 300,
        "0x" + "f" * 10**6,
        "[]",
        "[1]",
        "1",
        '""',
    ),
    *(
        "[" * 100_000,
        "1" * 5000,
        "1e999",
        "NaN",
        "-Infinity",
        '{"name": 1}',
        '{"name": "gd"}',
        '{"name": ["gd"]}',
    ),
    *(
        '{"name": "sgd"}',
        '{"name": "adam"}',
        '{"name": "adam", "beta1": 1.0}',
        '{"name": "adam", "beta1": true}',
    ),
    *('{"name": "momentum", "beta": -1e308}', '{"name": "gd", "beta": 0.5}', '{"twonn": 1}', '{"twonn": {}}'),
    *('{"earlier": "\\ud800"}', '{"earlier": "\\u001b[2J"}', '{"twonn": "1"}', '["0x5"]', '["0x5", "0x5"]'),
    *("[5]", "[null]", '["5"]', '["-0x5"]', '["0x0", "0x7fffffffffffffff"]', '[["0x5"]]', '{"0x5": 1}'),
    *("auto", "direct", "leap", "average", "step", "exponential", "logistic", "mean", "sum", "running"),
    *("completed", "stationary", "diverged", "interrupted", "asleep"),
)


def sealed(contents: bytes) -> bytes:
    """Contents with length and checksum put right."""
    head = bytearray(contents[:-32])
    head[16:24] = struct.pack("<Q", len(contents))
    return bytes(head) + hashlib.sha256(head).digest()


def rewritten(values: Values, version: int = VERSION, **changes: Any) -> bytes:
    """The bytes of a file with some values changed, though not as the table says; None leaves one out.

    Fields have the names that they had in that version.
    """
    body = []
    listed = []
    earlier = FORMERLY if version < 3 else {}
    for name, value in {**values, **changes}.items():
        if value is None:
            continue
        name = earlier.get(name, name)
        text = isinstance(value, str)
        array = np.frombuffer(value.encode(), np.uint8) if text else np.asarray(value)
        listed.append(
            {"name": name, "dtype": "text" if text else array.dtype.str, "shape": list(array.shape)}
        )
        body.append(array.tobytes())
    directory = json.dumps(listed).encode()
    head = struct.pack("<8sIIQ", MAGIC, version, len(directory), 0)
    return sealed(head + directory + b"".join(body) + bytes(32))


def _extremes(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return TEXTS
    if value.dtype.kind == "f":
        return FLOATS
    bounds = np.iinfo(value.dtype)
    return tuple(number for number in INTEGERS if bounds.min <= number <= bounds.max)


def _with_entry(value: Any, place: int, entry: Any) -> np.ndarray[Any, Any]:
    changed = np.array(value)
    changed.reshape(-1)[place] = entry
    return changed


def every_field(values: Values, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Every field with every extreme value, first, last or everywhere in it."""
    for name, value in values.items():
        for extreme in _extremes(value):
            if isinstance(value, str):
                yield {name: extreme}
            elif value.size:
                place = rng.choice([0, value.size - 1, -1])
                if place == -1:
                    yield {name: np.full(value.shape, extreme, value.dtype)}
                else:
                    yield {name: _with_entry(value, place, extreme)}


def every_size(values: Values) -> Iterator[dict[str, Any]]:
    """Every array longer or shorter by one than it is, left out, and of other types."""
    for name, value in values.items():
        yield {name: None}
        if isinstance(value, str):
            yield {name: np.zeros(3)}
            continue
        yield {name: "text"}
        yield {name: np.asarray(value).astype(np.float32)}
        for axis in range(value.ndim):
            yield {name: np.repeat(value, 2, axis)}
            yield {name: np.delete(value, np.s_[-1:], axis)}


def at_random(values: Values, rng: np.random.Generator, most: int) -> Iterator[dict[str, Any]]:
    """A few fields at once with any bits, extremes, or a little more or less than they are; without end."""
    # A run that is said to be over is run to its end, which with another horizon may be far.
    names = [name for name in values if name != "outcome"]
    for _ in itertools.count():
        changes: dict[str, Any] = {}
        for name in rng.choice(names, int(rng.integers(1, most + 1)), replace=False).tolist():
            value = values[name]
            extremes = _extremes(value)
            if isinstance(value, str):
                changes[name] = extremes[rng.integers(len(extremes))]
            elif value.size:
                place = int(rng.integers(value.size))
                kind = rng.integers(3)
                if kind == 0:
                    entry = np.frombuffer(rng.bytes(8), value.dtype)[0]
                elif kind == 1:
                    entry = extremes[rng.integers(len(extremes))]
                else:
                    entry = _next_to(value.reshape(-1)[place], rng)
                changes[name] = _with_entry(value, place, entry)
        yield changes


def _next_to(entry: Any, rng: np.random.Generator) -> Any:
    if entry.dtype.kind == "f":
        return entry * rng.choice([1 - 1e-9, 1 + 1e-9, -1.0, 2.0])
    bounds = np.iinfo(entry.dtype)
    return min(max(int(entry) + int(rng.choice([-256, -1, 1, 256])), bounds.min), bounds.max)
