"""The command ``twonn``: run, resume or sweep, look at a trajectory, fit it, reproduce the paper."""

from __future__ import annotations

import errno
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from twonn import _core, completion, config, summaries
from twonn.arguments import ArgumentValueError, Verbatim, one_of, required
from twonn.engine.checkpoint import digest
from twonn.engine.fields import CHECKPOINT_EVERY, FIELDS
from twonn.engine.reopen import spec_in
from twonn.engine.run import require_checkpoint, so_far
from twonn.engine.run import resume as resume_run
from twonn.engine.watching import first_signal
from twonn.files import CheckpointError, check_place, is_checkpoint, previous
from twonn.problem.horizon import horizon, written_steps, written_time
from twonn.problem.problem import problem_dict
from twonn.problem.runspec import ENGINE_SYNONYMS, ENGINES, are_same_run
from twonn.results.records import Status
from twonn.results.saved import load_trajectory
from twonn.results.trajectory import Trajectory
from twonn.sweeps.loading import open_result
from twonn.values import number_of

if TYPE_CHECKING:
    from twonn.sweeps.asked import Asked

#: What `plot` draws of a trajectory, and of a sweep.
PLOTS = (
    "gap",
    "scaled_gap",
    "local_exponent",
    "parameters",
    "loss",
    "margins",
    "distances",
    "pattern",
    "slides",
    "network",
    "phase_plane",
    "decision_regions",
)
SWEEP_PLOTS = ("gap", "scaled_gap", "constants")

_KINDS = tuple(dict.fromkeys((*PLOTS, *SWEEP_PLOTS)))

#: As a shell reports a program that Ctrl-C ended.
INTERRUPTED = 130

#: How many transitions `inspect` lists.
_TRANSITIONS_SHOWN = 10

#: How many characters of a text in a checkpoint it shows.
_LONGEST_TEXT = 60

#: How many faults of a store it lists.
_FAULTS_SHOWN = 20

_EVERY = typer.Option(
    "--checkpoint-every",
    metavar="TIME|STEPS",
    help="Time or steps between checkpoints, such as 60s, 10min, 2h or 10^9.",
)

_SET = typer.Option(
    "--set",
    metavar="TABLE.KEY=VALUE",
    autocompletion=completion.settings,
    help="Replace or add an entry of the spec file: problem.step_size=.05. May be given several times.",
)

_JSON = typer.Option("--json", help="Print a summary as JSON instead.")

_FORCE = typer.Option("--force", help="Replace an existing output file; never a checkpoint.")

_MAX_DIRECT = typer.Option(
    "--max-direct",
    metavar="STEPS",
    help='Steps that the engine "auto" takes one by one before it gives up, such as 10^11.',
)


class _Command(TyperGroup):
    """Prints the message of an expected error and exits 2; any other error is a bug in twonn."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _warn  # type: ignore[assignment]
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


def _warn(message: Warning | str, category: type[Warning], *_: object) -> None:
    if issubclass(category, (DeprecationWarning, PendingDeprecationWarning)):
        return  # for the developers of other packages, some of which insist on its being shown
    typer.echo(f"twonn: {message}", err=True)


def _refuse(sentence: str, error: Exception) -> NoReturn:
    typer.echo(f"twonn: {sentence}", err=True)
    raise typer.Exit(2) from error


app = typer.Typer(
    name="twonn",
    cls=_Command,
    help="How slowly does gradient descent find the robust classifier?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
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
        typer.Option("--output", "-o", metavar="FILE.npz", help="Where to save it; SPEC.npz by default."),
    ] = None,
    changes: Annotated[list[str] | None, _SET] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File from which twonn resume continues; must not exist yet."),
    ] = None,
    every: Annotated[str, _EVERY] = CHECKPOINT_EVERY,
    max_direct: Annotated[str | None, _MAX_DIRECT] = None,
    force: Annotated[bool, _FORCE] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Run a spec file and save the trajectory.

    The first Ctrl-C or SIGTERM ends the run in order and saves the trajectory so far; a second one stops at
    once.
    """
    from twonn.spec import Spec

    asked = Spec(spec, changes or ())
    output = spec.with_suffix(".npz") if output is None else output
    _check_apart(output, checkpoint)
    _check_free(output, force)
    with first_signal() as came:
        traj = asked.run(checkpoint, every, max_direct)
        traj.save(output)
    _finish(traj, output, checkpoint, came(), as_json)


