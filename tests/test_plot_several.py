"""Plots of several runs: which lines there are, how they are told apart, and what the legend says of them."""

import gc
import math
import weakref

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex

import twonn
from twonn import plot
from twonn.analysis.laws import FITTED, Law
from twonn.plot import runs as runs_module
from twonn.plot.found import FoundLaw, draw_band
from twonn.plot.parts import STYLE, number_text

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])

#: Functions that draw one line of each run, and several of each.
ONE_EACH = {
    "gap": plot.gap,
    "scaled_gap": plot.scaled_gap,
    "local_exponent": plot.local_exponent,
    "loss": plot.loss,
}
MANY_EACH = {"parameters": plot.parameters, "margins": plot.margins, "distances": plot.distances}
LINES = {**ONE_EACH, **MANY_EACH}

#: The entries of the legend that explain line styles.
KEYS = {
    "parameters": ["$w_0$", "$b_0$", "$w_1$", "$b_1$"],
    "margins": ["$x_0$", "$x_1$"],
    "distances": ["$x_0$", "$x_1$", "optimal margin"],
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def four():
    optimizers = {
        "gradient descent": "gd",
        "momentum": "momentum",
        "normalized": "normalized_gd",
        "Adam": "adam",
    }
    return {name: twonn.run(PAPER, START, 10**4, optimizer=one) for name, one in optimizers.items()}


@pytest.fixture(scope="module")
def starts():
    return twonn.initializers.sample("he_normal", 50, 42)


@pytest.fixture(scope="module")
def fifty(starts):
    return [twonn.run(PAPER, start, 10**8, samples_per_decade=3) for start in starts]


@pytest.fixture(scope="module")
def diverged():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e3, train_output=True)
    run = twonn.run(problem, twonn.Params(w=[2.0, -2.0], b=[3.0, 3.0], v=[-3.0, -3.0]), steps=100)
    assert run.status is twonn.Status.DIVERGED
    return run


@pytest.fixture(scope="module")
def equal():
    return twonn.run(twonn.Problem(x=[-1.0, 1.0], y=[1, 1], step_size=0.01), START, steps=10**4)


@pytest.fixture
def ax():
    return mpl.figure.Figure().subplots()


def entries(ax):
    """The texts of the legend, with math and line breaks as they are."""
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def remarks(ax):
    """The sentences above the legend."""
    return ax.get_legend().get_title().get_text().replace("\n", " ")


def labelled(ax, label):
    """The line with a label."""
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line


def with_data(ax):
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def described(ax):
    """Everything that is on the axes, to be compared."""
    lines = [
        (
            line.get_label() if not line.get_label().startswith("_") else "",
            to_hex(line.get_color(), keep_alpha=True),
            line.get_linestyle(),
            line.get_linewidth(),
            np.asarray(line.get_xdata()).tolist(),
            np.asarray(line.get_ydata()).tolist(),
        )
        for line in ax.lines
    ]
    # Limits go through the transformations of axes of another size, which round.
    limits = [float(f"{limit:.9g}") for limit in (*ax.get_xlim(), *ax.get_ylim())]
    scales = (ax.get_xscale(), ax.get_yscale(), limits)
    return lines, len(ax.collections), [text.get_text() for text in ax.texts], entries(ax), scales


def cycle(count):
    return [to_hex(colour) for colour in mpl.rcParams["axes.prop_cycle"].by_key()["color"][:count]]


# --------------------------------------------------------------------------------------------------
# Colours and legends


@pytest.mark.parametrize("kind", LINES)
def test_each_run_has_its_colour_and_its_entry(kind, four, ax):
    LINES[kind](four, ax)
    assert entries(ax) == [*four, *KEYS.get(kind, [])]
    assert [to_hex(labelled(ax, name).get_color()) for name in four] == cycle(4)
    assert len(ax.collections) == 0
    if kind in ONE_EACH:
        assert len(with_data(ax)) == 4


@pytest.mark.parametrize("kind", LINES)
def test_a_mapping_is_a_sequence_with_labels(kind, four):
    first, second, third = mpl.figure.Figure().subplots(3)
    LINES[kind](four, first)
    LINES[kind](list(four.values()), second, label=list(four))
    LINES[kind]((traj for traj in four.values()), third, label=tuple(four))
    assert described(first) == described(second) == described(third)


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("named", [True, False])
def test_calls_on_the_same_axes_add_up(kind, named, four):
    at_once, one_by_one = mpl.figure.Figure().subplots(2)
    LINES[kind](four if named else list(four.values()), at_once)
    for name, traj in four.items():
        LINES[kind](traj, one_by_one, **({"label": name} if named else {}))
    lines, *rest = described(at_once)
    others, *others_rest = described(one_by_one)
    # Lines that explain are drawn anew in each call, in another order.
    assert sorted(map(repr, lines)) == sorted(map(repr, others))
    assert rest == others_rest
    assert entries(one_by_one)[:4] == (list(four) if named else [f"run {k}" for k in range(4)])


