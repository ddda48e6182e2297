"""The plotted data, not the pixels: what is on the axes is what is in the trajectory."""

import functools
import itertools
import math

import matplotlib as mpl
import numpy as np
import pytest
import xarray
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.lines import AxLine
from matplotlib.patches import Circle, Polygon
from scipy.integrate import quad

import twonn
from twonn import plot
from twonn.plot.parts import decades, nearest_sample, note, number_text, power_of_ten, round_decades, styled
from twonn.plot.ribbons import _active_fraction

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
CHATTER = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
CHATTER_START = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])
PLANE = twonn.Problem(x=[[2.0, 1.0], [-0.5, -1.0]], y=[1, -1], step_size=0.05)
PLANE_START = twonn.Params(w=[[0.6, 0.4], [-0.3, 0.5]], b=[0.3, 0.9])

#: x = log10 t is ln t, rounded, over ln 10, rounded, rounded: within 2 units in the last place.
DECADES = {"rtol": 1e-15, "atol": 0}

KINDS = {
    "gap": plot.gap,
    "scaled_gap": plot.scaled_gap,
    "local_exponent": plot.local_exponent,
    "parameters": plot.parameters,
    "pattern": plot.pattern,
    "slides": plot.slides,
    "network": plot.network,
    "phase_plane": plot.phase_plane,
    "decision_regions": plot.decision_regions,
}

#: The kinds with an axis of steps.
OVER_STEPS = ("gap", "scaled_gap", "local_exponent", "parameters", "pattern")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def traj():
    return twonn.run(PAPER, START, steps=10_000)


@pytest.fixture(scope="module")
def far():
    return twonn.run(PAPER, START, log10_steps=1000.0)


@pytest.fixture(scope="module")
def sliding():
    return twonn.run(CHATTER, CHATTER_START, steps=100_000)


@pytest.fixture
def ax():
    return mpl.figure.Figure().subplots()


def f(w, b, v, x):
    """The network in plain Python, for d = 1 or more."""
    total = 0.0
    for weights, bias, output in zip(w, b, v, strict=True):
        z = bias + sum(weight * part for weight, part in zip(np.ravel(weights), np.ravel(x), strict=True))
        total += output * max(0.0, z)
    return total


# --------------------------------------------------------------------------------------------------
# The axis of steps


@pytest.mark.parametrize(
    ("decade", "text"),
    [
        (0.0, "10^{0}"),
        (6.0, "10^{6}"),
        (1000.0, "10^{1000}"),
        (math.log10(2), "2"),
        (math.log10(1234), "1234"),
        (1000.5, r"3.2\cdot 10^{1000}"),
        (20.9999, "10^{21}"),
    ],
)
def test_powers_of_ten(decade, text):
    assert power_of_ten(decade) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.52, "0.52"), (1.5, "1.5"), (3e-33, r"3\cdot 10^{-33}"), (0.0, "0")]
)
def test_numbers(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "expected"),
    [
        (-0.5, 4.2, False, [0, 1, 2, 3, 4]),
        (-0.8, 16.8, False, [0, 5, 10, 15]),
        (0.0, 1.31, False, np.log10([1, 2, 5, 10, 20])),
        (0.3, 16.0, True, [1, 2, 5, 10]),
        (0.3, 1000.0, True, [1, 3, 10, 30, 100, 300, 1000]),
    ],
)
def test_ticks_are_round_powers_of_ten(low, high, logarithmic, expected):
    assert round_decades(low, high, logarithmic).tolist() == pytest.approx(list(expected), abs=1e-15)


@pytest.mark.parametrize("kind", OVER_STEPS)
def test_axes_go_to_ten_to_the_thousand(kind, far, tmp_path):
    assert math.isinf(far.t[-1])  # so the axis cannot be one of t
    with plot.written_to(tmp_path / "figure.png") as ax:
        KINDS[kind](far, ax)
    drawn = np.concatenate([line.get_xdata() for line in ax.lines if len(line.get_xdata()) > 2] or [[1000.0]])
    # Local exponents lie between the samples, here a twentieth of a decade apart.
    assert drawn.max() == pytest.approx(1000, abs=0.03)
    assert ax.get_xlim()[1] >= 1000 * (1 - 1e-12)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert {"$10^{10}$", "$10^{100}$", "$10^{1000}$"} <= set(labels)


# --------------------------------------------------------------------------------------------------
# gap, scaled_gap, local_exponent


def test_gap_is_drawn_where_it_is_positive(traj, ax):
    plot.gap(traj, ax, law=None)
    (line,) = ax.lines
    x, gap = line.get_data()
    assert traj.gap[0] == 0  # so there is something to leave out
    np.testing.assert_allclose(x, np.log10(traj.t[2:]), **DECADES)  # of the steps 0 and 1, ln t <= 0
    assert np.array_equal(gap, traj.gap[2:])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")  # ln t and the gap
    assert "units of" in ax.get_ylabel()


@pytest.mark.parametrize(("chosen", "first"), [(None, 100.0), (1000, 1000.0), (999.0, 1000.0)])
def test_envelope_is_the_least_and_the_largest_of_the_scaled_gap(chosen, first, traj, ax):
    plot.gap(traj, ax, envelope_from=chosen)
    later = [(t, gap * math.log(t)) for t, gap in zip(traj.t, traj.gap, strict=True) if t >= first]
    low, high = min(c for _, c in later), max(c for _, c in later)
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 0].min() == pytest.approx(math.log10(first), rel=1e-15)
    for t in (first, traj.t[-1]):  # straight lines between, on these axes
        at = np.abs(corners[:, 0] - math.log10(t)) < 1e-9
        # A product and a quotient, with logarithms that differ in the last place.
        assert corners[at, 1].min() == pytest.approx(low / math.log(t), rel=2e-15)
        assert corners[at, 1].max() == pytest.approx(high / math.log(t), rel=2e-15)
    shown = next(text.get_text() for text in ax.get_legend().get_texts() if "ln t" in text.get_text())
    assert f"{low:.3g}" in shown
    assert f"{high:.3g}" in shown