@app.command()
def resume(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    steps: Annotated[
        str | None,
        typer.Option(metavar="STEPS", help="A new horizon, such as 10^12, counted from step 0."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.npz", help="Where to save the trajectory; FILE.npz by default."
        ),
    ] = None,
    every: Annotated[str | None, _EVERY] = None,
    max_direct: Annotated[str | None, _MAX_DIRECT] = None,
    force: Annotated[bool, _FORCE] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Continue a run from its checkpoint, and save the trajectory.

    An earlier part of the same run, saved under that name, is replaced; anything else only with --force.
    """
    asked = None if steps is None else horizon(steps, None)
    require_checkpoint(file)
    output = file.with_suffix(".npz") if output is None else output
    _check_apart(output, file)
    _check_free(output, force or _is_part(output, file, asked))
    with first_signal() as came:
        traj = resume_run(
            file,
            asked,
            checkpoint_every=every,
            progress=True,
            max_direct=max_direct,
        )
        traj.save(output)
    _finish(traj, output, file, came(), as_json)


@app.command()
def sweep(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", show_default=False)],
    store: Annotated[
        Path, typer.Option(metavar="DIR", help="Zarr store for the results; an existing one is continued.")
    ],
    changes: Annotated[list[str] | None, _SET] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="threads:N|processes:N|dask:ADDRESS",
            autocompletion=completion.names(("threads:", "processes:", "dask:")),
            help="Where to run; by default on one thread per core.",
        ),
    ] = None,
    max_direct: Annotated[str | None, _MAX_DIRECT] = None,
    part: Annotated[
        str | None,
        typer.Option(metavar="i/n", help="Run only part i of n, counted from 0, as one job of an array."),
    ] = None,
    every: Annotated[str, _EVERY] = "60s",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Run every problem of a spec file from every start.

    After Ctrl-C, the same command continues with the store. Exits 1 if runs are missing for another reason.
    Several processes may fill one store at once and share the work.
    """
    from twonn.spec import SweepSpec

    asked = (0, 1) if part is None else _part(part)
    with first_signal() as came:
        result = SweepSpec(spec, changes or ()).sweep(
            store,
            executor,
            max_direct=max_direct,
            part=asked,
            checkpoint_every=every,
        )
    typer.echo(summaries.as_json(summaries.of_sweep(result)) if as_json else repr(result))
    if result.interrupted:
        raise typer.Exit(_exit_code(came()))
    if not result.complete:
        raise typer.Exit(1)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Print the contents of a saved trajectory or a checkpoint; check the store of a sweep.

    Exits 1 if anything in a store differs from what was computed.
    """
    if file.is_dir():
        _inspect_store(file, as_json)
        return
    traj, values = _opened(file)
    if as_json:
        held = {} if values is None else {"checkpoint": {"digest": digest(values), **_single(values)}}
        rows = {"transitions": traj.transitions, "slides": traj.slides}
        typer.echo(summaries.as_json({**summaries.of_trajectory(traj), **rows, **held}))
        return
    typer.echo(repr(traj))
    if values is not None:
        _print(_checkpoint(values))
    if len(traj.transitions):
        _print(_transitions(traj))
    _print(_segments(traj))
    _print(_table("computed by", ("", ""), traj.provenance.items()))


@app.command()
def fit(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    most: Annotated[
        int,
        typer.Option(
            "--runs", min=1, help="Of a sweep: successful runs to fit for each problem and optimizer."
        ),
    ] = 50,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Fit the law of the gap in a saved trajectory; print the report and, if known, the closed form.

    Of the store of a sweep with trajectories, fit the first successful runs and print which laws they follow.
    """
    if file.is_dir():
        _fit_store(file, most, as_json)
        return
    from twonn.analysis.asymptote import asymptote
    from twonn.analysis.fit_rate import fit_rate

    traj = _opened(file)[0]
    found, closed = fit_rate(traj), asymptote(traj.problem, traj)
    if as_json:
        both = {**summaries.of_fit(found), "closed_form": summaries.of_asymptote(closed)}
        typer.echo(summaries.as_json(both))
        return
    typer.echo(found.report())
    typer.echo(f"[[Closed form]]\n{closed.report()}")


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            autocompletion=completion.names(_KINDS),
            help=f"One of {', '.join(_KINDS)}.",
        ),
    ] = "gap",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FIGURE",
            help="Where to save it (.png, .pdf, .svg); FILE-KIND.png by default.",
        ),
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP", help="Step to draw, such as 10^6: several of network, one of decision_regions."
        ),
    ] = None,
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Draw a saved trajectory, the run in a checkpoint so far, or the runs in the store of a sweep.

    Of a store: gap and scaled_gap, if it keeps the gap, are bands with nine of ten successful runs; constants
    is a histogram.
    """
    from twonn import plot as plots

    one_of("kind", kind, _KINDS)
    options = _chosen_steps(kind, step or [])
    draw: Any = getattr(plots, kind)
    if file.is_dir() or kind not in PLOTS:
        shown, draw = _sweep_in(file, kind), draw if kind not in PLOTS else plots.gap_bands
        options |= {"scaled": True} if kind == "scaled_gap" else {}
    else:
        shown = _opened(file)[0]
    output = file.with_name(f"{file.stem}-{kind}.png") if output is None else output
    _check_free(output, force)
    with plots.written_to(output) as ax:
        draw(shown, ax, **options)
    typer.echo(f"Saved in {output}")


@app.command(name="config")
def show_config(as_json: Annotated[bool, _JSON] = False) -> None:
    """Print the versions, the build and a self-check of the floating-point arithmetic.

    Exits 1 if the self-check finds a fault.
    """
    faults = _core.arithmetic_faults()
    if as_json:
        typer.echo(summaries.as_json({**config.configuration(), "faults": faults}))
    else:
        _print(_table("configuration", ("", ""), config.configuration().items()))
    if faults:
        raise typer.Exit(1)


def _list_sections(wanted: bool) -> None:
    if wanted:
        from twonn.report import SECTIONS

        width = max(map(len, SECTIONS))
        for name, section in SECTIONS.items():
            typer.echo(f"{name:<{width}}  {section.description}")
        raise typer.Exit


@app.command()
def reproduce(
    sections: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SECTION",
            show_default=False,
            autocompletion=completion.sections,
            help="Sections to make; all by default.",
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", callback=_list_sections, is_eager=True, help="List the sections.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="At the paper's size: 10,000 starts, 10^7 steps, with leaps.")
    ] = False,
    runs: Annotated[
        int | None, typer.Option(metavar="RUNS", help="Number of random starts; 200 by default.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="STEPS", help="Steps of each run, such as 10^6, the default.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            autocompletion=completion.engines,
            help="direct, auto or leap; direct by default, auto with --full.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Seed of all starts.")] = 42,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the report.")
    ] = Path("reproduction"),
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty, over an earlier report.")
    ] = False,
) -> None:
    """Reproduce arXiv 2603.02095 and related questions, as one page with numbers and figures.

    The options --runs, --steps and --engine are for the section "paper", the paper's own experiment. By
    default that is a smaller version of it, with every step taken. Ctrl-C ends the work in order and reports
    the finished sections.
    """
    from twonn import report

    _check_empty(output, force)
    with first_signal() as came:
        result = report.reproduce(
            output,
            sections or (),
            full=full,
            runs=runs,
            steps=steps,
            engine=None if engine is None else one_of("engine", engine, ENGINES, ENGINE_SYNONYMS),
            seed=seed,
        )
    typer.echo(result.summary)
    typer.echo(f"Report in {result.folder}")
    if result.interrupted:
        raise typer.Exit(_exit_code(came()))


# --------------------------------------------------------------------------------------------------
# Numbers, files and tables


def _check_free(output: Path, force: bool) -> None:
    """Refuse a place for a file before the run, not after it."""
    check_place(output)
    if output.exists() and not force:
        expected = "the name of a file that does not exist"
        fix = "Replace it with --force, or choose another --output."
        raise ArgumentValueError("output", str(output), expected, fix)


def _check_empty(folder: Path, force: bool) -> None:
    """Refuse to write a report over another one, or into a folder with other things."""
    if folder.is_dir() and any(folder.iterdir()) and not force:
        expected = "a new or empty folder"
        fix = "Write into it with --force, or choose another --output."
        raise ArgumentValueError("output", str(folder), expected, fix)


def _is_part(output: Path, checkpoint: Path, steps: int | None) -> bool:
    """Whether a file has a trajectory that the run in a checkpoint is going to contain."""
    if not output.exists():
        return True
    spec = spec_in(checkpoint)
    try:
        held = load_trajectory(output)
    except CheckpointError:
        return False
    last = spec.options.horizon if steps is None else steps
    return isinstance(held, Trajectory) and are_same_run(held.spec, spec) and held.end_step <= last


def _check_apart(output: Path, checkpoint: Path | None) -> None:
    """Refuse to write the trajectory over the checkpoint."""
    if checkpoint is not None and output.resolve() == checkpoint.resolve():
        expected = "a file other than the checkpoint"
        raise ArgumentValueError("output", str(output), expected, "Give the trajectory a name of its own.")


def _opened(file: Path) -> tuple[Trajectory, Mapping[str, Any] | None]:
    """Return the trajectory in a file, and the values of the file if it is a checkpoint."""
    if is_checkpoint(file) or is_checkpoint(previous(file)):
        return so_far(file)
    return load_trajectory(file), None


def _finish(traj: Trajectory, output: Path, checkpoint: Path | None, signum: int, as_json: bool) -> None:
    """Print what was saved and how a run that stopped early continues; exit as a shell expects it."""
    further = ""
    if checkpoint is not None and traj.status in (Status.INTERRUPTED, Status.OBSTRUCTED):
        more = " --max-direct STEPS" if traj.status is Status.OBSTRUCTED else ""
        further = f"twonn resume {checkpoint}{more}"
    if as_json:
        files = {"output": output, "checkpoint": checkpoint, "continue_with": further or None}
        typer.echo(summaries.as_json({**summaries.of_trajectory(traj), **files}))
    else:
        typer.echo(f"{traj!r}\nSaved in {output}" + (f"\nContinue with: {further}" if further else ""))
    if traj.status is Status.INTERRUPTED:
        raise typer.Exit(_exit_code(signum))


def _exit_code(signum: int) -> int:
    """Return what a shell reports of a program that a signal ended."""
    return 128 + signum if signum else INTERRUPTED


def _checkpoint(values: Mapping[str, Any]) -> Table:
    """Return the single numbers and texts of a checkpoint as a table."""
    meanings = {field.name: field.meaning for field in FIELDS}
    rows = [(name, _brief(value), meanings[name]) for name, value in _single(values).items()]
    title = f"checkpoint, digest {digest(values)[:16]}"
    return _table(title, ("field", "value", "meaning"), rows)


def _single(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single numbers and texts of a checkpoint."""
    return {field.name: values[field.name] for field in FIELDS if field.shape == () and field.name in values}


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} …"


