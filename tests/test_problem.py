"""The frozen question: what is accepted, what is refused and in which words, and step counts.

A refusal has to name the argument, what was got, what was expected, and the fix, so every row of
the tables below carries one part of the message for each.
"""

from __future__ import annotations

import bisect
import copy
import dataclasses
import decimal
import itertools
import math
import pickle
from collections import Counter
from fractions import Fraction

import hypothesis
import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest

from twonn.arguments import (
    LARGEST_INPUT,
    ArgumentTypeError,
    ArgumentValueError,
    brief,
    checked_path,
    closest,
    flag,
    one_of,
    positive_number,
    real_array,
    real_number,
    whole_number,
)
from twonn.problem.horizon import _late_indices, horizon, power_of_ten, sample_schedule, steps_of_log
from twonn.problem.losses import LOSSES
from twonn.problem.params import Params, check_compatible, single_run
from twonn.problem.problem import REDUCTIONS, Problem
from twonn.problem.runspec import RunOptions

pytestmark = pytest.mark.filterwarnings("error")

#: More digits than Python prints; a message about it must not itself fail.
UNPRINTABLE = 10**5000

needs_wide_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= 52, reason="longdouble is binary64 here"
)


def problem(**changes):
    return Problem(**({"x": [-1.0, 1.0], "y": [-1, 1], "step_size": 0.01} | changes))


def assert_refused(error, parts, call, *arguments, **keywords):
    with pytest.raises(error) as refused:
        call(*arguments, **keywords)
    assert isinstance(refused.value, {ValueError: ArgumentValueError, TypeError: ArgumentTypeError}[error])
    message = str(refused.value)
    assert message.startswith(parts[0]), message
    assert all(part in message for part in parts), message


# --------------------------------------------------------------------------------------------------
# Problem: accepted


def test_defaults():
    p = problem()
    assert p.x.tolist() == [[-1.0], [1.0]]
    assert p.y.tolist() == [-1, 1]
    assert (p.step_size, p.loss, p.reduction) == (0.01, "exponential", "mean")
    assert (p.bias, p.train_output, p.dimension) == (True, False, 1)


@pytest.mark.parametrize(
    "x",
    [
        [-1, 1],
        (-1.0, 1.0),
        [[-1], [1]],
        np.array([-1, 1], dtype=np.int8),
        np.array([-1, 1], dtype=np.float32),
        np.array([[-1], [1]], dtype=np.float16),
        np.array([-1, 1], dtype=np.longdouble),
        [np.float32(-1), np.int64(1)],
        range(-1, 2, 2),
        np.array([-1.0, 9.0, 1.0])[::2],
        np.array([-1.0, 1.0], dtype=">f8"),
    ],
)
def test_forms_of_two_points_on_the_line(x):
    p = problem(x=x)
    assert p == problem()
    assert p.x.dtype == np.float64
    assert p.x.dtype.isnative
    assert p.x.flags.c_contiguous


@pytest.mark.parametrize("d", [1, 2, 5])
def test_points_in_more_dimensions(d):
    x = np.arange(2 * d, dtype=float).reshape(2, d)
    p = problem(x=np.asfortranarray(x))
    assert np.array_equal(p.x, x)
    assert p.x.flags.c_contiguous
    assert p.dimension == d


@pytest.mark.parametrize("y", [[-1, 1], [1, -1], (1.0, 1.0), np.array([-1, -1], np.int8)])
def test_labels(y):
    p = problem(y=y)
    assert p.y.tolist() == [int(label) for label in y]
    assert p.y.dtype == np.int64


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_rate_is_the_factor_of_each_samples_gradient(loss, reduction):
    p = problem(loss=loss, reduction=reduction, step_size=0.3)
    assert p.point_step == {"sum": 0.3, "mean": 0.15}[reduction]
    assert (p.loss, p.reduction) == (loss, reduction)


@pytest.mark.parametrize("step_size", [1, np.int64(1), np.float32(1), Fraction(1), 1e-50, 1e50])
def test_step_sizes(step_size):
    p = problem(step_size=step_size)
    assert p.step_size == step_size
    assert type(p.step_size) is float


def test_numpy_booleans_are_flags():
    p = problem(bias=np.False_, train_output=np.True_)
    assert p.bias is False
    assert p.train_output is True


def test_coincident_points_with_equal_labels_may_be_run():
    assert problem(x=[1, 1], y=[1, 1]).x.tolist() == [[1], [1]]


@pytest.mark.parametrize("x", [[2**53, 0], [2**60, 0], [-(2**63), 0], [LARGEST_INPUT, 0]])
def test_large_numbers_that_binary64_holds(x):
    assert problem(x=x).x[0, 0] == x[0]


def test_unsigned_integers_that_binary64_holds():
    assert problem(x=np.array([2**63, 0], np.uint64)).x[0, 0] == 2**63


# --------------------------------------------------------------------------------------------------
# Problem: refused

SHAPE_OF_X = ("shape (2,) or (2, d) with d >= 1", "exactly two points")
REAL = ("finite real numbers", "Convert it to a float64 array")
FINITE = ("finite real numbers", "Remove the NaN or infinite entries")
EXACT = ("numbers that binary64 holds exactly", "Round them to float64 yourself")
MAGNITUDE = ("zeros and magnitudes from 1e-50 to 1e+50", "Rescale the problem")
STEP = ("a finite number > 0", "such as 0.01")