def test_law_is_drawn_over_the_steps(far, ax):
    plot.gap(far, ax, law=lambda log_t: 0.52 / (log_t - 5.0))
    law = ax.lines[1]
    x, values = law.get_data()
    assert law.get_label() == "law"
    assert 5.52 / math.log(10) < x[0] < 3  # before, it is negative or more than the optimal margin
    # x·ln 10 is ln t up to two roundings, which subtracting 5 magnifies by up to x/(x − 5/ln 10) < 100.
    np.testing.assert_allclose(values, 0.52 / (x * math.log(10) - 5.0), rtol=1e-13)


def test_the_law_is_the_closed_form_unless_another_is_given(far, ax):
    plot.gap(far, ax)
    law = ax.lines[1]
    x, values = law.get_data()
    assert law.get_label() == "closed form,\n" + r"$C/(\ln t + \kappa)$"
    w_0, w_1 = START.w[:, 0]
    c, shift = abs(w_0 + w_1) / 2, math.log(2 * 0.005) + (w_0 - w_1) / 2
    late = x > 12
    # Its constants are taken from the last sample, at which the parameters are known to 1e-14 of 1000, while
    # w_0 + w_1 is 1: an error of 1e-11.
    np.testing.assert_allclose(values[late], c / (x[late] * math.log(10) + shift), rtol=1e-10)


def test_no_law_is_drawn_where_none_is_known(ax):
    adam = twonn.run(PAPER, START, steps=1000, optimizer="adam")
    plot.gap(adam, ax)
    assert [line.get_label() for line in ax.lines] == ["gap"]


def test_laws_that_are_none(traj, ax):
    with pytest.raises(TypeError, match=r"law: got 0\.5; expected a function of ln t, 'auto', 'found', "):
        plot.gap(traj, ax, law=0.5)
    with pytest.raises(ValueError, match=r"law: got values of shape \(\)"):
        plot.gap(traj, ax, law=lambda log_t: 0.5)


@pytest.mark.parametrize("step", [10_001, 10**400, -1, math.nan, math.inf])
def test_an_envelope_begins_within_the_run(step, traj, ax):
    with pytest.raises(ValueError, match=r"envelope_from: got .* expected a step from 0 to 10,000"):
        plot.gap(traj, ax, envelope_from=step)


def test_the_error_of_the_gap_is_drawn_where_it_comes_near(ax):
    # ±a with equal |v|: the gap falls like 1/t under the sawtooth, and sinks into its error.
    start = twonn.initializers.sample("he_normal_bias", 60, 3)[0]
    symmetric = twonn.run(twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05), start, steps=10**16)
    assert symmetric.gap_error[-1] > symmetric.gap[-1] > 0
    plot.gap(symmetric, ax, law=None)
    assert [line.get_label() for line in ax.lines] == ["gap", "its error"]
    assert ax.lines[1].get_ydata()[-1] == symmetric.gap_error[-1]


def test_equal_labels_have_no_gap_and_the_figure_says_so(tmp_path):
    equal = twonn.run(twonn.Problem(x=[-1.0, 1.0], y=[1, 1], step_size=0.01), START, steps=100)
    for draw in (plot.gap, plot.scaled_gap, plot.local_exponent):
        with plot.written_to(tmp_path / "figure.png") as ax:
            draw(equal, ax)
            assert sum(len(line.get_xdata()) for line in ax.lines) == 0
            assert ax.texts[0].get_text().startswith("no gap: the labels are equal")


def test_scaled_gap_and_its_limit(traj, ax):
    plot.scaled_gap(traj, ax, c=0.52)
    curve, limit = ax.lines
    np.testing.assert_allclose(curve.get_xdata(), np.log10(traj.t[2:]), **DECADES)
    assert np.array_equal(curve.get_ydata(), traj.gap[2:] * np.log(traj.t[2:]))
    assert list(limit.get_ydata()) == [0.52, 0.52]
    assert ax.get_legend() is not None


def test_several_scaled_gaps_have_the_colours_of_their_limits(traj, ax):
    other = twonn.run(PAPER, twonn.Params(w=[0.2, -0.4]), steps=1000)
    plot.scaled_gap([traj, other], ax, c=[0.5, 0.1])
    first, second, first_limit, second_limit = ax.lines
    np.testing.assert_allclose(second.get_xdata(), np.log10(other.t[2:]), **DECADES)
    assert first.get_color() == first_limit.get_color() != second.get_color()
    assert second.get_color() == second_limit.get_color()
    assert [limit.get_ydata()[0] for limit in (first_limit, second_limit)] == [0.5, 0.1]


def test_without_limits_and_other_runs_there_is_nothing_to_explain(traj, ax):
    assert plot.scaled_gap(traj, ax).get_legend() is None
    assert len(ax.lines) == 1


def test_limits_are_one_for_each_trajectory(traj, ax):
    with pytest.raises(ValueError, match="c: got shape"):
        plot.scaled_gap([traj, traj], ax, c=0.5)