def _part(text: str) -> tuple[int, int]:
    """Return (i, n) of i/n."""
    match = re.fullmatch(r"(\d{1,18})/(\d{1,18})", text)
    if match is None:
        expected = "i/n with 0 <= i < n: part i of n, counted from 0"
        raise ArgumentValueError("part", text, expected, "Write e.g. 0/4 for the first of four.")
    return int(match[1]), int(match[2])


def _inspect_store(path: Path, as_json: bool) -> None:
    """Print the contents of the store of a sweep, and what is damaged in it."""
    from twonn.sweeps.axes import runs_of
    from twonn.sweeps.result import outcomes_of
    from twonn.sweeps.store import Store

    store = Store(path)
    complete = store.complete()
    done = len(runs_of(store, complete))
    faults = list(store.faults())
    checked = "against the digests of what was computed"
    if not store.checked:
        checked = "for unreadable files: this format has no digests"
    found = number_of(len(faults), "fault") if faults else "nothing is damaged"
    asked = store.asked
    if as_json:
        counts = {"runs": store.runs, "done": done, "chunks": store.chunks, "chunks_done": len(complete)}
        held = {name: str(store.attributes[name]) for name in ("format", "spec_sha256")}
        named = [{"what": what, "fault": fault} for what, fault in faults]
        sizes = {"chunk_size": store.chunk_size, "has_digests": store.checked}
        steps = summaries.steps("horizon", asked.horizon)
        spec = json.loads(store.attributes["spec"])
        typer.echo(summaries.as_json({**counts, **sizes, "faults": named, **held, **steps, "spec": spec}))
        raise typer.Exit(1 if faults else 0)
    facts = {
        "runs": f"{done:,} of {store.runs:,} are done",
        "chunks": f"{len(complete):,} of {store.chunks:,}, with {store.chunk_size:,} runs each",
        "checked": f"{checked}: {found}",
        **outcomes_of(store),
        **_asked(store.asked),
        **{name: str(store.attributes[name]) for name in ("format", "spec_sha256")},
    }
    _print(_table("sweep", ("", ""), facts.items()))
    if faults:
        shown = faults[:_FAULTS_SHOWN]
        title = f"first {len(shown)} of {number_of(len(faults), 'fault')}"
        _print(_table(title, ("what", "fault"), shown, "The same sweep with this store repairs them."))
        raise typer.Exit(1)