@pytest.mark.parametrize(
    ("changes", "error", "parts"),
    [
        ({"x": 1.0}, ValueError, ("x: got shape ()", *SHAPE_OF_X)),
        ({"x": [1.0]}, ValueError, ("x: got shape (1,)", *SHAPE_OF_X)),
        ({"x": [1, 2, 3]}, ValueError, ("x: got shape (3,)", *SHAPE_OF_X)),
        ({"x": [[1, 2]]}, ValueError, ("x: got shape (1, 2)", *SHAPE_OF_X)),
        ({"x": np.zeros((2, 0))}, ValueError, ("x: got shape (2, 0)", *SHAPE_OF_X)),
        ({"x": np.zeros((2, 1, 1))}, ValueError, ("x: got shape (2, 1, 1)", *SHAPE_OF_X)),
        ({"x": []}, ValueError, ("x: got shape (0,)", *SHAPE_OF_X)),
        ({"x": [[1], [1, 2]]}, ValueError, ("x: got [[1], [1, 2]]", "rows of equal length")),
        ({"x": [1j, 1]}, TypeError, ("x: got [1j, 1] (dtype complex128)", *REAL)),
        ({"x": [False, True]}, TypeError, ("x: got [False, True] (dtype bool)", *REAL)),
        ({"x": ["-1", "1"]}, TypeError, ("x: got ['-1', '1'] (dtype <U2)", *REAL)),
        ({"x": None}, TypeError, ("x: got None (dtype object)", *REAL)),
        ({"x": [10**30, 1]}, TypeError, ("x: got [1000", "(dtype object)", *REAL)),
        ({"x": [UNPRINTABLE, 1]}, TypeError, ("x: got list too long to print", *REAL)),
        ({"x": [math.nan, 1]}, ValueError, ("x: got [nan, 1]", *FINITE)),
        ({"x": [-math.inf, 1]}, ValueError, ("x: got [-inf, 1]", *FINITE)),
        ({"x": [2**53 + 1, 1]}, ValueError, ("x: got [9007199254740993, 1]", *EXACT)),
        ({"x": [-(2**53) - 1, 1]}, ValueError, ("x: got [-9007199254740993, 1]", *EXACT)),
        ({"x": [2**63 - 1, 1]}, ValueError, ("x: got [9223372036854775807, 1]", *EXACT)),
        ({"x": np.array([2**64 - 1, 1], np.uint64)}, ValueError, ("x: got array", *EXACT)),
        ({"x": [1.1e50, 1]}, ValueError, ("x: got [1.1e+50, 1]", *MAGNITUDE)),
        ({"x": [1, -1e300]}, ValueError, ("x: got [1, -1e+300]", *MAGNITUDE)),
        ({"x": [1, 1]}, ValueError, ("x: got [1, 1]", "two different points", "move one")),
        ({"x": [-0.0, 0.0]}, ValueError, ("x: got [-0.0, 0.0]", "two different points")),
        ({"x": [[1, 2]] * 2, "y": [1, -1]}, ValueError, ("x: got [[1, 2], [1, 2]]", "differ")),
        ({"y": [1]}, ValueError, ("y: got shape (1,)", "shape (2,)", "one label per point")),
        ({"y": [[1], [-1]]}, ValueError, ("y: got shape (2, 1)", "shape (2,)")),
        ({"y": 1}, ValueError, ("y: got shape ()", "shape (2,)")),
        ({"y": [0, 1]}, ValueError, ("y: got [0, 1]", "labels -1 or +1", "Encode the classes")),
        ({"y": [1.5, 1]}, ValueError, ("y: got [1.5, 1]", "labels -1 or +1")),
        ({"y": [math.nan, 1]}, ValueError, ("y: got [nan, 1]", *FINITE)),
        ({"y": [False, True]}, TypeError, ("y: got [False, True] (dtype bool)", *REAL)),
        ({"y": ["a", "b"]}, TypeError, ("y: got ['a', 'b'] (dtype <U1)", *REAL)),
        ({"step_size": 0}, ValueError, ("step_size: got 0;", *STEP)),
        ({"step_size": -0.01}, ValueError, ("step_size: got -0.01", *STEP)),
        ({"step_size": math.nan}, ValueError, ("step_size: got nan", *STEP)),
        ({"step_size": math.inf}, ValueError, ("step_size: got inf", *STEP)),
        ({"step_size": 1e51}, ValueError, ("step_size: got 1e+51", "from 1e-50 to 1e+50", "0.01")),
        ({"step_size": 5e-324}, ValueError, ("step_size: got 5e-324", "from 1e-50 to 1e+50", "0.01")),
        ({"step_size": 10**400}, ValueError, ("step_size: got 1000", "> 0", "binary64")),
        ({"step_size": UNPRINTABLE}, ValueError, ("step_size: got int too long", "binary64")),
        ({"step_size": True}, TypeError, ("step_size: got True", "> 0", "plain real number")),
        ({"step_size": "0.01"}, TypeError, ("step_size: got '0.01'", "plain real number")),
        ({"step_size": 0.1j}, TypeError, ("step_size: got 0.1j", "plain real number")),
        ({"step_size": None}, TypeError, ("step_size: got None", "plain real number")),
        (
            {"step_size": decimal.Decimal("0.1")},
            TypeError,
            ("step_size: got Decimal", "plain real"),
        ),
        ({"step_size": np.array([0.1])}, TypeError, ("step_size: got array", "plain real")),
        ({"loss": "logistc"}, ValueError, ("loss: got 'logistc'", "one of", "mean 'logistic'?")),
        ({"loss": "Exponential"}, ValueError, ("loss: got 'Exp", "Did you mean 'exponential'?")),
        ({"loss": "hinge"}, ValueError, ("loss: got 'hinge'", "one of 'exponential', 'logistic'")),
        ({"loss": None}, TypeError, ("loss: got None", "one of", "name as a string")),
        ({"reduction": "means"}, ValueError, ("reduction: got 'means'", "Did you mean 'mean'?")),
        ({"reduction": 2}, TypeError, ("reduction: got 2", "one of 'mean', 'sum'", "string")),
        ({"bias": 1}, TypeError, ("bias: got 1", "True or False", "Pass a boolean")),
        ({"bias": "no"}, TypeError, ("bias: got 'no'", "True or False", "Pass a boolean")),
        ({"train_output": 0.0}, TypeError, ("train_output: got 0.0", "True or False", "boolean")),
    ],
)
def test_problem_refuses(changes, error, parts):
    assert_refused(error, parts, problem, **changes)