def test_no_trajectory_at_all(tmp_path):
    with plot.written_to(tmp_path / "figure.png") as ax:
        plot.scaled_gap([], ax, c=[])
    assert ax.texts


def test_local_exponent_is_that_of_the_closed_form(far, ax):
    plot.local_exponent(far, ax)
    x, exponents = ax.lines[0].get_data()
    log_t = x * math.log(10)
    late = log_t > math.log(1e12)
    assert late.sum() > 19_000
    # gap = c/(ln t + K), K = ln 2h + (w_0 − w_1)/2, so the exponent is ln t/(ln t + K). The law holds up to
    # ln t/(h t), which the derivative magnifies by ln t: 2e-7. The difference quotient errs by
    # (Δ ln ln t)²/24 times a third derivative of order K/ln t, with Δ ln ln t < 0.005: 2e-7.
    w_0, w_1 = START.w[:, 0]
    shift = math.log(2 * 0.005) + (w_0 - w_1) / 2
    np.testing.assert_allclose(exponents[late], log_t[late] / (log_t[late] + shift), rtol=0, atol=1e-6)
    assert [line.get_ydata()[0] for line in ax.lines[1:]] == [1.0, 0.5]
    assert ax.get_ylim()[0] < 0.5 < 1.2 < ax.get_ylim()[1]


def test_local_exponents_have_no_gap_that_may_be_all_error(ax):
    start = twonn.initializers.sample("he_normal_bias", 60, 3)[0]
    symmetric = twonn.run(twonn.Problem(x=[-0.5, 0.5], y=[-1, 1], step_size=0.05), start, steps=10**16)
    plot.local_exponent(symmetric, ax)
    certain = symmetric.log_t[symmetric.gap >= 10 * symmetric.gap_error]
    assert len(certain) < len(symmetric.t) - 50
    assert ax.lines[0].get_xdata().max() < certain.max() / math.log(10)


# --------------------------------------------------------------------------------------------------
# parameters


def test_parameters_are_all_drawn_once(ax):
    problem = twonn.Problem(x=[[2.0, 1.0], [0.0, 1.0]], y=[1, -1], step_size=0.05, train_output=True)
    traj = twonn.run(problem, twonn.Params(w=[[0.6, -0.4], [0.2, 0.3]], b=[0.3, 0.9]), steps=1000)
    plot.parameters(traj, ax)
    drawn = {tuple(line.get_ydata()) for line in ax.lines}
    after = traj.t > 0
    expected = {tuple(values[after]) for values in (*traj.w.reshape(-1, 4).T, *traj.b.T, *traj.v.T)}
    assert len(ax.lines) == 8
    assert drawn == expected
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.log10(traj.t[after]), **DECADES)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(labels) == ["$b_0$", "$b_1$", "$v_0$", "$v_1$", "$w_0$", "$w_1$"]


def test_a_single_point_has_a_marker(traj):
    one, two = (twonn.run(PAPER, START, steps=steps) for steps in (1, 2))
    for run, draw, marker in ((one, plot.parameters, "o"), (two, plot.gap, "o"), (traj, plot.gap, "")):
        assert draw(run).lines[0].get_marker() == marker


def test_fixed_parameters_are_not_drawn(ax):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, bias=False)
    plot.parameters(twonn.run(problem, START, steps=100), ax)
    assert len(ax.lines) == 2


# --------------------------------------------------------------------------------------------------
# pattern and slides


def ribbon(ax) -> list[list[tuple[float, float]]]:
    """The bars of every row as (from, to), in decades."""
    return [
        [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars.get_paths()]
        for bars in ax.collections
    ]


def active_at(bars: list[tuple[float, float]], step: float) -> bool:
    """Whether a bar covers a step; asked half a step later, to be clear of the rounding of its edges."""
    return any(start <= math.log10(step + 0.5) < stop for start, stop in bars)


def test_pattern_is_the_one_of_every_step(ax):
    steps = 500
    traj = twonn.run(CHATTER, CHATTER_START, steps=steps, sample_steps=range(1, steps))
    sparse = twonn.run(CHATTER, CHATTER_START, steps=steps, samples_per_decade=1)
    assert traj.n_transitions > 20
    plot.pattern(sparse, ax)
    rows = ribbon(ax)
    for step, code in zip(traj.t[1:-1], traj.pattern[1:-1], strict=True):
        shown = sum(1 << bit for bit in range(4) if active_at(rows[bit], step))
        assert shown == code, step
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[1] == "neuron 0 on $x_1$"  # row = bit 2j + i


def test_pattern_past_the_recorded_transitions_comes_from_the_samples(ax):
    traj = twonn.run(CHATTER, CHATTER_START, steps=60_000, samples_per_decade=50, sliding="step")
    last = traj.transitions["t"][-1]
    assert len(traj.transitions) < traj.n_transitions
    plot.pattern(traj, ax)
    rows = ribbon(ax)
    sliding = sum(1 << (2 * slide["neuron"] + slide["point"]) for slide in traj.slides)
    assert sliding == 0b0010
    later = (traj.t > last) & (traj.t < traj.t[-1])
    assert later.sum() > 5
    for step, code in zip(traj.t[later], traj.pattern[later], strict=True):
        # What slides, to the end, is hatched instead.
        assert sum(1 << bit for bit in range(4) if active_at(rows[bit], step)) == code & ~sliding
    assert len(rows[1]) < 200 < len(traj.transitions)
    (mark,) = ax.lines
    assert mark.get_xdata()[0] == pytest.approx(math.log10(last), rel=1e-15)


