"""The command ``twonn``: run or sweep a spec file, look at a trajectory, reproduce the paper's experiment."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from twonn import _core, config
from twonn.problem import one_of, refusal, steps_of_log, written_steps
from twonn.trajectory import CheckpointError, Status, Trajectory, load

PLOTS = ("gap", "scaled_gap", "parameters", "pattern")

#: As a shell reports a program that Ctrl-C ended.
INTERRUPTED = 130

#: How many transitions `inspect` lists.
_TRANSITIONS_SHOWN = 10

_DIGITS = 10**6

#: Ways to write a number of steps.
_STEPS = re.compile(
    r"(?P<base>\d+)(\*\*|\^)(?P<power>\d{1,6})|(?P<number>\d+(_\d+)*(\.\d+)?([eE]\+?\d{1,6})?)"
)


class _Command(TyperGroup):
    """Prints the sentence of an expected error and exits 2; anything else is a fault of twonn."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):  # these are RuntimeErrors
            raise
        except KeyboardInterrupt as error:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has left
                raise
            named = f"{error.filename}: " if error.filename else ""
            _refuse(f"{named}{error.strerror or error}.", error)
        except (ValueError, TypeError, RuntimeError, CheckpointError) as error:
            _refuse(str(error), error)


def _refuse(sentence: str, error: Exception) -> NoReturn:
    typer.echo(f"twonn: {sentence}", err=True)
    raise typer.Exit(2) from error


app = typer.Typer(
    name="twonn",
    cls=_Command,
    help="How slowly does gradient descent find the robust classifier?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command; the process ends with its exit code."""
    app(prog_name="twonn")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"twonn {config.provenance()['twonn']}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


# --------------------------------------------------------------------------------------------------
# Commands


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Where to save it; SPEC.npz by default."),
    ] = None,
) -> None:
    """Run what a spec file asks for and save the trajectory."""
    from twonn.spec import Spec

    asked = Spec(spec)
    output = spec.with_suffix(".npz") if output is None else output
    _check_writable(output)
    traj = asked.run()
    traj.save(output)
    typer.echo(repr(traj))
    typer.echo(f"Saved in {output}")
    if traj.status is Status.INTERRUPTED:
        raise typer.Exit(INTERRUPTED)


@app.command()
def sweep(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", show_default=False)],
    store: Annotated[
        Path, typer.Option(metavar="DIR", help="Zarr store for the results; goes on with one that is there.")
    ],
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="threads:N|processes:N|dask:ADDRESS", help="Who works; a thread per core by default."
        ),
    ] = None,
) -> None:
    """Run every problem from every start that a spec file asks for.

    Ctrl-C leaves a store that the same command goes on with. Exits 1 if runs are missing for another reason.
    """
    from twonn.spec import SweepSpec

    result = SweepSpec(spec).sweep(store, executor)
    typer.echo(repr(result))
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not result.complete:
        raise typer.Exit(1)


@app.command()
def inspect(file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]) -> None:
    """Print what a saved trajectory holds."""
    traj = load(file)
    typer.echo(repr(traj))
    if len(traj.transitions):
        _print(_transitions(traj))
    _print(_segments(traj))
    _print(_table("computed by", ("", ""), traj.provenance.items()))


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(PLOTS)}.")] = "gap",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FIGURE", help="Where to save it; FILE-KIND.png by default."),
    ] = None,
) -> None:
    """Draw a saved trajectory."""
    from twonn import plot as plots

    one_of("kind", kind, PLOTS)
    traj = load(file)
    output = file.with_name(f"{file.stem}-{kind}.png") if output is None else output
    with plots.written_to(output) as ax:
        getattr(plots, kind)(traj, ax)
    typer.echo(f"Saved in {output}")


@app.command(name="config")
def show_config() -> None:
    """Print versions, build and a self-check of the floating-point arithmetic.

    Exits 1 if the self-check finds a fault.
    """
    _print(_table("configuration", ("", ""), config.configuration().items()))
    if _core.arithmetic_faults():
        raise typer.Exit(1)


@app.command()
def reproduce(
    full: Annotated[
        bool, typer.Option("--full", help="At the paper's size: 10,000 starts, 10^7 steps, with leaps.")
    ] = False,
    runs: Annotated[int | None, typer.Option(help="Number of random starts; 200 by default.")] = None,
    steps: Annotated[str | None, typer.Option(help="Steps of each run, such as 10^6, the default.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="direct, auto or leap; direct by default, auto with --full.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the starts.")] = 42,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")] = Path(
        "reproduction"
    ),
) -> None:
    """Reproduce the main experiment of arXiv 2603.02095, by default a part of it with every step taken."""
    from twonn import report

    result = report.reproduce(
        output,
        runs=runs if runs is not None else 10_000 if full else 200,
        steps=whole_steps(steps if steps is not None else "10^7" if full else "10^6"),
        seed=seed,
        engine=engine if engine is not None else "auto" if full else "direct",
    )
    typer.echo(result.summary)
    typer.echo(f"Report in {result.folder}")
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)


# --------------------------------------------------------------------------------------------------
# Numbers, files and tables


def whole_steps(text: str) -> int:
    """Return a number of steps written as 1000000, 10**6, 10^6 or 1e6, exactly.

    Raises
    ------
    ValueError
        If it is not a whole number >= 0.
    """
    match = _STEPS.fullmatch(text)
    # A power of too many digits would take for ever to multiply out.
    if match and match["base"] and len(match["base"]) * int(match["power"]) <= _DIGITS:
        return int(int(match["base"]) ** int(match["power"]))
    if match and match["number"] and (number := Fraction(match["number"])).denominator == 1:
        return int(number)
    raise ValueError(refusal("steps", text, "a whole number >= 0", "Write e.g. 1000000, 10**6, 10^6 or 1e6."))


def _check_writable(path: Path) -> None:
    """Refuse before a long run what could only fail after it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file", str(path))


def _transitions(traj: Trajectory) -> Table:
    """Return the first transitions as a table."""
    shown = traj.transitions[:_TRANSITIONS_SHOWN]
    return _table(
        f"first {len(shown)} of {traj.n_transitions:,} transitions",
        ("step", "from pattern", "to pattern"),
        ((_step(row["t"], row["log_t"]), f"{row['before']:04b}", f"{row['after']:04b}") for row in shown),
        "Pattern bits, from the left: neuron 1 on x_1, 1 on x_0, 0 on x_1, 0 on x_0.",
    )


def _segments(traj: Trajectory) -> Table:
    """Return which engine covered which steps as a table."""
    return _table(
        "engines",
        ("engine", "from step", "to step", "blocks", "iterations"),
        (
            (
                row["engine"],
                _step(row["t_start"], row["log_t_start"]),
                _step(row["t_stop"], row["log_t_stop"]),
                f"{row['blocks']:,}",
                f"{row['iterations']:,}",
            )
            for row in traj.segments
        ),
    )


def _step(t: float, log_t: float) -> str:
    return written_steps(int(t) if math.isfinite(t) else steps_of_log(log_t))


def _table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str | None = None
) -> Table:
    table = Table(*columns, title=title, caption=caption, show_header=any(columns))
    table.title_justify = table.caption_justify = "left"
    for row in rows:
        table.add_row(*map(Text, row))  # as text: brackets in it are not markup
    return table


def _print(table: Table) -> None:
    Console().print(table)