@needs_wide_longdouble
@pytest.mark.parametrize("value", ["0.1", "1e400", "1e-400"])
def test_longdouble_that_binary64_cannot_hold(value):
    x = np.array([np.longdouble(value), 1])
    assert_refused(ValueError, ("x: got array", *EXACT), problem, x=x)


@needs_wide_longdouble
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_longdouble_that_is_not_finite(value):
    x = np.array([value, 1], dtype=np.longdouble)
    assert_refused(ValueError, ("x: got array", *FINITE), problem, x=x)


# --------------------------------------------------------------------------------------------------
# Params: accepted


@pytest.mark.parametrize(
    "w", [[3, -4], [[3], [-4]], np.array([3, -4], np.float32), (np.float64(3), np.int8(-4))]
)
def test_forms_of_one_network_on_the_line(w):
    params = Params(w=w)
    assert params.w.tolist() == [[3.0], [-4.0]]
    assert params.b.tolist() == [0.0, 0.0]
    assert params.v.tolist() == [1.0, -1.0]
    assert params.w.dtype == params.b.dtype == params.v.dtype == np.float64
    assert (params.dimension, params.runs) == (1, None)


def test_one_network_in_more_dimensions():
    params = Params(w=[[1, 2, 3], [4, 5, 6]], b=[7, 8], v=[9, 10])
    assert params.w.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert params.b.tolist() == [7, 8]
    assert params.v.tolist() == [9, 10]
    assert (params.dimension, params.runs) == (3, None)


def many(runs=5, d=2):
    count = np.arange(float(runs * 2 * d))
    return Params(
        w=count.reshape(runs, 2, d),
        b=-count[: 2 * runs].reshape(runs, 2),
        v=count[: 2 * runs].reshape(runs, 2) + 0.5,
    )


def test_run_axis():
    params = many()
    assert (params.runs, params.dimension, len(params)) == (5, 2, 5)
    assert (params.w.shape, params.b.shape, params.v.shape) == ((5, 2, 2), (5, 2), (5, 2))


def test_one_pair_serves_all_runs():
    params = Params(w=np.ones((3, 2, 1)), b=[4, 5])
    assert params.b.tolist() == [[4, 5]] * 3
    assert params.v.tolist() == [[1, -1]] * 3


@pytest.mark.parametrize("run", [0, 3, -1, np.int64(2)])
def test_indexing_gives_one_network(run):
    params = many()
    one = params[run]
    assert one == Params(w=params.w[run], b=params.b[run], v=params.v[run])
    assert one.runs is None


@pytest.mark.parametrize(
    "index",
    [
        slice(1, 3),
        slice(None, None, -2),
        slice(0, 0),
        [0, 4, 0],
        np.array([True, False, False, True, False]),
        np.array([-1, 2]),
        ...,
    ],
)
@pytest.mark.parametrize("d", [1, 2])
def test_slices_and_selections_keep_the_run_axis(index, d):
    params = many(d=d)
    chosen = params[index]
    assert np.array_equal(chosen.w, params.w[index])
    assert np.array_equal(chosen.b, params.b[index])
    assert np.array_equal(chosen.v, params.v[index])
    assert chosen.runs == len(chosen) == len(params.w[index])


def test_iteration_visits_the_runs_in_order():
    params = many()
    assert list(params) == [params[run] for run in range(5)]


@pytest.mark.parametrize("run", [5, -6, [5]])
def test_runs_out_of_range(run):
    with pytest.raises(IndexError, match="out of bounds"):
        many()[run]


@pytest.mark.parametrize("index", [(slice(None), 0), (0, 0), (0, slice(None))])
def test_only_the_run_axis_is_indexed(index):
    """Two runs in the plane: w[:, 0] and b[:, 0] have the shapes of one network."""
    with pytest.raises(IndexError, match=r"too many indices"):
        many(runs=2, d=2)[index]


@pytest.mark.parametrize("use", [len, iter, lambda one: one[0]])
def test_one_network_has_no_run_axis(use):
    with pytest.raises(TypeError, match="one network"):
        use(Params(w=[1, 2]))


# --------------------------------------------------------------------------------------------------
# Params: refused