def test_transitions_beyond_binary64_have_their_place(ax, far):
    # Made by hand: a run whose neuron 1 wakes on sample 1 at step 10^500.
    transitions = np.zeros(1, far.transitions.dtype)
    log_t = 500 * math.log(10)
    transitions[0] = (math.inf, log_t, 0b0110, 0b1110, math.inf, math.inf)
    pattern = np.where(far.log_t >= log_t, 0b1110, 0b0110).astype(np.uint8)
    fields = {name: getattr(far, name) for name in far.__dataclass_fields__}
    waking = twonn.Trajectory(
        **{**fields, "pattern": pattern, "transitions": transitions, "n_transitions": 1}
    )
    plot.pattern(waking, ax)
    (bar,) = ribbon(ax)[3]
    assert bar == pytest.approx((500, 1000), rel=1e-14)


def test_rows_are_hatched_where_a_neuron_slides(ax, sliding):
    (slide,) = sliding.slides
    plot.pattern(sliding, ax)
    hatched = [bars for bars in ax.collections if bars.get_hatch()]
    (bar,) = hatched[0].get_paths()
    row = 2 * slide["neuron"] + slide["point"]
    assert len(hatched) == 1
    np.testing.assert_allclose([*bar.vertices[:, 0][[0, 2]]], [math.log10(slide["t_enter"]), 5.0], rtol=1e-14)
    assert bar.vertices[:, 1].mean() == pytest.approx(row, abs=0.2)
    assert "slides" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_active_fraction_is_that_of_steps_in_plain_python(ax, sliding):
    (slide,) = sliding.slides
    neuron, sample = int(slide["neuron"]), int(slide["point"])
    active, counted = 0, 20_000
    w, b, v = CHATTER_START.w[:, 0].tolist(), CHATTER_START.b.tolist(), CHATTER_START.v.tolist()
    x, y = CHATTER.x[:, 0].tolist(), CHATTER.y.tolist()
    for step in range(100_000):
        z = [[w[j] * x[i] + b[j] for i in (0, 1)] for j in (0, 1)]
        active += step >= 100_000 - counted and z[neuron][sample] > 0
        pull = [0.05 * y[i] * math.exp(-y[i] * sum(v[j] * max(0.0, z[j][i]) for j in (0, 1))) for i in (0, 1)]
        for j in (0, 1):
            for i in (0, 1):
                if z[j][i] > 0:
                    w[j] += pull[i] * v[j] * x[i]
                    b[j] += pull[i] * v[j]
    plot.slides(sliding, ax)
    curve, enter, leave = ax.lines
    assert curve.get_label() == f"neuron {neuron} on $x_{sample}$"
    # The fraction moves by 1e-4 over these steps, and whole teeth count 1/20,000 each.
    assert curve.get_ydata()[-1] == pytest.approx(active / counted, abs=1e-3)
    assert curve.get_xdata()[-1] == pytest.approx(5.0, rel=1e-15)
    assert leave.get_ydata()[0] == slide["active_fraction"]
    assert enter.get_xdata()[0] >= math.log10(slide["t_enter"])


def test_every_episode_is_drawn_and_explained_once(ax):
    problem = twonn.Problem(x=[-0.3, 0.8], y=[-1, 1], step_size=0.05)
    start = twonn.initializers.sample("he_normal_bias", 60, 3)[13]
    traj = twonn.run(problem, start, log10_steps=100.0)
    assert len(traj.slides) == 3
    plot.slides(traj, ax)
    assert len(ax.lines) == 3 * 3
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(labels) == ["neuron 0 on $x_0$", "neuron 1 on $x_1$"]


def test_without_sliding_the_figure_says_so(traj, ax):
    plot.slides(traj, ax)
    assert "no neuron slid" in ax.texts[0].get_text()


# --------------------------------------------------------------------------------------------------
# network


@pytest.mark.parametrize("normalized", [True, False])
def test_network_is_f_with_its_kinks_and_boundary(normalized, ax):
    run = twonn.run(PAPER, START, steps=10**9)
    plot.network(run, ax, steps=[1000, 10**9], normalized=normalized)
    graphs = [line for line in ax.lines if line.get_label().startswith("$t=")]
    assert [graph.get_label() for graph in graphs] == ["$t=10^{3}$", "$t=10^{9}$"]
    for graph, t in zip(graphs, (1000, 10**9), strict=True):
        index = int(np.flatnonzero(run.t == t)[0])
        w, b, v = run.w[index], run.b[index], run.v[index]
        scale = max(abs(f(w, b, v, x)) for x in (-1.0, 1.0)) if normalized else 1.0
        x, values = graph.get_data()
        assert (x[0], x[-1]) == (-2.0, 2.0)
        # f is piecewise linear: equal at the vertices and between them is equal. It is a sum of terms of
        # size 20, each with some roundings.
        between = np.linspace(-2, 2, 101)
        expected = [f(w, b, v, place) / scale for place in between]
        np.testing.assert_allclose(np.interp(between, x, values), expected, rtol=0, atol=1e-13)
        color = graph.get_color()
        kinks, boundary = (
            next(line for line in ax.lines if line.get_marker() == mark and line.get_color() == color)
            for mark in "ox"
        )
        expected = sorted(-bias / weight for weight, bias in zip(w[:, 0], b, strict=True))
        np.testing.assert_allclose(kinks.get_xdata(), expected, rtol=1e-14)
        assert boundary.get_xdata()[0] == pytest.approx(run.boundary[index], abs=1e-15)