def test_what_is_drawn_for_a_single_run_only_goes_when_others_join(ax):
    far = twonn.run(PAPER, START, 10**12)
    plot.gap(far, ax)
    assert len(ax.collections) == 1
    assert entries(ax)[1:] == ["gap", "closed form,\n" + Law.SHIFTED_LOG.label]
    plot.gap(twonn.run(PAPER, twonn.Params(w=[0.2, -0.4]), 10**8), ax)
    assert len(ax.collections) == 0
    assert entries(ax) == ["run 0", "run 1"]
    assert len(ax.lines) == 2


def test_what_was_asked_for_stays_when_others_join(ax, four):
    far = twonn.run(PAPER, START, 10**12)
    asked = {"law": "closed form", "envelope": True}
    plot.gap(far, ax, label="far", **asked)
    plot.gap(four["Adam"], ax, label="Adam", **asked)
    at_once = mpl.figure.Figure().subplots()
    plot.gap({"far": far, "Adam": four["Adam"]}, at_once, **asked)
    assert len(ax.collections) == len(at_once.collections) == 1
    assert ax.collections[0].get_facecolor().tolist() == at_once.collections[0].get_facecolor().tolist()
    lines, others = described(ax)[0], described(at_once)[0]
    assert sorted(map(repr, lines)) == sorted(map(repr, others))
    assert entries(ax)[:3] in (["far", Law.SHIFTED_LOG.label, "Adam"], ["far", "Adam", Law.SHIFTED_LOG.label])
    assert entries(ax)[3:] == entries(at_once)[3:]
    assert entries(ax)[3].startswith(r"gap$\cdot\ln t$ in $[")


def test_more_runs_than_colours_have_other_line_styles(fifty, ax):
    plot.gap(fifty[:14], ax)
    looks = [(line.get_color(), line.get_linestyle()) for line in ax.lines]
    assert len(set(looks)) == 14
    assert {style for _, style in looks} == {"-", "--"}
    assert entries(ax) == [f"run {k}" for k in range(14)]


@pytest.mark.parametrize("kind", LINES)
def test_too_many_runs_share_a_colour_and_an_entry(kind, fifty, ax):
    many = fifty if kind == "scaled_gap" else fifty[: 15 if kind in ONE_EACH else 8]
    LINES[kind](many, ax)
    shown = sum(traj.success for traj in many) if kind == "scaled_gap" else len(many)
    assert entries(ax) == [f"{shown} runs", *KEYS.get(kind, [])]
    first = labelled(ax, f"{shown} runs")
    of_runs = with_data(ax)
    assert {to_hex(line.get_color()) for line in of_runs} == {to_hex(first.get_color())}
    assert len(of_runs) >= shown


def test_a_label_for_several_stands_for_all(fifty, ax):
    good = [traj for traj in fifty if traj.success]
    plot.scaled_gap(good[:3], ax, label="He")
    plot.scaled_gap(good[3:6], ax, label="others")
    assert entries(ax) == ["He", "others"]
    colours = [to_hex(line.get_color()) for line in ax.lines]
    assert colours == [cycle(2)[0]] * 3 + [cycle(2)[1]] * 3


def test_labels_may_be_anything_that_can_be_written(four, ax):
    plot.gap({0.01: four["gradient descent"], 0.1: four["momentum"]}, ax)
    assert entries(ax) == ["0.01", "0.1"]


@pytest.mark.parametrize("kind", LINES)
def test_no_run_at_all(kind, ax):
    LINES[kind]({}, ax)
    assert [text.get_text() for text in ax.texts] in (["no run"], [])
    assert entries(ax) in ([], KEYS.get(kind))


# --------------------------------------------------------------------------------------------------
# Keywords of Line2D


@pytest.mark.parametrize("kind", LINES)
def test_keywords_are_passed_on(kind, four, ax):
    LINES[kind](four["gradient descent"], ax, color="#123456", lw=2.5, alpha=0.5, label="mine")
    line = labelled(ax, "mine")
    assert (line.get_color(), line.get_linewidth(), line.get_alpha()) == ("#123456", 2.5, 0.5)
    assert entries(ax).count("mine") == 1


@pytest.mark.parametrize("kind", ONE_EACH)
def test_a_line_style_is_passed_on(kind, four, ax):
    ONE_EACH[kind](four, ax, ls=":")
    assert [labelled(ax, name).get_linestyle() for name in four] == [":"] * 4
    assert [to_hex(labelled(ax, name).get_color()) for name in four] == cycle(4)


@pytest.mark.parametrize("draw", [*LINES.values(), plot.compare])
def test_other_keywords_are_refused(draw, four):
    with pytest.raises(TypeError, match=r"^colour: got 'red'; expected a keyword of this .* 'color'\?$"):
        draw(four, colour="red")
    with pytest.raises(TypeError, match=r"^xdata: got \[1\]; expected a keyword of this function"):
        draw(four, xdata=[1])
    with pytest.raises(ValueError, match=r"^color: got 'rot'; expected what Line2D takes \('rot' is not"):
        draw(four, color="rot")
    with pytest.raises(ValueError, match=r"^color: got \['C0', 'C1'\]; .* the cycle of the axes gives each"):
        draw(four, color=["C0", "C1"])
    with pytest.raises(TypeError, match=r"^lw: got lw and linewidth; expected each keyword once\."):
        draw(four, lw=1, linewidth=1)
    assert pyplot.get_fignums() == []