SHAPE_OF_W = ("shape (2,), (2, d) or (runs, 2, d) with d >= 1", "one row of input weights")


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"w": 1.0}, ValueError, ("w: got shape ()", *SHAPE_OF_W)),
        ({"w": [1, 2, 3]}, ValueError, ("w: got shape (3,)", *SHAPE_OF_W)),
        ({"w": np.ones((3, 2))}, ValueError, ("w: got shape (3, 2)", *SHAPE_OF_W)),
        ({"w": np.ones((2, 0))}, ValueError, ("w: got shape (2, 0)", *SHAPE_OF_W)),
        ({"w": np.ones((4, 3, 1))}, ValueError, ("w: got shape (4, 3, 1)", *SHAPE_OF_W)),
        ({"w": np.ones((1, 4, 2, 1))}, ValueError, ("w: got shape (1, 4, 2, 1)", *SHAPE_OF_W)),
        ({"w": [[1], [1, 2]]}, ValueError, ("w: got [[1], [1, 2]]", "rows of equal length")),
        ({"w": [1, math.nan]}, ValueError, ("w: got [1, nan]", *FINITE)),
        ({"w": [1, 1e51]}, ValueError, ("w: got [1, 1e+51]", *MAGNITUDE)),
        ({"w": [2**53 + 1, 0]}, ValueError, ("w: got [9007199254740993, 0]", *EXACT)),
        ({"w": None}, TypeError, ("w: got None (dtype object)", *REAL)),
        ({"w": [1, 2j]}, TypeError, ("w: got [1, 2j] (dtype complex128)", *REAL)),
        ({"b": 0.0}, ValueError, ("b: got shape ()", "shape (2,)", "one number per neuron")),
        ({"b": [1, 2, 3]}, ValueError, ("b: got shape (3,)", "(2,), as w has shape (2, d)")),
        ({"b": np.ones((2, 1))}, ValueError, ("b: got shape (2, 1)", "shape (2,)")),
        ({"b": [math.inf, 0]}, ValueError, ("b: got [inf, 0]", *FINITE)),
        ({"b": ["0", "0"]}, TypeError, ("b: got ['0', '0'] (dtype <U1)", *REAL)),
        ({"v": [1]}, ValueError, ("v: got shape (1,)", "shape (2,)", "one number per neuron")),
        ({"v": [True, False]}, TypeError, ("v: got [True, False] (dtype bool)", *REAL)),
        ({"v": [-1e200, 1]}, ValueError, ("v: got [-1e+200, 1]", *MAGNITUDE)),
        (
            {"w": np.ones((4, 2, 1)), "b": np.ones((3, 2))},
            ValueError,
            ("b: got shape (3, 2)", "shape (4, 2), as w has shape (4, 2, d)"),
        ),
        (
            {"w": np.ones((4, 2, 1)), "v": np.ones((1, 2))},
            ValueError,
            ("v: got shape (1, 2)", "shape (4, 2), as w has shape (4, 2, d)"),
        ),
    ],
)
def test_params_refuses(arguments, error, parts):
    assert_refused(error, parts, Params, **({"w": [1.0, -1.0]} | arguments))


# --------------------------------------------------------------------------------------------------
# Immutability, equality, copies

QUESTIONS = [problem(), problem(x=np.eye(2)), Params(w=[1, 2]), many()]


def arrays_of(question):
    return [value for value in vars(question).values() if isinstance(value, np.ndarray)]


def duplicates(question):
    yield question
    yield copy.copy(question)
    yield copy.deepcopy(question)
    yield dataclasses.replace(question)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(question, protocol))


@pytest.mark.parametrize("question", QUESTIONS)
def test_fields_and_arrays_are_read_only_also_in_copies(question):
    for duplicate in duplicates(question):
        assert duplicate == question
        assert len(arrays_of(duplicate)) == len(arrays_of(question)) >= 2
        for array in arrays_of(duplicate):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
        for field in dataclasses.fields(duplicate):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(duplicate, field.name, 0)


def test_arrays_of_a_selected_run_are_read_only():
    assert not any(array.flags.writeable for array in arrays_of(many()[1]))


def test_problem_does_not_alias_its_input():
    x, y = np.array([[-1.0], [1.0]]), np.array([-1, 1])
    p = problem(x=x, y=y)
    x[:], y[:] = 7, 1
    assert p == problem()


def test_params_does_not_alias_its_input():
    w, b, v = np.ones((3, 2, 1)), np.ones((3, 2)), np.ones((3, 2))
    params = Params(w=w, b=b, v=v)
    w[:], b[:], v[:] = 7, 7, 7
    assert all((array == 1).all() for array in arrays_of(params))
    assert w.flags.writeable


def test_equal_problems_have_equal_hashes():
    p, same = problem(x=[0.0, 1.0]), problem(x=[[-0.0], [1.0]], step_size=np.float64(0.01))
    assert p == same
    assert hash(p) == hash(same)
    assert len({p, same}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"x": [-1.0, math.nextafter(1.0, 2.0)]},
        {"x": [[-1.0, 0.0], [1.0, 0.0]]},
        {"y": [1, -1]},
        {"step_size": math.nextafter(0.01, 1.0)},
        {"loss": "logistic"},
        {"reduction": "sum"},
        {"bias": False},
        {"train_output": True},
    ],
)
def test_every_field_counts_in_equality(changes):
    assert problem(**changes) != problem()


def test_shape_counts_in_equality():
    """The same eight bytes four times, as two points in the plane or four on no line at all."""
    assert problem(x=[[1.0, 1.0], [1.0, 2.0]]) != problem(x=[[1.0], [1.0]], y=[1, 1])
    assert Params(w=[[[1.0], [2.0]]]) != Params(w=[[1.0], [2.0]])


@pytest.mark.parametrize("changes", [{"w": [1, 3]}, {"b": [0, 1]}, {"v": [1, 1]}])
def test_every_array_counts_in_equality_of_params(changes):
    start = {"w": [1, 2], "b": [0, 0], "v": [1, -1]}
    assert Params(**start) == Params(**start)
    assert Params(**start) != Params(**(start | changes))


def test_other_types_are_unequal():
    assert problem() != "problem"
    assert Params(w=[1, 2]) != [1, 2]
    assert problem() != Params(w=[1, 2])


def test_params_are_not_hashable():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Params(w=[1, 2]))