@pytest.mark.parametrize("d", [2, 3])
def test_network_in_the_plane_and_beyond_is_drawn_along_the_line_of_the_samples(d, ax):
    x = np.array([[2.0, 1.0, 0.5], [-0.5, -1.0, 0.0]])[:, :d]
    problem = twonn.Problem(x=x, y=[1, -1], step_size=0.05)
    start = twonn.Params(w=np.array([[0.6, 0.4, 0.1], [-0.3, 0.5, 0.2]])[:, :d], b=[0.3, 0.9])
    run = twonn.run(problem, start, steps=1000)
    plot.network(run, ax, steps=[1000], normalized=False)
    graph = ax.lines[0]
    length = math.dist(*x)
    for place in np.linspace(-1, 1, 41) * length:
        point = x.mean(axis=0) + place / length * (x[1] - x[0])
        expected = f(run.w[-1], run.b[-1], run.v[-1], point)
        # Terms of size 5, some roundings each, in other coordinates.
        assert np.interp(place, *graph.get_data()) == pytest.approx(expected, abs=1e-13)
    (boundary,) = (line for line in ax.lines if line.get_marker() == "x")
    point = x.mean(axis=0) + boundary.get_xdata()[0] / length * (x[1] - x[0])
    assert f(run.w[-1], run.b[-1], run.v[-1], point) == pytest.approx(0, abs=1e-13)