def test_keywords_of_the_function_itself_may_have_been_meant(four):
    for name, meant, draw in (
        ("envelop", "envelope", plot.gap),
        ("kind", "kinds", plot.compare),
        ("coordinate", "coordinates", plot.phase_plane),
    ):
        with pytest.raises(TypeError, match=rf"^{name}: got 1; .* Did you mean '{meant}'\?$"):
            draw(four, **{name: 1})


def test_labels_that_do_not_fit_are_refused(four):
    with pytest.raises(ValueError, match=r"^label: got 'GD'; expected no label beside a mapping"):
        plot.gap(four, label="GD")
    with pytest.raises(ValueError, match=r"^label: got 1 label; expected one label for each of 2 runs\."):
        plot.gap([four["Adam"], four["momentum"]], label=["GD"])


@pytest.mark.parametrize("draw", [*LINES.values(), plot.compare])
def test_what_are_no_trajectories_is_refused(draw, four):
    with pytest.raises(TypeError, match=r"^traj\['b'\]: got 3; expected a twonn\.Trajectory\."):
        draw({"a": four["Adam"], "b": 3})
    with pytest.raises(TypeError, match=r"^traj\[1\]: got None; expected a twonn\.Trajectory\."):
        draw([four["Adam"], None])
    with pytest.raises(TypeError, match=r"^traj: got 'run\.npz'; expected a twonn\.Trajectory, a sequence"):
        draw("run.npz")


# --------------------------------------------------------------------------------------------------
# The law that was found


def corners_at(band, step):
    """The lower and the upper edge of a band at a step."""
    corners = band.get_paths()[0].vertices
    at = np.abs(corners[:, 0] - math.log10(step)) < 1e-9
    return corners[at, 1].min(), corners[at, 1].max()


def test_the_band_of_trained_weights_is_that_of_the_root(ax):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=True)
    traj = twonn.run(problem, START, steps=10**16)
    assert twonn.asymptote(traj).law == "C/(√(ln t) + κ)"
    plot.gap(traj, ax)
    late = [
        (gap * math.sqrt(log), t)
        for gap, log, t in zip(traj.gap, traj.log_t, traj.t, strict=True)
        if t >= 1e8
    ]
    low, high = min(late)[0], max(late)[0]
    (band,) = ax.collections
    for t in (1e8, 1e16):
        # Roots, products and quotients, each rounded, of logarithms that differ in the last place.
        expected = (low / math.sqrt(math.log(t)), high / math.sqrt(math.log(t)))
        assert corners_at(band, t) == pytest.approx(expected, rel=4e-15)
    assert entries(ax)[0] == (
        rf"gap$\cdot\sqrt{{\ln t}}$ in $[{low:.3g},\,{{{high:.3g}}}]$" + "\nfrom step $10^{8}$"
    )
    assert "closed form,\n" + Law.SHIFTED_ROOT.label in entries(ax)


def test_a_constant_gap_is_not_said_to_fall(ax, fifty):
    failed = next(traj for traj in fifty if not traj.success)
    assert twonn.asymptote(failed).law == "constant"
    plot.gap(failed, ax)
    (band,) = ax.collections
    assert corners_at(band, 1e8) == pytest.approx((failed.gap[-1],) * 2, rel=1e-15)
    assert entries(ax)[0] == r"gap $\approx 1$" + "\nfrom step $10^{4}$"
    assert entries(ax)[2] == "closed form,\nconstant"
    assert not any("ln" in text for text in entries(ax))


def test_the_band_of_a_gap_with_a_limit_is_about_the_limit(ax):
    problem = twonn.Problem(x=[[2.0, 1.0], [-0.5, -1.0]], y=[1, -1], step_size=0.05)
    traj = twonn.run(problem, twonn.Params(w=[[0.6, 0.4], [-0.3, 0.5]], b=[0.3, 0.9]), steps=10**12)
    law = twonn.asymptote(traj)
    assert law.law == "limit + C/(ln t + κ)"
    plot.gap(traj, ax)
    scaled = ((traj.gap - law.limit) * traj.log_t)[traj.t >= 1e6]
    (band,) = ax.collections
    # The limit is taken off and added again: an error of some roundings of the limit.
    expected = (law.limit + scaled.min() / traj.log_t[-1], law.limit + scaled.max() / traj.log_t[-1])
    assert corners_at(band, 1e12) == pytest.approx(expected, rel=1e-15)
    assert entries(ax)[0].startswith(rf"(gap $-\,{number_text(law.limit)}$)$\cdot\ln t$ in $[")


#: A run's numbers of each shape, and the C that they go with in the legend.
NUMBERS = {"shift": -1.25, "exponent": 1.25, "power": 0.75, "offset": 0.5}