@pytest.mark.parametrize("question", [*QUESTIONS[:3], problem(loss="logistic", bias=False)])
def test_repr_rebuilds(question):
    assert eval(repr(question)) == question


def test_repr_is_short():
    assert repr(many()) == "Params(5 runs, d=2)"
    assert len(repr(problem(x=np.arange(2000.0).reshape(2, -1)))) < 300
    assert len(repr(Params(w=np.ones((2, 1000))))) < 300


# --------------------------------------------------------------------------------------------------
# Problem and Params together


@pytest.mark.parametrize("bias", [True, False])
def test_compatible(bias):
    check_compatible(problem(bias=bias), Params(w=[1, 2], b=[-0.0, 0.0]))
    check_compatible(problem(x=np.eye(2), bias=bias), Params(w=np.ones((3, 2, 2))))


@pytest.mark.parametrize(
    ("p", "params", "error", "parts"),
    [
        ({}, Params(w=[1, 2]), TypeError, ("problem: got {}", "twonn.Problem", "Build one")),
        (problem(), [1, 2], TypeError, ("params: got [1, 2]", "twonn.Params", "Build one")),
        (
            problem(),
            Params(w=np.ones((2, 3))),
            ValueError,
            ("params.w: got dimension 3", "dimension 1, that of problem.x", "the same dimension"),
        ),
        (
            problem(bias=False),
            Params(w=[1, 2], b=[0, 1]),
            ValueError,
            ("params.b: got [0.0, 1.0]", "zeros, because the problem has bias=False", "bias=True"),
        ),
        (
            problem(bias=False),
            Params(w=np.ones((2, 2, 1)), b=[[0, 0], [0, 1]]),
            ValueError,
            ("params.b: got [[0.0, 0.0], [0.0, 1.0]]", "zeros", "Set b to zero"),
        ),
    ],
)
def test_incompatible(p, params, error, parts):
    assert_refused(error, parts, check_compatible, p, params)


def test_single_run():
    one = Params(w=[1, 2])
    assert single_run(one) is one
    parts = ("params: got 5 runs", "one network", "params[r]")
    assert_refused(ValueError, parts, single_run, many())


# --------------------------------------------------------------------------------------------------
# The helpers by themselves


@pytest.mark.parametrize("value", [3.0, 3, np.int8(3), np.float16(3), Fraction(3), True + 2])
def test_real_number_accepts(value):
    number = real_number("a", value, "a number")
    assert number == 3.0
    assert type(number) is float


def test_real_number_leaves_the_range_to_its_callers():
    assert math.isnan(real_number("a", math.nan, "a number"))
    assert real_number("a", -math.inf, "a number") == -math.inf


@pytest.mark.parametrize("value", [5e-324, 1, 1e308, np.float64(0.5)])
def test_positive_number_accepts(value):
    assert positive_number("a", value, "Fix.") == value


@pytest.mark.parametrize("value", [0, 3, np.uint8(3), np.int64(3), UNPRINTABLE], ids=brief)
def test_whole_number_accepts(value):
    number = whole_number("a", value, least=0, fix="Fix.")
    assert number == value
    assert type(number) is int


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (1, ValueError, "1"),
        (-UNPRINTABLE, ValueError, "int too long to print"),
        (3.0, TypeError, "3.0"),
        (np.float64(3), TypeError, "np.float64(3.0)"),
        (True, TypeError, "True"),
        (np.True_, TypeError, "np.True_"),
        ("3", TypeError, "'3'"),
        (None, TypeError, "None"),
    ],
    ids=brief,
)
def test_whole_number_refuses(value, error, shown):
    parts = (f"a: got {shown}", "a whole number >= 2", "Fix.")
    assert_refused(error, parts, whole_number, "a", value, least=2, fix="Fix.")


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_flag_accepts(value):
    assert flag("a", value) is bool(value)


@pytest.mark.parametrize("value", [0, 1, None, "True", np.array(True)])
def test_flag_refuses(value):
    parts = ("a: got ", brief(value), "True or False", "Pass a boolean.")
    assert_refused(TypeError, parts, flag, "a", value)


def test_one_of():
    names = ("alpha", "beta")
    assert one_of("a", "beta", names) == "beta"
    assert closest("BETTA", names) == "Did you mean 'beta'?"
    assert closest("zzz", names) == "Choose one of these."
    parts = ("a: got 'alfa'", "one of 'alpha', 'beta'", "Did you mean 'alpha'?")
    assert_refused(ValueError, parts, one_of, "a", "alfa", names)
    assert_refused(ValueError, ("a: got 'x'", "Choose one"), one_of, "a", "x", names)
    assert_refused(TypeError, ("a: got ['beta']", "string"), one_of, "a", ["beta"], names)


def test_real_array_is_a_fresh_binary64_copy():
    value = np.ones(3)
    array = real_array("a", value)
    assert not np.shares_memory(array, value)
    assert array.dtype == np.float64


def test_messages_stay_short():
    assert_refused(TypeError, ("a: got ",), whole_number, "a", "x" * 10**6, least=0, fix="Fix.")
    with pytest.raises(ValueError, match="a: got") as refused:
        real_array("a", [math.nan] * 10**4)
    assert len(str(refused.value)) < 200


# --------------------------------------------------------------------------------------------------
# Numbers of steps


@pytest.mark.parametrize("k", [*range(401), 1000, 10_000])
def test_integer_powers_of_ten_are_exact(k):
    assert power_of_ten(float(k)) == 10**k
    assert horizon(None, k) == 10**k