def test_network_shows_the_first_and_the_last_sample(far, ax):
    plot.network(far, ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(labels) == 5
    assert (labels[0], labels[-1]) == ("$t=0$", "$t=10^{1000}$")


@pytest.mark.parametrize(
    ("steps", "error", "pattern"),
    [
        ([10**400], ValueError, r"steps\[0\]: got .* expected a step from 0 to 10,000"),
        ([1, -1], ValueError, r"steps\[1\]: got -1"),
        ([math.nan], ValueError, r"steps\[0\]: got nan"),
        (["one"], ValueError, r"steps\[0\]: got 'one'; expected a whole number"),
        ([True], TypeError, r"steps\[0\]: got True"),
        ("100", TypeError, "steps: got '100'"),
        (100, TypeError, "steps: got 100"),
        ([], TypeError, r"steps: got \[\]"),
    ],
)
def test_steps_that_are_none_of_the_run(steps, error, pattern, traj, ax):
    with pytest.raises(error, match=pattern):
        plot.network(traj, ax, steps=steps)


def test_the_last_step_of_a_far_run_is_one_of_its_steps(far, ax):
    plot.network(far, ax, steps=[10**1000])
    assert ax.lines[0].get_label() == "$t=10^{1000}$"


# --------------------------------------------------------------------------------------------------
# decision_regions


@pytest.mark.parametrize("seed", range(6))
def test_regions_have_the_sign_of_f(seed, ax):
    print("seed", seed)
    rng = np.random.default_rng([77, seed])
    start = twonn.Params(w=rng.normal(size=(2, 2)), b=rng.normal(size=2), v=rng.normal(size=2))
    run = twonn.run(PLANE, start, steps=int(10 ** rng.uniform(0, 4)))
    step = int(run.t[len(run.t) // 2]) if seed % 2 else None
    index = len(run.t) - 1 if step is None else len(run.t) // 2
    plot.decision_regions(run, ax, step=step)
    regions = [patch for patch in ax.patches if isinstance(patch, Polygon)]
    tints = {"#BFDCEC": 1, "#F5D7BF": -1, "#D0D0D0": 0}
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for point in rng.uniform((left, bottom), (right, top), size=(300, 2)):
        expected = int(np.sign(f(run.w[index], run.b[index], run.v[index], point)))
        found = {
            tints[mpl.colors.to_hex(region.get_facecolor()).upper()]
            for region in regions
            if region.get_path().contains_point(point)
        }
        assert found == {expected}, point


def test_kinks_distances_and_the_most_robust_boundary(ax):
    run = twonn.run(PLANE, PLANE_START, steps=10**6)
    plot.decision_regions(run, ax)
    *kinks, robust = [line for line in ax.lines if isinstance(line, AxLine)]
    for neuron, line in enumerate(kinks):
        for point in (line.get_xy1(), line.get_xy2()):
            # z is a sum of terms of size 5.
            assert run.w[-1, neuron] @ point + run.b[-1, neuron] == pytest.approx(0, abs=1e-14)
    assert len(kinks) == 2
    for point in (robust.get_xy1(), robust.get_xy2()):
        assert math.dist(point, PLANE.x[0]) == pytest.approx(math.dist(point, PLANE.x[1]), rel=1e-14)
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert [circle.center for circle in circles] == [(2.0, 1.0), (-0.5, -1.0)]
    assert [circle.radius for circle in circles] == run.distances[-1].tolist()
    assert "step $10^{6}$" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("d", [1, 3])
def test_regions_need_a_plane(d, traj):
    run = traj if d == 1 else _run_in_three()
    with pytest.raises(ValueError, match=rf"traj: got a run with d = {d}; expected d = 2.*Use network"):
        plot.decision_regions(run)
    assert pyplot.get_fignums() == []  # refused before a figure is made


def _run_in_three():
    problem = twonn.Problem(x=[[2.0, 1.0, 0.0], [-0.5, -1.0, 0.3]], y=[1, -1], step_size=0.05)
    return twonn.run(problem, twonn.Params(w=[[0.6, 0.4, 0.1], [-0.3, 0.5, 0.2]]), steps=100)


# --------------------------------------------------------------------------------------------------
# phase_plane


def paths_of(ax, traj):
    """The two long lines, one per neuron."""
    return [line for line in ax.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == len(traj.t)]


def test_phase_plane_has_w_and_b(traj, ax):
    plot.phase_plane(traj, ax)
    for neuron, line in enumerate(paths_of(ax, traj)):
        assert np.array_equal(line.get_xdata(), traj.w[:, neuron, 0])
        assert np.array_equal(line.get_ydata(), traj.b[:, neuron])
    assert len(paths_of(ax, traj)) == 2


@pytest.mark.parametrize("case", ["biases off", "d = 2", "asked for"])
def test_phase_plane_of_preactivations(case, traj, ax):
    if case == "biases off":
        problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, bias=False)
        traj = twonn.run(problem, START, steps=100)
    elif case == "d = 2":
        traj = twonn.run(PLANE, PLANE_START, steps=100)
    plot.phase_plane(traj, ax, coordinates="preactivations" if case == "asked for" else None)
    drawn = np.stack([line.get_xydata() for line in paths_of(ax, traj)], axis=1)
    assert np.array_equal(drawn, traj.preactivations)
    if case != "asked for":
        with pytest.raises(ValueError, match="coordinates: got 'weights' for d = "):
            plot.phase_plane(traj, ax, coordinates="weights")


def test_coordinates_are_two(traj):
    with pytest.raises(ValueError, match=r"coordinates: got 'weight'; .*Did you mean 'weights'"):
        plot.phase_plane(traj, coordinates="weight")


@pytest.mark.parametrize("coordinates", ["weights", "preactivations"])
@pytest.mark.parametrize("horizon", [100, 10**200])
def test_regions_are_shaded_by_who_is_active(coordinates, horizon, ax):
    problem = twonn.Problem(x=[-0.3, 0.8], y=[-1, 1], step_size=0.05)
    run = twonn.run(problem, twonn.Params(w=[0.5, -0.7], b=[0.1, 0.2]), horizon, samples_per_decade=3)
    plot.phase_plane(run, ax, coordinates=coordinates)
    assert ax.get_xscale() == ("linear" if horizon == 100 else "asinh")
    regions = [one for one in ax.collections if isinstance(one, FillBetweenPolyCollection)]
    assert len(regions) == 4
    rng = np.random.default_rng(5)
    print("seed 5")
    seen = set()
    for place in rng.uniform(0.001, 0.999, size=(400, 2)):
        point = ax.transAxes.transform(place)
        across, up = ax.transData.inverted().transform(point)
        z = (across, up) if coordinates == "preactivations" else [across * x + up for x in (-0.3, 0.8)]
        expected = (z[0] > 0) + 2 * (z[1] > 0)
        found = [
            code
            for code, region in enumerate(regions)
            if any(path.contains_point((across, up)) for path in region.get_paths())
        ]
        # On axes that are not linear the edges are polygons of 400 pieces, which points may lie beside.
        near = min(abs(z[0]), abs(z[1])) < 0.02 * (abs(across) + abs(up))
        if not (near and horizon > 100):
            assert found == [expected], (across, up)
            seen.add(expected)
    assert seen == {0, 1, 2, 3}


def test_transitions_are_marked_on_the_path_where_they_happen(ax):
    dense = twonn.run(CHATTER, CHATTER_START, steps=300, sample_steps=range(1, 300))
    plot.phase_plane(dense, ax)
    marks = [line for line in ax.lines if line.get_marker() == "o" and line.get_markersize() == 3]
    changed = dense.transitions["before"] ^ dense.transitions["after"]
    assert dense.n_transitions > 10
    for neuron, mark in enumerate(marks):
        at = dense.transitions["t"][(changed >> (2 * neuron) & 3) > 0].astype(int)
        expected = np.stack([dense.w[at, neuron, 0], dense.b[at, neuron]], axis=1)
        # Every step is a sample, so interpolation has nothing to do but round.
        np.testing.assert_allclose(mark.get_xydata(), expected, rtol=1e-13)


def test_where_a_neuron_slides_its_path_is_broad_and_has_no_marks(ax, sliding):
    plot.phase_plane(sliding, ax)
    (slide,) = sliding.slides
    neuron = int(slide["neuron"])
    during = sliding.t >= slide["t_enter"]
    broad = [line for line in ax.lines if line.get_linewidth() == 5]
    assert len(broad) == 1
    np.testing.assert_array_equal(broad[0].get_xdata(), sliding.w[during, neuron, 0])
    mark = [line for line in ax.lines if line.get_markersize() == 3][neuron]
    changed = sliding.transitions["before"] ^ sliding.transitions["after"]
    own = (changed >> (2 * neuron) & 3) > 0
    before = own & (sliding.transitions["t"] < slide["t_enter"])
    assert len(mark.get_xdata()) == before.sum() < own.sum()


# --------------------------------------------------------------------------------------------------
# constants


def test_constants_beside_their_density(ax):
    c = np.random.default_rng(2603).exponential(0.4, 500)
    plot.constants(c, ax)
    (line,) = ax.lines
    heights = np.array([bar.get_height() for bar in ax.patches])
    widths = np.array([bar.get_width() for bar in ax.patches])
    counts, _ = np.histogram(c, len(heights), (0, c.max()))
    # Bars are counts over width; a few roundings.
    np.testing.assert_allclose(heights * widths * len(c), counts, rtol=1e-12)
    x, density = line.get_data()
    # f_B = 4 × N(0, 1)-density × P(|N(0, 1)| > x), from the normal integral itself.
    for k in range(0, len(x), 57):
        tail = 1 - 2 * quad(lambda s: math.exp(-s * s / 2), 0, x[k])[0] / math.sqrt(2 * math.pi)
        expected = 4 * math.exp(-(x[k] ** 2) / 2) / math.sqrt(2 * math.pi) * tail
        # erfc by 1 − erf cancels: an absolute error of some 1e-16, more by the quadrature.
        assert density[k] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("c", [[], [0.0], [0.7]])
def test_few_constants(c, tmp_path):
    path = tmp_path / "constants.png"
    with plot.written_to(path) as ax:
        plot.constants(c, ax)
    assert path.stat().st_size > 1000
    assert bool(ax.get_title()) == (not c)


def test_constants_of_a_sweep_are_those_of_its_successful_runs(tmp_path):
    starts = twonn.initializers.sample("he_normal", 40, 42)
    store = tmp_path / "store"
    result = twonn.sweep(PAPER, starts, 10_000, store=store, executor="threads:1")
    expected = [abs(sum(w)) / 2 for w in starts.w[:, :, 0].tolist() if w[0] > 0 > w[1]]
    figure = mpl.figure.Figure()
    for ax, sweep in zip(figure.subplots(3), (result, result.to_xarray(), store), strict=True):
        if sweep is store:
            with xarray.open_zarr(store, chunks=None) as data:
                plot.constants(data, ax)
        else:
            plot.constants(sweep, ax)
        counts, _ = np.histogram(expected, len(ax.patches), (0, max(expected)))
        drawn = [bar.get_height() * bar.get_width() * len(expected) for bar in ax.patches]
        np.testing.assert_allclose(drawn, counts, rtol=1e-12)
        assert f"{len(expected)} runs" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_constants_are_refused_where_they_are_not_known():
    biased = twonn.initializers.sample("he_normal_bias", 40, 1)
    with pytest.raises(ValueError, match=r"c: got a sweep from other starts; expected biases 0"):
        plot.constants(twonn.sweep(PAPER, biased, 10_000))
    on_the_line, in_the_plane = (twonn.initializers.sample("he_normal", 4, 1, d=d) for d in (1, 2))
    paper = {"x": [-1.0, 1.0], "y": [-1, 1], "step_size": 0.01}
    for change in (
        {"x": [-2.0, 1.0]},
        {"x": [-0.5, 0.5]},
        {"y": [1, 1]},
        {"bias": False},
        {"train_output": True},
    ):
        sweep = twonn.sweep([PAPER, twonn.Problem(**{**paper, **change})], on_the_line, 10)
        with pytest.raises(
            ValueError, match=r"c: got a sweep of other problems; expected opposite labels at"
        ):
            plot.constants(sweep)
    with pytest.raises(ValueError, match="c: got a sweep of other problems"):
        plot.constants(twonn.sweep(PLANE, in_the_plane, 10))
    for nothing in (xarray.Dataset(), {}):
        with pytest.raises(ValueError, match="c: got another dataset; expected the dataset of a twonn sweep"):
            plot.constants(nothing)


def test_constants_are_not_negative():
    with pytest.raises(ValueError, match=r"c: got .* expected numbers >= 0"):
        plot.constants([-1.0])


# --------------------------------------------------------------------------------------------------
# Every kind of figure, of every kind of run


def _stationary():
    problem = twonn.Problem(x=[2.0, 1.0], y=[-1, 1], step_size=0.05)
    return twonn.run(problem, twonn.initializers.sample("he_normal_bias", 8, 3)[2], steps=10**6)


def _diverged():
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=1e3, train_output=True)
    return twonn.run(problem, twonn.Params(w=[2.0, -2.0], b=[3.0, 3.0], v=[-3.0, -3.0]), steps=100)


def _slid_and_left():
    problem = twonn.Problem(x=[2.0, 1.0], y=[-1, 1], step_size=0.05)
    return twonn.run(problem, twonn.initializers.sample("he_normal_bias", 60, 3)[22], steps=10**16)


RUNS = {
    "no step": lambda: twonn.run(PAPER, START, steps=0),
    "one step": lambda: twonn.run(PAPER, START, steps=1),
    "two steps": lambda: twonn.run(PAPER, START, steps=2),
    "to 10^16": lambda: twonn.run(PAPER, START, steps=10**16),
    "to 10^1000": lambda: twonn.run(PAPER, START, log10_steps=1000.0, samples_per_decade=5),
    "trained": lambda: twonn.run(
        twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=True), START, steps=10**16
    ),
    "stationary": _stationary,
    "diverged": _diverged,
    "sliding": lambda: twonn.run(CHATTER, CHATTER_START, steps=10**5),
    "slid and left": _slid_and_left,
    "equal labels": lambda: twonn.run(
        twonn.Problem(x=[-1.0, 1.0], y=[1, 1], step_size=0.01), START, steps=10**6
    ),
    "coincident": lambda: twonn.run(
        twonn.Problem(x=[[1.0, 0.5]] * 2, y=[1, 1], step_size=0.01), PLANE_START, steps=1000
    ),
    "dead": lambda: twonn.run(PLANE, twonn.Params(w=[[0.0, 0.0]] * 2), steps=100),
    "plane": lambda: twonn.run(PLANE, PLANE_START, steps=10**8),
    "three": _run_in_three,
    "adam": lambda: twonn.run(PAPER, START, steps=1000, optimizer="adam"),
}