@pytest.mark.parametrize("law", [*FITTED, Law.INVERSE_CUBE, Law.CONSTANT], ids=lambda law: law.formula)
def test_every_law_has_its_band(law, ax):
    log_t = np.geomspace(4.0, 40.0, 100)
    limit = 0.25 if law.limited and law is not Law.CONSTANT else 0.0
    numbers = {**NUMBERS, "limit": 0.25}
    leading = law.leading
    shape = np.ones(100)
    if law is not Law.CONSTANT:
        shape = leading.form.function(log_t, *(numbers[name] for name in leading.form.own))
    gap = limit + (2 + np.sin(np.arange(100))) * shape
    found = FoundLaw(law, "fitted law", numbers, lambda log_t: log_t)
    band = draw_band(ax, found, log_t, gap)
    constants = 2 + np.sin(np.arange(100))
    low, high = constants.min(), constants.max()
    corners = band.get_paths()[0].vertices
    for index in (0, -1):
        at = np.abs(corners[:, 0] - log_t[index] / math.log(10)) < 1e-9
        edges = corners[at, 1].min(), corners[at, 1].max()
        # The limit is taken off a gap, which leaves its rounding relative to what may be far smaller.
        expected = (limit + low * shape[index], limit + high * shape[index])
        assert edges == pytest.approx(expected, rel=1e-12)
    name, _, start = band.get_label().partition("\n")
    assert start == "from step $54.6$"
    assert ("0.25" in name) == bool(limit)
    assert not any(letter in name for letter in (r"\alpha", r"\kappa"))
    assert f"in $[{number_text(low)}" in name
    ax.legend()
    ax.figure.canvas.draw()  # mathematics that cannot be set is an error


def test_a_law_is_fitted_where_there_is_no_closed_form(ax):
    traj = twonn.run(PAPER, START, 10**6, optimizer="normalized_gd")
    fit = twonn.fit_rate(traj)
    assert fit.law == "C/(t + κ)"
    plot.gap(traj, ax)
    assert "fitted law,\n" + Law.SHIFTED_STEP.label in entries(ax)
    x, values = ax.lines[1].get_data()
    # x is ln t/ln 10, which exp magnifies by ln t = 14.
    np.testing.assert_allclose(values, fit.predict(x * math.log(10)), rtol=1e-14)
    assert entries(ax)[0].startswith(rf"gap$\cdot(t + {fit.shift:.3g})$ $\approx ")
    # The closed form alone is not to be had.
    own = mpl.figure.Figure().subplots()
    plot.gap(traj, own, law="closed form", envelope=False)
    assert entries(own) == ["gap"]


@pytest.mark.parametrize("asked", [{}, {"envelope": True}, {"envelope_from": 100}])
def test_nothing_is_claimed_where_no_law_was_found(asked, ax):
    adam = twonn.run(PAPER, START, steps=1000, optimizer="adam")
    plot.gap(adam, ax, **asked)
    assert len(ax.collections) == 0
    assert entries(ax) == ["gap"]


def test_bands_and_laws_of_several_are_drawn_on_request(ax, four):
    far = {"a": twonn.run(PAPER, START, 10**12), "b": twonn.run(PAPER, twonn.Params(w=[0.2, -0.4]), 10**12)}
    plot.gap(far, ax, law="found", envelope_from=10**6)
    assert len(ax.collections) == 2
    assert [to_hex(band.get_facecolor()[0]) for band in ax.collections] == cycle(2)
    # Both laws have one entry: it is the same.
    assert entries(ax)[:3] == ["a", "b", Law.SHIFTED_LOG.label]
    assert len(entries(ax)) == 5
    assert len(ax.lines) == 4


def test_one_law_for_several_is_drawn_once(ax, four):
    plot.gap(four, ax, law=lambda log_t: 0.1 / log_t)
    assert entries(ax) == [*four, "law"]
    assert len(ax.lines) == 5


def test_errors_of_several_are_dotted_in_their_colours():
    start = twonn.initializers.sample("he_normal_bias", 60, 3)[0]
    problem = twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05)
    first, second = (twonn.run(problem, start, steps=steps) for steps in (10**16, 10**14))
    at_once, one_by_one = mpl.figure.Figure().subplots(2)
    plot.gap([first, second], at_once)
    plot.gap(first, one_by_one, law=None)
    plot.gap(second, one_by_one)
    for ax in (at_once, one_by_one):
        errors = [line for line in ax.lines if line.get_linestyle() == ":"]
        assert [to_hex(line.get_color()) for line in errors] == cycle(2)
        assert sorted(entries(ax)) == ["error of the gap", "run 0", "run 1"]


def test_an_envelope_is_a_flag(four):
    with pytest.raises(TypeError, match="envelope: got 1; expected True or False"):
        plot.gap(four, envelope=1)


# --------------------------------------------------------------------------------------------------
# Runs that failed


def test_scaled_gaps_of_failures_are_left_out_and_counted(fifty, ax):
    plot.scaled_gap(fifty, ax)
    successes = [traj for traj in fifty if traj.success]
    assert 0 < len(successes) < 50
    drawn = [line.get_ydata() for line in with_data(ax)]
    assert len(drawn) == len(successes)
    for values, traj in zip(drawn, successes, strict=True):
        late = traj.log_t > 0
        assert np.array_equal(values, traj.gap[late] * traj.log_t[late])
    failed = 50 - len(successes)
    assert remarks(ax) == f"{failed} of 50 runs are not shown: not both points are classified"