@hypothesis.given(st.floats(0, 45))
def test_powers_of_ten_round_to_the_nearest_integer(exponent):
    with mpmath.workdps(80), decimal.localcontext() as context:
        context.prec = 3  # the caller's, which is none of our business
        assert power_of_ten(exponent) == int(mpmath.nint(mpmath.power(10, mpmath.mpf(exponent))))


@hypothesis.given(st.floats(45, 1000))
def test_large_powers_of_ten_have_50_correct_digits(exponent):
    with mpmath.workdps(80):
        exact = mpmath.power(10, mpmath.mpf(exponent))
        # One unit of the 50th decimal, relative to a leading digit of 1; below 10^50 the rounding
        # to an integer, half a unit of at least 10^45.
        assert abs(power_of_ten(exponent) - exact) <= exact * mpmath.mpf("1e-50") + 0.5


def test_steps_are_taken_as_they_are():
    for steps in (0, 1, 10**16 + 1, UNPRINTABLE, np.int64(7)):
        taken = horizon(steps, None)
        assert taken == steps
        assert type(taken) is int


@pytest.mark.parametrize("log10_steps", [0, 3, 16.0, np.float32(2), Fraction(5)])
def test_log10_steps(log10_steps):
    assert horizon(None, log10_steps) == 10 ** int(log10_steps)


def test_log10_steps_is_rounded():
    assert horizon(None, math.log10(2.4)) == 2
    assert horizon(None, math.log10(2.6)) == 3


WHOLE_STEPS = ("a whole number >= 0", 'Write e.g. 1000000, 1e6, 10**6 or "10^6"')
EITHER = ("exactly one of steps and log10_steps", "steps=10**6 or log10_steps=6.0")
EXPONENT = ("a number from 0 to 1e+06", "log10_steps=16.0")


def test_the_longest_horizon_is_ten_to_a_million():
    assert horizon(10**1_000_000, None) == horizon(None, 1e6) == 10**1_000_000
    # The first whole power beyond what the kernel takes, and what is so long that it must not be printed.
    for exponent in (1_000_001, 1_042_307, 1_043_000, 5_000_000):
        parts = (f"steps: got about 10^{exponent};", "from 0 to 10^1000000", "Ask for fewer")
        assert_refused(ValueError, parts, horizon, 10**exponent, None)


@pytest.mark.parametrize(
    ("steps", "log10_steps", "error", "parts"),
    [
        (None, None, ValueError, ("steps: got steps=None, log10_steps=None", *EITHER)),
        (10, 1.0, ValueError, ("steps: got steps=10, log10_steps=1.0", *EITHER)),
        (UNPRINTABLE, UNPRINTABLE, ValueError, ("steps: got steps=int too long", *EITHER)),
        (-1, None, ValueError, ("steps: got -1", *WHOLE_STEPS)),
        (-UNPRINTABLE, None, ValueError, ("steps: got int too long to print", *WHOLE_STEPS)),
        (1.5, None, ValueError, ("steps: got 1.5", *WHOLE_STEPS)),
        (True, None, TypeError, ("steps: got True", *WHOLE_STEPS)),
        ("ten", None, ValueError, ("steps: got 'ten'", "a whole number from 0 to 10^1000000")),
        (math.inf, None, ValueError, ("steps: got inf", *WHOLE_STEPS)),
        (b"10", None, TypeError, ("steps: got b'10'", *WHOLE_STEPS)),
        (None, -0.1, ValueError, ("log10_steps: got -0.1", *EXPONENT)),
        (None, 1.1e6, ValueError, ("log10_steps: got 1100000.0", *EXPONENT)),
        (None, math.nan, ValueError, ("log10_steps: got nan", *EXPONENT)),
        (None, math.inf, ValueError, ("log10_steps: got inf", *EXPONENT)),
        (None, 10**400, ValueError, ("log10_steps: got 1000", "binary64")),
        (None, "16", TypeError, ("log10_steps: got '16'", "plain real number")),
        (None, True, TypeError, ("log10_steps: got True", "plain real number")),
        (None, 1j, TypeError, ("log10_steps: got 1j", "plain real number")),
    ],
    ids=brief,
)
def test_horizon_refuses(steps, log10_steps, error, parts):
    assert_refused(error, parts, horizon, steps, log10_steps)


# --------------------------------------------------------------------------------------------------
# Which steps are recorded


def scheduled(steps, density, chosen=None):
    """The steps of a schedule that is counted throughout."""
    counted, logs = sample_schedule(steps, density, chosen)
    assert counted.dtype == np.int64
    assert len(logs) == 0
    return counted.tolist()


def assert_schedule(schedule, steps):
    assert schedule[0] == 0
    assert schedule[-1] == steps
    assert all(a < b for a, b in itertools.pairwise(schedule))