def _texts(figure, renderer):
    """Every text that can be seen, with its box."""
    for ax in figure.axes:
        legend = ax.get_legend()
        shown = [
            *ax.texts,
            ax.title,
            ax.xaxis.label,
            ax.yaxis.label,
            *_tick_labels(ax.xaxis),
            *_tick_labels(ax.yaxis),
            ax.xaxis.get_offset_text(),
            ax.yaxis.get_offset_text(),
            *(legend.get_texts() if legend else []),
        ]
        for text in shown:
            if text.get_visible() and text.get_text():
                yield text.get_text(), text.get_window_extent(renderer)


def _tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    span = high - low
    ticks = axis.get_major_ticks() + axis.get_minor_ticks()
    return [tick.label1 for tick in ticks if low - 1e-9 * span <= tick.get_loc() <= high + 1e-9 * span]


_made = functools.cache(lambda name: RUNS[name]())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name, kind in itertools.product(RUNS, KINDS)
        if (kind in OVER_STEPS and name not in ("coincident", "dead", "three", "adam"))
        or kind in ("slides", "network", "phase_plane")
        or (kind == "decision_regions" and name in ("plane", "coincident", "dead"))
    ],
)
def test_no_text_overlaps_another_in_one_column(name, kind):
    with plot.written_to() as ax:
        assert KINDS[kind](_made(name), ax) is ax
        figure = ax.figure
        assert figure.get_figwidth() == 3.5
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    boxes = list(_texts(figure, canvas.get_renderer()))
    assert boxes
    for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
        apart = (
            box.x1 <= other_box.x0 + 1
            or other_box.x1 <= box.x0 + 1
            or box.y1 <= other_box.y0 + 1
            or other_box.y1 <= box.y0 + 1
        )
        assert apart, f"{one!r} overlaps {other!r}"
    for text, box in boxes:
        inside = figure.bbox.padded(1)
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1, f"{text!r} leaves the figure"
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1, f"{text!r} leaves the figure"


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_a_figure_is_written_to_all_its_files(suffix, traj, tmp_path):
    with plot.written_to(tmp_path / "figure.png", tmp_path / f"figure.{suffix}") as ax:
        plot.gap(traj, ax)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / f"figure.{suffix}").read_bytes().startswith({"pdf": b"%PDF", "svg": b"<?xml"}[suffix])