def _fit_store(path: Path, most: int, as_json: bool) -> None:
    """Fit runs of the store of a sweep; print how many follow which law, with the medians of its numbers."""
    from twonn.sweeps.fits import first_successes, fitted_runs, medians
    from twonn.sweeps.store import Store

    store = Store(path)
    runs = first_successes(store, most)
    fits = list(fitted_runs(store, runs, progress=True))
    succeeded = int(store.read("success").sum())
    if as_json:
        typer.echo(summaries.as_json({"succeeded": succeeded, "fits": [one.row() for one in fits]}))
        return
    groups: dict[tuple[str, ...], list[Any]] = {}
    for one in fits:
        law = "no fit" if one.fit is None else one.fit.law
        problem = "each its own" if store.axes.is_paired else str(one.problem)
        optimizer = "each its own" if store.axes.is_paired else one.optimizer
        groups.setdefault((problem, optimizer, law), []).append(one)
    rows = [
        (*group, f"{len(members):,}", *(medians(members, name) for name in ("exponent", "constant", "limit")))
        for group, members in sorted(groups.items(), key=lambda item: (item[0][:2], -len(item[1])))
    ]
    columns = ("problem", "optimizer", "law", "runs", "exponent of ln t", "constant", "limit")
    title = f"laws of {number_of(len(runs), 'run')}, of {number_of(succeeded, 'run')} that succeeded"
    _print(_table(title, columns, rows, "Medians, and from 5 % to 95 % of the runs."))
    if refused := [one for one in fits if one.fit is None]:
        typer.echo(f"Without a fit is, for example, run {refused[0].run}: {refused[0].refused}")


