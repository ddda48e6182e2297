"""What the metadata of a store says, and the digests with which all that is read is compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import required

#: The format, as the attribute ``format`` of a store; and earlier ones, which are read only: those with
#: digests, and the first one, which has none.
FORMAT = "twonn sweep 3"
FORMER = ("twonn sweep 2",)
FIRST = "twonn sweep 1"

#: The array of the marks, and that of the first format.
MARKS, FIRST_MARKS = "chunk_digest", "chunk_complete"

#: Attributes: of a store, the digest of its metadata; of the marks, the arrays that they tell of, in order,
#: and the digests of what is known beforehand.
SEAL, NAMES, COORDINATES = "metadata_sha256", "arrays", "coordinates_sha256"

DIGEST_SIZE = hashlib.sha256().digest_size


def digest_of(spec: str, name: str, first: int, values: NDArray[Any]) -> bytes:
    """Return the SHA-256 of numbers and of where they belong: the sweep, the column, the first run."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    said = f"{spec} {name} {first} {little.dtype.str} {little.shape}\n"
    return hashlib.sha256(said.encode() + little.tobytes()).digest()


def json_in(path: Path) -> Any:
    """Return what is in a file; None if there is none, or it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, PermissionError):
            raise
        return None


def root_of(path: Path) -> dict[str, Any] | None:
    """Return the metadata of a store, if it is that, and not damaged."""
    root = json_in(path / "zarr.json")
    try:
        attributes = root["attributes"]
        if attributes["format"] in (FORMAT, *FORMER) and attributes[SEAL] == seal(root):
            return dict(root)
        if attributes["format"] == FIRST and SEAL not in attributes:
            return dict(root)
    except (KeyError, TypeError, AttributeError):
        pass
    return None


def seal(root: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a store's metadata, the digest itself left out."""
    attributes = {name: value for name, value in root["attributes"].items() if name != SEAL}
    return sha256_of(json.dumps([attributes, root["consolidated_metadata"]], sort_keys=True))


def opened(path: Path, mode: str = "r") -> Any:
    """Open a Zarr group."""
    return required("zarr", "A sweep with a store", "sweep").open_group(path, mode=mode)


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