def test_runs_that_diverged_are_counted(fifty, diverged, ax):
    good, bad = (next(traj for traj in fifty if traj.success is wanted) for wanted in (True, False))
    plot.scaled_gap({"good": good, "bad": bad, "off": diverged}, ax)
    assert entries(ax) == ["good"]
    assert remarks(ax) == "2 of 3 runs are not shown: not both points are classified (1 diverged)"
    own = plot.scaled_gap([good, diverged])
    assert remarks(own) == "1 of 2 runs is not shown: diverged"


def test_colours_do_not_depend_on_what_is_left_out(fifty, ax):
    good, bad = (next(traj for traj in fifty if traj.success is wanted) for wanted in (True, False))
    plot.scaled_gap({"bad": bad, "good": good}, ax)
    assert to_hex(labelled(ax, "good").get_color()) == cycle(2)[1]


def test_a_single_failure_and_all_failures(fifty, ax):
    bad = [traj for traj in fifty if not traj.success]
    plot.scaled_gap(bad[0], ax)
    assert len(with_data(ax)) == 1
    own = mpl.figure.Figure().subplots()
    plot.scaled_gap(bad[:3], own)
    assert [text.get_text().replace("\n", " ") for text in own.texts] == [
        "3 of 3 runs are not shown: not both points are classified"
    ]
    assert with_data(own) == []


def test_limits_of_failures_are_left_out_with_them(fifty, starts, ax):
    c = np.abs(starts.w.sum(axis=(1, 2))) / 2
    plot.scaled_gap(fifty, ax, c=c)
    successes = np.array([traj.success for traj in fifty])
    limits = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in limits] == c[successes].tolist()
    curves = with_data(ax)
    assert [line.get_color() for line in limits] == [line.get_color() for line in curves]
    # The largest and the smallest of those that are shown have the ends of the map.
    darkest = mpl.colormaps["cividis"](0.0)
    assert curves[int(np.argmin(c[successes]))].get_color() == darkest
    assert curves[int(np.argmax(c[successes]))].get_color() == mpl.colormaps["cividis"](0.9)
    assert entries(ax) == [r"$c$, reached as $t\to\infty$"]


def test_remarks_of_several_calls_are_kept(fifty, ax):
    plot.scaled_gap(fifty[:10], ax, label="one")
    plot.scaled_gap(fifty[10:20], ax, label="two")
    counts = [sum(not traj.success for traj in part) for part in (fifty[:10], fifty[10:20])]
    for count, label in zip(counts, ("one", "two"), strict=True):
        assert f"{count} of 10 runs of {label} are not shown" in remarks(ax)


def test_what_is_left_out_is_counted_when_others_join(fifty, ax):
    good = [traj for traj in fifty if traj.success]
    bad = [traj for traj in fifty if not traj.success]
    plot.scaled_gap([good[0], bad[0], good[1]], ax)
    plot.scaled_gap(good[2], ax)
    assert entries(ax) == ["run 0", "run 2", "run 3"]
    assert [to_hex(labelled(ax, f"run {k}").get_color()) for k in (0, 2, 3)] == [
        cycle(4)[k] for k in (0, 2, 3)
    ]
    own = mpl.figure.Figure().subplots()
    plot.scaled_gap(bad[:2], own)
    plot.scaled_gap(good[0], own)
    assert entries(own) == ["run 2"]
    assert remarks(own) == "2 of 2 runs are not shown: not both points are classified"
    assert own.texts[:] == []


@pytest.mark.parametrize("kind", ["loss", "margins", "parameters"])
def test_runs_that_diverged_do_not_spoil_the_axis(kind, diverged, four):
    alone, beside = mpl.figure.Figure().subplots(2)
    LINES[kind]({"ok": four["gradient descent"]}, alone)
    LINES[kind]({"ok": four["gradient descent"], "off": diverged}, beside)
    assert beside.get_ylim() == alone.get_ylim()
    line = labelled(beside, "off (diverged)")
    assert line.get_visible()


@pytest.mark.parametrize("kind", ONE_EACH)
def test_a_run_without_anything_to_draw_is_named(kind, equal, four, ax):
    ONE_EACH[kind]({"ok": four["Adam"], "equal": equal}, ax)
    if kind == "loss":
        assert entries(ax) == ["ok", "equal"]
    elif kind == "scaled_gap":
        assert entries(ax) == ["ok"]
        assert remarks(ax).startswith("1 of 2 runs is not shown")
    else:
        assert entries(ax) == ["ok", "equal (equal labels, no gap)"]


@pytest.mark.parametrize("kind", ["gap", "scaled_gap", "local_exponent"])
def test_a_note_is_lifted_when_there_is_something_to_see(kind, equal, four, ax):
    ONE_EACH[kind](equal, ax)
    assert ax.texts[0].get_text().startswith("no gap: the labels are equal")
    ONE_EACH[kind](four["gradient descent"], ax)
    assert not any(text.get_text().startswith("no gap") for text in ax.texts)
    assert entries(ax) == ["run 0 (equal labels, no gap)", "run 1"]
    assert len(ax.get_yticks()) > 1
    assert len(ax.get_xticks()) > 1


