"""The tables that a report carries: columns of equal length, written as CSV, floats in full precision."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Table = Mapping[str, Sequence[Any]]


def write_table(path: Path, table: Table) -> None:
    """Write a table; None and nan become empty cells."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(table)
        rows.writerows([_cell(value) for value in row] for row in zip(*table.values(), strict=True))


def _cell(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value


def plain(value: Any) -> Any:
    """Return what JSON can hold: numbers that are none, nan and infinities, become null."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def joined(tables: Sequence[Table]) -> dict[str, list[Any]]:
    """Return tables with the same columns below each other."""
    return (
        {name: [entry for table in tables for entry in table[name]] for name in tables[0]} if tables else {}
    )


def along(table: Table, *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the rows that agree in some columns together, as arrays by the values of these."""
    names = [name for name in table if name not in keys]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(table[name] for name in keys), strict=True)):
        groups.setdefault(key, []).append(row)
    columns = {name: np.array(table[name], dtype=np.float64) for name in names}
    return {key: {name: columns[name][rows] for name in names} for key, rows in groups.items()}


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows with the same names as a table; an empty one if there are none."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