def _asked(asked: Asked) -> dict[str, str]:
    """Return what a sweep was asked for, as its store says it, for people."""
    problems, limit = asked.problems, asked.max_direct
    brief = ", ".join(f"{name} = {_brief(value)}" for name, value in problem_dict(problems[0]).items())
    optimizers = ["gd" if one is None else str(one) for one in asked.optimizers]
    return {
        "dimensions": ", ".join(asked.axes.dimensions) or "none: one run",
        "problems": f"{brief}" if len(problems) == 1 else f"{len(problems):,}; the first: {brief}",
        "starts": asked.starts,
        "steps": written_steps(asked.horizon),
        "engine": f"{asked.engine}, sliding {asked.sliding}"
        + ("" if limit is None else f", max_direct {written_steps(limit)}"),
        "optimizer" if len(optimizers) == 1 else "optimizers": "; ".join(optimizers),
        "trajectories": ", ".join(asked.trajectories) or "none kept",
    }


def _chosen_steps(kind: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return the steps to draw, as the keyword argument that this kind of figure takes."""
    if not texts:
        return {}
    if kind == "network":
        return {"steps": texts}
    if kind == "decision_regions" and len(texts) == 1:
        return {"step": texts[0]}
    expected = "one step" if kind == "decision_regions" else f"no step for the kind {kind!r}"
    fix = "Only network takes several steps, and decision_regions one."
    raise ArgumentValueError("step", Verbatim(", ".join(texts)), expected, fix)


def _sweep_in(store: Path, kind: str) -> Any:
    """Open the store of a sweep, for a kind of figure."""
    if not store.is_dir():
        fix = "Give the folder that twonn sweep --store has filled."
        raise ArgumentValueError("file", str(store), f"the store of a sweep for the kind {kind!r}", fix)
    if kind not in SWEEP_PLOTS:
        expected = f"one of {', '.join(SWEEP_PLOTS)} for the store of a sweep"
        raise ArgumentValueError("kind", kind, expected, "Other figures are of one run; see twonn run.")
    try:
        required("xarray", "A plot of a sweep", "sweep")
    except ImportError as error:
        raise RuntimeError(str(error)) from error
    return open_result(store)


def _transitions(traj: Trajectory) -> Table:
    """Return the first transitions as a table."""
    shown = traj.transitions[:_TRANSITIONS_SHOWN]
    return _table(
        f"first {len(shown)} of {traj.n_transitions:,} transitions",
        ("step", "from pattern", "to pattern"),
        (
            (written_time(row["t"], row["log_t"]), f"{row['before']:04b}", f"{row['after']:04b}")
            for row in shown
        ),
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
                written_time(row["t_start"], row["log_t_start"]),
                written_time(row["t_stop"], row["log_t_stop"]),
                f"{row['blocks']:,}",
                f"{row['iterations']:,}",
            )
            for row in traj.segments
        ),
    )


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