@pytest.mark.parametrize("kind", LINES)
def test_what_was_there_stays_when_a_run_without_anything_joins(kind, four, equal):
    none = twonn.run(PAPER, START, steps=0) if kind in ("loss", *MANY_EACH) else equal
    alone, joined = mpl.figure.Figure().subplots(2)
    LINES[kind](four, alone)
    LINES[kind](four, joined)
    LINES[kind](none, joined, label="nothing")
    (lines, *_, scales), (others, *_, other_scales) = described(alone), described(joined)
    assert other_scales == scales
    assert {repr(line) for line in lines} < {repr(line) for line in others}
    assert [one for one in entries(joined) if not one.startswith("nothing")] == entries(alone)
    assert len(entries(joined)) == len(entries(alone)) + 1


# --------------------------------------------------------------------------------------------------
# Loss, margins, distances


def test_loss_margins_and_distances_are_those_of_the_run(four, ax):
    traj = four["gradient descent"]
    for kind, values in (("margins", traj.margins), ("distances", traj.distances)):
        own = mpl.figure.Figure().subplots()
        LINES[kind](traj, own)
        drawn = with_data(own)
        assert [line.get_label() for line in drawn] == ["$x_0$", "$x_1$"]
        assert [line.get_linestyle() for line in drawn] == ["-", "--"]
        for point, line in enumerate(drawn):
            assert np.array_equal(line.get_ydata(), values[traj.log_t >= 0, point])
    plot.loss(traj, ax)
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, np.log10(traj.t[1:]), rtol=1e-15)
    # log10 L by the natural logarithm: a quotient, and logarithms to a rounding of their terms.
    np.testing.assert_allclose(y, np.log10(traj.loss[1:]), rtol=1e-14, atol=1e-15)
    assert ax.get_legend() is None