def test_an_unknown_format_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="not supported"),
        plot.written_to(tmp_path / "figure.plop"),
    ):
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_global_state_of_matplotlib_is_left_alone(kind, ax):
    traj = twonn.run(PLANE, PLANE_START, steps=1000)
    pyplot.get_backend()  # chosen at first use, whoever asks
    before = mpl.rcParams.copy()
    own = KINDS[kind](traj, ax)
    assert pyplot.get_fignums() == []  # the caller's axes need no new figure
    assert own is ax
    new = KINDS[kind](traj)
    assert pyplot.get_fignums() == [new.figure.number]  # which a notebook then shows
    assert mpl.rcParams == before


def test_the_style_is_applied(traj):
    blue = mpl.colors.to_rgb("#0072B2")
    assert mpl.colors.to_rgb(plot.gap(traj).lines[0].get_color()) == blue
    # The caller's axes keep the caller's colours.
    own = mpl.figure.Figure().subplots()
    assert mpl.colors.to_rgb(plot.gap(traj, own).lines[0].get_color()) != blue


@pytest.mark.parametrize("draw", KINDS.values())
@pytest.mark.parametrize("traj", [None, 3, "run.npz", [1, 2]])
def test_what_is_no_trajectory_is_refused(draw, traj):
    with pytest.raises(TypeError, match=r"expected a twonn\.Trajectory"):
        draw(traj)


@pytest.mark.parametrize("ax", [0, "", [], np.empty(2, dtype=object)])
def test_what_are_no_axes_is_refused(ax):
    with pytest.raises(TypeError, match=r"ax: got .* expected Matplotlib Axes"):
        plot.constants([0.1, 0.2], ax)


@pytest.mark.parametrize("switched", [True, False])
def test_a_backend_may_switch_interactive_mode_on(switched):
    @styled
    def draw():
        mpl.interactive(switched)
        return pyplot.figure().add_subplot()

    before = mpl.is_interactive()
    try:
        mpl.interactive(not switched)
        draw()
        assert mpl.is_interactive() == switched
    finally:
        mpl.interactive(before)


def test_step_0_is_the_start():
    traj = twonn.run(PAPER, START, 1000)
    assert [nearest_sample("step", step, traj) for step in (0, 0.0, "0")] == [0, 0, 0]


def test_a_note_is_for_empty_axes():
    empty, full = pyplot.subplots(1, 2)[1]
    full.plot([0, 1], [0, 1])
    for ax in (empty, full):
        note(ax, "there is nothing to see")
    assert [text.get_text() for text in empty.texts] == ["there is nothing to see"]
    assert not full.texts and len(full.get_xticks())


def test_an_episode_between_two_samples_has_the_fraction_of_its_record():
    problem = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
    traj = twonn.run(problem, twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9]), 10**9)
    x = decades(traj.log_t)
    start, stop = x[-2] + (x[-1] - x[-2]) * np.array([0.25, 0.75])
    got, fraction = _active_fraction(traj, traj.slides[0], start, stop)
    assert got.tolist() == [start, stop]
    assert fraction.tolist() == 2 * [traj.slides[0]["active_fraction"]]
