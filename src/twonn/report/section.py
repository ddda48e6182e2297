"""What a section of the report is: what it runs, what it claims, and what it shows for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twonn.engine.bars import LateProgress
from twonn.problem.params import Params
from twonn.problem.runspec import Engine
from twonn.report.tables import Table

if TYPE_CHECKING:  # Matplotlib is imported when something is drawn
    from matplotlib.axes import Axes

__all__ = [
    "Claim",
    "Column",
    "ExperimentResult",
    "Figure",
    "PageTable",
    "Section",
    "Setting",
    "StoppedError",
]


# --------------------------------------------------------------------------------------------------
# What is run


@dataclass(frozen=True)
class Setting:
    """What was asked for.

    Attributes
    ----------
    starts : Params
        Of the paper's experiment, with a run axis.
    steps : int
        Of each of its runs.
    engine : str
        Of its runs.
    seed : int
        Of all starts.
    bar : LateProgress
        Shows how far the work is.
    pressed : callable
        Returns whether Ctrl-C came.
    """

    starts: Params
    steps: int
    engine: Engine
    seed: int
    bar: LateProgress
    pressed: Callable[[], int]


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment gives.

    Attributes
    ----------
    numbers : dict
        As JSON has them: a part of results.json.
    tables : dict
        By the names of their files.
    asked : dict
        What was asked of this experiment in particular, for the part "asked" of results.json.
    is_complete : bool
        Whether all of its runs were finished.
    """

    numbers: dict[str, Any]
    tables: dict[str, Table] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    is_complete: bool = True


class StoppedError(Exception):
    """Ctrl-C came before the experiment was finished."""


# --------------------------------------------------------------------------------------------------
# What is shown. All texts are templates: see `twonn.report.text`.


@dataclass(frozen=True)
class Column:
    """A column of a table on the page: its heading, and the template of its cells."""

    heading: str
    cell: str
    is_text: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table on the page: the path of a list in the results, one row for each entry, and the columns."""

    rows: str
    columns: Sequence[Column]


@dataclass(frozen=True)
class Figure:
    """A figure, drawn from one table of its section.

    Attributes
    ----------
    name : str
        Of its files.
    table : str
        The table from which it is drawn.
    draw : callable
        Draws the table on given axes.
    alt : str
        What is to be seen on it, for those who do not see it.
    caption : str
        The text below it.
    """

    name: str
    table: str
    draw: Callable[[Axes, Table], None]
    alt: str
    caption: str


@dataclass(frozen=True)
class Claim:
    """A claim, the numbers that were computed for it, and the criterion by which it holds.

    Attributes
    ----------
    id : str
        Of its element on the page.
    title : str
        Heading, used where the section has several claims.
    claim, criterion : str
    holds : str
        Path of the verdict in the results.
    paragraphs : sequence of str
    table : PageTable, optional
    figures : sequence of Figure
    successes : str
        Path of the number of successful runs of which it speaks. If that is 0, the page says so instead
        of the paragraphs and the table. Empty if it speaks of all runs.
    """

    id: str
    title: str
    claim: str
    criterion: str
    holds: str
    paragraphs: Sequence[str]
    table: PageTable | None = None
    figures: Sequence[Figure] = ()
    successes: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report that can be made by itself.

    Attributes
    ----------
    name : str
        By which `twonn reproduce` knows it.
    title, description : str
        Heading, and one sentence for the list of sections.
    key : str
        Of its part of results.json.
    experiment : callable
        Takes the `Setting`, then the `ExperimentResult` of each section in `needs`; returns its own.
    tables : sequence of str
        The names of the tables that the experiment returns.
    claims : sequence of Claim
    introduction : sequence of str
        Paragraphs before the claims.
    finished : str
        Says how much of it was finished, if Ctrl-C may leave a part; empty otherwise.
    needs : sequence of str
        Names of the sections whose results its experiment takes; they are made with it.
    """

    name: str
    title: str
    description: str
    key: str
    experiment: Callable[..., ExperimentResult]
    tables: Sequence[str]
    claims: Sequence[Claim]
    introduction: Sequence[str] = ()
    finished: str = ""
    needs: Sequence[str] = ()

    @property
    def figures(self) -> list[Figure]:
        """The figures of all claims."""
        return [figure for claim in self.claims for figure in claim.figures]