def test_a_loss_beyond_binary64_has_its_place(ax):
    far = twonn.run(PAPER, START, log10_steps=1000.0, samples_per_decade=2)
    assert far.loss[-1] == 0
    plot.loss({"far": far}, ax)
    x, y = ax.lines[0].get_data()
    assert x[-1] == pytest.approx(1000, rel=1e-14)
    assert y[-1] == pytest.approx(far.log_loss[-1] / math.log(10), rel=1e-15)
    assert y[-1] < -990
    assert ax.get_ylim()[1] < 10
    assert plot.compare(far)[2].get_ylim()[1] < 10
    assert "$10^{-1000}$" in [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize("kind", LINES)
def test_a_far_axis_begins_where_the_runs_do(kind, four, ax):
    far = twonn.run(PAPER, START, log10_steps=1000.0, samples_per_decade=2)
    LINES[kind](four["gradient descent"], ax)
    LINES[kind](far, ax)
    own = LINES[kind](far)
    for one in (own, ax):
        low, high = one.get_xlim()
        assert -2 < low < 1  # a twentieth of the axis before step 1
        assert 1000 <= high < 2500


def test_ticks_of_a_loss_that_hardly_falls(ax):
    plot.loss(twonn.run(PAPER, START, steps=30), ax)
    low, high = ax.get_ylim()
    shown = [
        (tick, label.get_text())
        for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
        if low <= tick <= high
    ]
    assert len(shown) >= 3
    for tick, text in shown:
        assert float(text.strip("$")) == pytest.approx(10**tick, rel=1e-14)


def test_the_optimal_margin_is_marked_once_for_each_problem(four, ax):
    other = twonn.run(twonn.Problem(x=[-2.0, 1.0], y=[-1, 1], step_size=0.01), START, steps=1000)
    plot.distances(four, ax)
    plot.distances(other, ax, label="other")
    heights = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert heights == [1.0, 1.5]
    assert entries(ax).count("optimal margin") == 1


@pytest.mark.parametrize(
    ("kind", "scale"), [("margins", "asinh"), ("parameters", "asinh"), ("distances", "linear")]
)
def test_runs_of_very_different_size_are_all_seen(kind, scale):
    slow = twonn.run(PAPER, START, 10**6)
    fast = twonn.run(PAPER, START, 10**6, optimizer="normalized_gd")
    assert MANY_EACH[kind]({"slow": slow, "fast": fast}).get_yscale() == scale
    assert MANY_EACH[kind]([slow, slow]).get_yscale() == "linear"
    assert MANY_EACH[kind](fast).get_yscale() == "linear"


def test_parameters_of_several_are_all_drawn(four, ax):
    plot.parameters(four, ax)
    drawn = {tuple(line.get_ydata()) for line in with_data(ax)}
    expected = {
        tuple(values[1:]) for traj in four.values() for values in (*traj.w.reshape(-1, 2).T, *traj.b.T)
    }
    assert drawn == expected
    widths = {line.get_label(): line.get_linewidth() for line in ax.lines}
    assert widths["$w_1$"] < widths["$w_0$"]


# --------------------------------------------------------------------------------------------------
# compare


def test_compare_has_the_same_colours_on_all_axes(four):
    axes = plot.compare(four)
    assert axes.shape == (3,)
    gaps, scaled, losses = axes
    for name, traj in four.items():
        lines = [labelled(ax, name) for ax in axes]
        assert len({to_hex(line.get_color()) for line in lines}) == 1
        late = traj.log_t > 0
        assert np.array_equal(lines[0].get_ydata(), traj.gap[late])
        assert np.array_equal(lines[1].get_ydata(), traj.gap[late] * traj.log_t[late])
        assert np.array_equal(lines[2].get_ydata(), traj.log_loss[late] / math.log(10))
    assert entries(gaps) == list(four)
    assert scaled.get_legend() is losses.get_legend() is None
    assert {ax.get_xscale() for ax in axes} == {"log"}
    assert len({ax.get_xlim() for ax in axes}) == 1
    assert [bool(ax.get_xlabel()) for ax in axes] == [False, False, True]
    assert "gap" in gaps.get_ylabel() and "ln t" in scaled.get_ylabel() and "loss" in losses.get_ylabel()


def test_compare_marks_what_failed_and_leaves_it_out_of_the_scaled_gap(fifty, diverged):
    good, bad = (next(traj for traj in fifty if traj.success is wanted) for wanted in (True, False))
    gaps, scaled, losses = plot.compare({"good": good, "bad": bad, "off": diverged})
    assert entries(gaps) == ["good", "bad (failed)", "off (diverged, no gap > 0)"]
    assert len(with_data(gaps)) == 2
    assert len(with_data(scaled)) == 1
    assert len(with_data(losses)) == 2
    many = plot.compare(fifty)
    assert entries(many[0]) == [f"50 runs ({sum(not traj.success for traj in fifty)} failed)"]


def test_compare_draws_what_is_asked_for_where_it_is_asked_for(four):
    own = mpl.figure.Figure().subplots(2, sharex=True)
    axes = plot.compare(four, own, kinds=("local_exponent", "gap"))
    assert list(axes) == list(own)
    assert own[0].get_ylabel() == plot.local_exponent(four).get_ylabel()
    assert entries(own[0]) == list(four)
    assert pyplot.get_fignums() == [1]  # that of the line before
    assert plot.compare(four, own[0], kinds=["loss"])[0] is own[0]


def test_comparisons_add_up(four):
    first, second = mpl.figure.Figure().subplots(3), mpl.figure.Figure().subplots(3)
    plot.compare(four, first)
    for name, traj in four.items():
        plot.compare(traj, second, label=name)
    for one, other in zip(first, second, strict=True):
        assert described(one) == described(other)


def test_compare_refuses(four):
    with pytest.raises(ValueError, match=r"axes: got 2; expected one for each of 3 kinds"):
        plot.compare(four, mpl.figure.Figure().subplots(2))
    with pytest.raises(TypeError, match=r"axes\[1\]: got None; expected Matplotlib Axes"):
        plot.compare(four, [mpl.figure.Figure().subplots(), None], kinds=("gap", "loss"))
    with pytest.raises(ValueError, match=r"kinds\[0\]: got 'gaps'; .* Did you mean 'gap'"):
        plot.compare(four, kinds=["gaps"])
    for nothing in ("gap", [], 3):
        with pytest.raises(TypeError, match=r"kinds: got .* expected a sequence of kinds, not empty"):
            plot.compare(four, kinds=nothing)
    assert pyplot.get_fignums() == []


def test_compare_of_a_single_run_and_of_none(four):
    axes = plot.compare(four["Adam"])
    assert all(ax.get_legend() is None for ax in axes)
    assert [len(with_data(ax)) for ax in axes] == [1, 1, 1]
    assert [ax.texts[0].get_text() for ax in plot.compare([])] == ["no run"] * 3


# --------------------------------------------------------------------------------------------------
# phase_plane


def test_paths_of_several_runs_share_the_plane(four, ax):
    plot.phase_plane(four, ax)
    paths = [line for line in ax.lines if len(line.get_xdata()) in {len(traj.t) for traj in four.values()}]
    runs = list(four.values())
    assert len(paths) == 2 * len(runs)
    for index, path in enumerate(paths):
        run, neuron = divmod(index, 2)
        assert np.array_equal(path.get_xdata(), runs[run].w[:, neuron, 0])
        assert np.array_equal(path.get_ydata(), runs[run].b[:, neuron])
        assert to_hex(path.get_color()) == cycle(4)[run]
    assert len({path.get_linewidth() for path in paths[::2]}) == 1
    assert {path.get_linewidth() for path in paths[1::2]} == {0.6}
    assert entries(ax) == [*four, "neuron 0", "neuron 1", "start", "transition", "end"]
    (low, high), reach = ax.get_xlim(), max(abs(traj.w).max() for traj in runs)
    assert low < -reach / 2
    assert high > max(traj.w.max() for traj in runs)


def test_paths_take_keywords_and_share_a_label(fifty, four, ax):
    plot.phase_plane(fifty, ax)
    assert entries(ax)[0] == "50 runs"
    own = mpl.figure.Figure().subplots()
    plot.phase_plane(four["Adam"], own, label="Adam", color="#123456", linewidth=3)
    paths = [line for line in own.lines if line.get_linewidth() == 3]
    assert [line.get_color() for line in paths] == ["#123456"] * 2
    assert entries(own)[0] == "Adam"


def test_paths_need_a_common_plane(four, ax):
    other = twonn.run(twonn.Problem(x=[-2.0, 1.0], y=[-1, 1], step_size=0.01), START, steps=100)
    with pytest.raises(ValueError, match=r"traj: got runs with the points .* expected runs with the same"):
        plot.phase_plane({**four, "other": other})
    with pytest.raises(TypeError, match="colour: got 'red'; expected a keyword"):
        plot.phase_plane(four, colour="red")
    assert pyplot.get_fignums() == []
    plot.phase_plane([], ax)
    assert ax.texts[0].get_text() == "no run"


# --------------------------------------------------------------------------------------------------
# Style


def test_the_style_stays_when_a_figure_is_drawn_later():
    traj = twonn.run(PAPER, START, 10**8)
    with mpl.style.context(STYLE):
        orange = to_hex(mpl.rcParams["axes.prop_cycle"].by_key()["color"][1])
    ax = plot.gap(traj)
    law = labelled(ax, "closed form,\n" + Law.SHIFTED_LOG.label)
    assert to_hex(law.get_color()) == orange
    assert orange in [to_hex(line.get_color()) for line in ax.get_legend().get_lines()]
    assert {to_hex(line.get_color()) for line in plot.parameters(traj).lines} >= {orange}
    # On the caller's axes they are the caller's.
    own = plot.gap(traj, mpl.figure.Figure().subplots())
    assert labelled(own, law.get_label()).get_color() == "C1"


def test_everything_is_seen_on_a_dark_background(fifty, four):
    with mpl.style.context("dark_background"):
        for kind, draw in LINES.items():
            ax = draw(fifty[:7] if kind != "scaled_gap" else [traj for traj in fifty if traj.success][:7])
            assert to_hex(ax.get_facecolor()) == "#000000"
            seen = [to_hex(line.get_color()) for line in ax.lines]
            assert "#000000" not in seen
            assert "#ffffff" in seen
            assert len(set(seen)) >= 7


def test_transparent_axes_are_no_dark_ones(four):
    with mpl.rc_context({"axes.facecolor": "none", "figure.facecolor": "none"}):
        ax = plot.margins({f"run {k}": four["Adam"] for k in range(7)})
    with mpl.style.context(STYLE):
        own = mpl.rcParams["axes.prop_cycle"].by_key()["color"][6]
    assert to_hex(labelled(ax, "run 6").get_color()) == to_hex(own) == "#000000"
    assert to_hex(labelled(ax, "$x_0$").get_color()) == to_hex("0.35")
    assert to_hex(ax.get_xgridlines()[0].get_color()) == "#e4e4e4"


@pytest.mark.parametrize("kind", [*LINES, "compare"])
@pytest.mark.parametrize("case", ["long", "fourteen", "short"])
def test_legends_stay_within_the_figure(kind, case, fifty):
    good = [traj for traj in fifty if traj.success]
    if case == "long":
        labels = [f"gradient descent from the start of seed {k}, with the step size 0.01" for k in range(3)]
        given = dict(zip(labels, good, strict=False))
    else:
        given = (fifty if case == "fourteen" else good)[: 14 if case == "fourteen" else 4]
    drawn = plot.compare(given)[0] if kind == "compare" else LINES[kind](given)
    figure = drawn.figure
    figure.canvas.draw()  # a warning is an error: axes must not vanish
    box, whole = drawn.get_legend().get_window_extent(), figure.bbox.padded(1)
    assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
    assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
    assert drawn.get_window_extent().height > 0.2 * figure.bbox.height / (3 if kind == "compare" else 1)


def test_figures_are_not_kept_alive(four):
    figure = mpl.figure.Figure()
    for kind, ax in zip(LINES, figure.subplots(len(LINES)), strict=True):
        LINES[kind](four["gradient descent"], ax)
    artists = [weakref.ref(artist) for ax in figure.axes for artist in ax.get_children()]
    assert len(runs_module._drawn) > 0
    del figure, ax
    gc.collect()
    assert [one() for one in artists if one() is not None] == []


def test_a_figure_grows_with_its_legend_once(four):
    labels = [f"gradient descent from the start of seed {k}, with the step size 0.01" for k in range(7)]
    ax = None
    heights = []
    for label in labels:
        ax = plot.margins(four["Adam"], ax, label=label)
        heights.append(ax.figure.get_figheight())
    at_once = plot.margins([four["Adam"]] * 7, label=labels)
    assert heights[0] == 2.6 < heights[-1] == pytest.approx(at_once.figure.get_figheight(), rel=1e-12)
    assert heights == sorted(heights)
    ax.figure.canvas.draw()
    assert ax.get_window_extent().height > 0.4 * 2.6 * ax.figure.dpi
    # The caller's figures are as the caller made them.
    own = mpl.figure.Figure(figsize=(3.5, 2.6))
    plot.margins([four["Adam"]] * 7, own.subplots(), label=labels)
    assert own.get_figheight() == 2.6