@pytest.mark.parametrize(("steps", "expected"), [(0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (3, [0, 1, 2, 3])])
def test_shortest_schedules(steps, expected):
    assert scheduled(steps, 20) == expected


@pytest.mark.parametrize("steps", [10**16, 2**63 - 1])
@pytest.mark.parametrize("density", [20, 7, np.float64(2.5)])
def test_late_samples_are_evenly_dense_in_every_decade(steps, density):
    schedule = scheduled(steps, density)
    assert_schedule(schedule, steps)
    # Up to 100 rounding merges samples; the last decade may be cut short.
    full = [step for step in schedule if 100 <= step < 10 ** (len(str(steps)) - 1)]
    counts = Counter(len(str(step)) for step in full)
    assert len(counts) >= 13
    assert all(abs(count - density) < 1 for count in counts.values())
    if density == int(density):
        assert {10**k for k in range(16)} <= set(schedule)


@pytest.mark.parametrize("steps", [2**63, 10**400, 7 * 10**30 + 1, 10**100_000], ids=brief)
@pytest.mark.parametrize("density", [20, 7, np.float64(2.5), 1e-9])
def test_steps_beyond_what_is_counted_are_given_by_their_logarithms(steps, density):
    counted, logs = sample_schedule(steps, density, None)
    # Together they are 0 and 10^(k/density), k = 0, 1, ..., as far as the horizon, and the horizon.
    assert counted.tolist() == scheduled(2**63 - 1, density)[:-1]
    assert logs[-1] == math.log(steps)
    assert np.all(np.diff(logs) > 0)
    first = math.floor(density * math.log10(2**63)) + 1
    expected = [k / density * math.log(10) for k in range(first, first + len(logs) - 1)]
    # A logarithm below 2.4e5 is the product of two rounded numbers.
    assert np.allclose(logs[:-1], expected, rtol=4 * float(np.finfo(float).eps), atol=0)
    next_one = (first + len(logs) - 1) / density * math.log(10)
    assert next_one > logs[-1] * (1 - 4 * float(np.finfo(float).eps))


@pytest.mark.parametrize("log10_steps", [0, 5.5, 16, 100, 999.95, 1000, 1000.5])
def test_the_default_density_is_20_as_long_as_that_is_few_samples(log10_steps):
    counted, logs = sample_schedule(horizon(None, log10_steps), None, None)
    explicit = sample_schedule(horizon(None, log10_steps), 20, None)
    assert counted.tobytes() == explicit[0].tobytes() and logs.tobytes() == explicit[1].tobytes()
    assert len(counted) + len(logs) <= 20_001


@pytest.mark.parametrize("log10_steps", [1000.55, 1001, 1999.9, 4321.5, 1e5, 3e5, 999_999.9, 1e6])
def test_the_default_density_is_thinned_evenly(log10_steps):
    """Every n-th of 20 samples per decade, n the least power of two that leaves no more than 20,001."""
    steps = horizon(None, log10_steps)
    counted, logs = sample_schedule(steps, None, None)
    assert 10_000 <= len(counted) + len(logs) <= 20_001
    n = 2 ** math.ceil(math.log2(log10_steps / 1000.5))
    ideal = [10 ** (k * n / 20) for k in range(math.ceil(18.96 * 20 / n))]
    # Rounded to a whole step; 10 ** exponent has its error, and that of the exponent times ln 10 below 44.
    early = {0, *(round(step) for step in ideal if step < 1000)}
    assert set(counted[: len(early)].tolist()) == early
    apart = [step for step in ideal if step >= 1000]
    assert np.allclose(counted[len(early) :], apart, rtol=100 * 2.0**-53, atol=0.5)
    first = len(ideal)
    later = np.arange(first, first + len(logs) - 1) * n / 20 * math.log(10)
    assert np.allclose(logs[:-1], later, rtol=4 * 2.0**-53, atol=0)
    assert logs[-2] < logs[-1] == math.log(steps) <= logs[-2] + n / 20 * math.log(10) * (1 + 1e-9)


def test_the_samples_of_a_longer_horizon_are_among_those_of_a_shorter_one():
    shorter: tuple[np.ndarray, np.ndarray] | None = None
    for log10_steps in (900, 1500, 2800, 1e4, 99_999, 1e6):
        counted, logs = sample_schedule(horizon(None, log10_steps), None, None)
        if shorter is not None:
            assert set(counted.tolist()) <= set(shorter[0].tolist())
            assert set(logs[logs < shorter[1][-1]].tolist()) <= set(shorter[1].tolist())
        shorter = counted, logs


def test_a_density_that_is_asked_for_is_honoured_up_to_ten_million_samples():
    counted, logs = sample_schedule(10**480_000, 20, None)
    assert 9_599_000 < len(counted) + len(logs) <= 10_000_000
    for steps, density in ((10**510_000, 20), (10**400_000, 1000)):
        parts = (f"samples_per_decade: got {density}", "10,000,000", "Lower samples_per_decade")
        assert_refused(ValueError, parts, sample_schedule, steps, density, None)


@pytest.mark.parametrize("log_steps", [0.0, 3.2, 43.7, 921.03, 230258.5])
def test_steps_of_a_logarithm(log_steps):
    with mpmath.workdps(60):
        exact = mpmath.exp(mpmath.mpf(log_steps))
        assert abs(steps_of_log(log_steps) - exact) <= 1 + exact * mpmath.mpf("1e-28")


@hypothesis.given(st.integers(0, 2**63 - 1) | st.integers(0, 1000), st.floats(0.01, 25))
def test_default_schedule(steps, density):
    schedule = scheduled(steps, density)
    assert_schedule(schedule, steps)
    interior = [step for step in schedule if 0 < step < steps]
    with mpmath.workdps(40):
        curve = [10 ** (k / mpmath.mpf(density)) for k in range(math.ceil(26 * density))]
    # Half a step of rounding, and a few roundings of the exponent, below 26, times ln 10.
    close = [(value, 0.5 + value * 64 * float(np.finfo(float).eps)) for value in curve]
    for value, tolerance in close:
        if value + tolerance < steps:
            after = bisect.bisect_left(schedule, value)
            assert min(abs(step - value) for step in schedule[after - 1 : after + 1]) <= tolerance
    assert len(interior) <= sum(value - tolerance < steps for value, tolerance in close)


def test_a_longer_run_extends_the_schedule():
    short, long = scheduled(10**5, 20), scheduled(10**9, 20)
    assert long[: len(short)] == short


def test_density_near_zero_records_the_ends():
    assert scheduled(10**6, 1e-300) == [0, 1, 10**6]
    assert scheduled(10**6, 1e-9) == [0, 1, 10**6]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], [0, 100]),
        ([0, 100], [0, 100]),
        ([5, 7], [0, 5, 7, 100]),
        ((1, np.int64(2)), [0, 1, 2, 100]),
        (range(98, 101), [0, 98, 99, 100]),
        (np.array([3, 4]), [0, 3, 4, 100]),
    ],
)
def test_explicit_samples(chosen, expected):
    schedule = scheduled(100, 20, chosen)
    assert schedule == expected
    assert_schedule(schedule, 100)


