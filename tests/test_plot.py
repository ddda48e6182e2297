"""The plotted data, not the pixels: what is on the axes is what is in the trajectory."""

import math

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from scipy.integrate import quad

import twonn
from twonn import plot

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
CHATTER = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
CHATTER_START = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])

KINDS = {
    "gap": plot.gap,
    "scaled_gap": plot.scaled_gap,
    "parameters": plot.parameters,
    "pattern": plot.pattern,
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def traj():
    return twonn.run(PAPER, START, steps=10_000)


@pytest.fixture
def ax():
    return mpl.figure.Figure().subplots()


def test_gap_is_drawn_where_it_is_positive(traj, ax):
    plot.gap(traj, ax)
    (line,) = ax.lines
    t, gap = line.get_data()
    assert traj.gap[0] == 0  # so there is something to leave out
    assert np.array_equal(t, traj.t[1:])
    assert np.array_equal(gap, traj.gap[1:])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "units of" in ax.get_ylabel()


def test_equal_labels_have_no_gap_and_the_figure_says_so(ax, tmp_path):
    equal = twonn.run(twonn.Problem(x=[-1.0, 1.0], y=[1, 1], step_size=0.01), START, steps=100)
    for draw in (plot.gap, plot.scaled_gap):
        with plot.written_to(tmp_path / "figure.png") as ax:
            draw(equal, ax)
            assert sum(len(line.get_xdata()) for line in ax.lines) == 0
            assert ax.texts[0].get_text().startswith("no ")


def test_scaled_gap_and_its_limit(traj, ax):
    plot.scaled_gap(traj, ax, c=0.52)
    curve, limit = ax.lines
    assert np.array_equal(curve.get_xdata(), traj.t[2:])  # of the steps 0 and 1, ln t <= 0
    assert np.array_equal(curve.get_ydata(), traj.gap[2:] * np.log(traj.t[2:]))
    assert list(limit.get_ydata()) == [0.52, 0.52]
    assert ax.get_legend() is not None


def test_several_scaled_gaps_have_the_colours_of_their_limits(traj, ax):
    other = twonn.run(PAPER, twonn.Params(w=[0.2, -0.4]), steps=1000)
    plot.scaled_gap([traj, other], ax, c=[0.5, 0.1])
    first, second, first_limit, second_limit = ax.lines
    assert np.array_equal(second.get_xdata(), other.t[2:])
    assert first.get_color() == first_limit.get_color() != second.get_color()
    assert second.get_color() == second_limit.get_color()
    assert [limit.get_ydata()[0] for limit in (first_limit, second_limit)] == [0.5, 0.1]


def test_without_limits_there_is_nothing_to_explain(traj, ax):
    assert plot.scaled_gap([traj, traj], ax).get_legend() is None
    assert len(ax.lines) == 2


def test_limits_are_one_for_each_trajectory(traj, ax):
    with pytest.raises(ValueError, match="c: got shape"):
        plot.scaled_gap([traj, traj], ax, c=0.5)


def test_no_trajectory_at_all(tmp_path):
    with plot.written_to(tmp_path / "figure.png") as ax:
        plot.scaled_gap([], ax, c=[])
    assert ax.texts


def test_parameters_are_all_drawn_once(ax):
    problem = twonn.Problem(x=[[2.0, 1.0], [0.0, 1.0]], y=[1, -1], step_size=0.05, train_output=True)
    traj = twonn.run(problem, twonn.Params(w=[[0.6, -0.4], [0.2, 0.3]], b=[0.3, 0.9]), steps=1000)
    plot.parameters(traj, ax)
    drawn = {tuple(line.get_ydata()) for line in ax.lines}
    after = traj.t > 0
    expected = {tuple(values[after]) for values in (*traj.w.reshape(-1, 4).T, *traj.b.T, *traj.v.T)}
    assert len(ax.lines) == 8
    assert drawn == expected
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(labels) == ["$b_0$", "$b_1$", "$v_0$", "$v_1$", "$w_0$", "$w_1$"]


def test_fixed_parameters_are_not_drawn(ax):
    problem = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, bias=False)
    plot.parameters(twonn.run(problem, START, steps=100), ax)
    assert len(ax.lines) == 2


def ribbon(ax) -> list[list[tuple[float, float]]]:
    """The bars of every row as (from, to)."""
    return [
        [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars.get_paths()]
        for bars in ax.collections
    ]


def active_at(bars: list[tuple[float, float]], step: float) -> bool:
    return any(start <= step < stop for start, stop in bars)


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
    later = (traj.t > last) & (traj.t < traj.t[-1])
    assert later.sum() > 5
    for step, code in zip(traj.t[later], traj.pattern[later], strict=True):
        assert sum(1 << bit for bit in range(4) if active_at(rows[bit], step)) == code
    (mark,) = ax.lines
    assert mark.get_xdata()[0] == last


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_runs_of_hardly_any_steps_can_be_drawn(kind, steps, tmp_path):
    short = twonn.run(PAPER, START, steps=steps)
    with plot.written_to(tmp_path / "figure.png") as ax:
        assert KINDS[kind](short, ax) is ax
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_is_written_to_all_its_files(traj, tmp_path):
    with plot.written_to(tmp_path / "figure.png", tmp_path / "figure.pdf") as ax:
        plot.gap(traj, ax)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_an_unknown_format_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="not supported"),
        plot.written_to(tmp_path / "figure.plop"),
    ):
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_global_state_of_matplotlib_is_left_alone(kind, traj, ax):
    pyplot.get_backend()  # chosen at first use, whoever asks
    before = mpl.rcParams.copy()
    own = KINDS[kind](traj, ax)
    assert pyplot.get_fignums() == []  # the caller's axes need no new figure
    assert own is ax
    new = KINDS[kind](traj)
    assert pyplot.get_fignums() == [new.figure.number]  # which a notebook then shows
    assert mpl.rcParams == before


@pytest.mark.parametrize("kind", KINDS)
def test_an_axis_ends_where_binary64_does(kind, ax, tmp_path):
    far = twonn.run(PAPER, START, log10_steps=400.0, samples_per_decade=1)
    KINDS[kind](far, ax)
    ax.figure.savefig(tmp_path / "far.png")  # ticks and margins are made here
    assert 1e180 < ax.get_xlim()[1] < 1e230


def test_the_style_is_applied(traj):
    blue = mpl.colors.to_rgb("#0072B2")
    assert mpl.colors.to_rgb(plot.gap(traj).lines[0].get_color()) == blue
    # The caller's axes keep the caller's colours.
    own = mpl.figure.Figure().subplots()
    assert mpl.colors.to_rgb(plot.gap(traj, own).lines[0].get_color()) != blue


@pytest.mark.parametrize("draw", [plot.gap, plot.scaled_gap, plot.parameters, plot.pattern])
@pytest.mark.parametrize("traj", [None, 3, "run.npz", [1, 2]])
def test_what_is_no_trajectory_is_refused(draw, traj):
    with pytest.raises(TypeError, match=r"expected a twonn\.Trajectory"):
        draw(traj)


@pytest.mark.parametrize("ax", [0, "", [], np.empty(2, dtype=object)])
def test_what_are_no_axes_is_refused(ax):
    with pytest.raises(TypeError, match=r"ax: got .* expected Matplotlib Axes"):
        plot.constants([0.1, 0.2], ax)


def test_constants_are_not_negative():
    with pytest.raises(ValueError, match=r"c: got .* expected numbers >= 0"):
        plot.constants([-1.0])