def test_explicit_samples_of_a_horizon_too_long_to_print():
    counted, logs = sample_schedule(UNPRINTABLE, 20, [1, 2**63 - 1, 2**63, 10**4999])
    assert counted.tolist() == [0, 1, 2**63 - 1]
    assert logs.tolist() == [math.log(2**63), math.log(10**4999), math.log(UNPRINTABLE)]


INCREASING = ("increasing whole numbers from 0 to 100", "Sort them, remove repetitions")
LIST = ("Give a list of numbers of steps",)
DENSITY = ("a finite number > 0", "samples_per_decade=20")


@pytest.mark.parametrize(
    ("density", "chosen", "error", "parts"),
    [
        (20, [3, 2], ValueError, ("sample_steps[1]: got 2", *INCREASING)),
        (20, [3, 3], ValueError, ("sample_steps[1]: got 3", *INCREASING)),
        (20, [1, 101], ValueError, ("sample_steps[1]: got 101", *INCREASING)),
        (20, [UNPRINTABLE], ValueError, ("sample_steps[0]: got int too long", *INCREASING)),
        (20, [-1], ValueError, ("sample_steps[0]: got -1", *WHOLE_STEPS)),
        (20, [1.5], ValueError, ("sample_steps[0]: got 1.5", *WHOLE_STEPS)),
        (20, np.array([1.5]), ValueError, ("sample_steps[0]: got 1.5", *WHOLE_STEPS)),
        (20, ["10^1", "10^3"], ValueError, ("sample_steps[1]: got '10^3'", *INCREASING)),
        (20, [0, True], TypeError, ("sample_steps[1]: got True", *WHOLE_STEPS)),
        (20, np.array([[1]]), TypeError, ("sample_steps: got array", *LIST)),
        (20, 5, TypeError, ("sample_steps: got 5", "from 0 to 100", *LIST)),
        (20, "12", TypeError, ("sample_steps: got '12'", *LIST)),
        (20, b"12", TypeError, ("sample_steps: got b'12'", *LIST)),
        (20, {1, 2}, TypeError, ("sample_steps: got {1, 2}", *LIST)),
        (0, None, ValueError, ("samples_per_decade: got 0", *DENSITY)),
        (-20, None, ValueError, ("samples_per_decade: got -20", *DENSITY)),
        (math.nan, None, ValueError, ("samples_per_decade: got nan", *DENSITY)),
        (math.inf, None, ValueError, ("samples_per_decade: got inf", *DENSITY)),
        (1e7, None, ValueError, ("samples_per_decade: got 10000000.0", "at most 1000", "sample_s")),
        ("20", None, TypeError, ("samples_per_decade: got '20'", "plain real number")),
        (True, None, TypeError, ("samples_per_decade: got True", "plain real number")),
    ],
)
def test_sample_schedule_refuses(density, chosen, error, parts):
    assert_refused(error, parts, sample_schedule, 100, density, chosen)


# --------------------------------------------------------------------------------------------------
# What would leave the range of binary64, or lose something on the way in


@pytest.mark.parametrize("value", [[1e-51, 1.0], [1.0, 5e-324], [1e51, 1.0]])
def test_magnitudes_out_of_range_are_refused(value):
    for build in (lambda: Problem(x=value, y=[-1, 1], step_size=0.1), lambda: Params(w=value)):
        with pytest.raises(ValueError, match=r"magnitudes from 1e-50 to 1e.50.*Rescale"):
            build()


def test_masked_entries_are_refused():
    masked = np.ma.array([1.0, -1.0], mask=[False, True])
    with pytest.raises(ValueError, match="masked"):
        Problem(x=masked, y=[-1, 1], step_size=0.1)


@pytest.mark.skipif(np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="no wider type here")
def test_a_step_size_that_would_be_rounded_is_refused():
    with pytest.raises(ValueError, match="Round it to float64 yourself"):
        Problem(x=[-1, 1], y=[-1, 1], step_size=np.longdouble(1) / 3)


@pytest.mark.parametrize("path", [3, None, b"run.npz", 1.5])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match=r"path: got .* expected a file name"):
        checked_path(path)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_empty_and_unwritable_names_are_refused(path):
    with pytest.raises(ValueError, match=r"path: got .* expected a file name"):
        checked_path(path)


@pytest.mark.parametrize("power", [30, 57, 60, 63, 114, 120])
def test_a_late_sample_is_before_the_horizon_whatever_the_rounding(power):
    """Here 10^power is its own last sample by the first estimate."""
    log_steps = power * math.log(10)
    assert math.ceil(log_steps / math.log(10)) == power + 1
    assert list(_late_indices(1.0, log_steps, 1)) == list(range(19, power))


def test_options_whose_steps_are_no_list_are_refused():
    written = RunOptions(1000, sample_steps=[5]).to_dict()
    assert RunOptions.from_dict(written).to_dict() == written
    with pytest.raises(ValueError, match="sample_steps is not a list"):
        RunOptions.from_dict({**written, "sample_steps": {"0x5": 1}})
