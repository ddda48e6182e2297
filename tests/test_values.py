"""Results are values: equal by content, read-only, and the same after pickling and copying."""

import copy
import dataclasses
import pickle
from collections.abc import Mapping

import numpy as np
import pytest

import twonn
from twonn.problem.runspec import RunOptions, RunSpec
from twonn.values import FrozenMapping

PAPER = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01)
START = twonn.Params(w=[0.4309350268754409, -1.470759627697770])
SLIDING = twonn.Problem(x=[2.0, 1.0], y=[1, -1], step_size=0.05, reduction="sum")
SLIDER = twonn.Params(w=[0.6, -0.4], b=[0.3, 0.9])
TRAINED = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.01, train_output=True)
SPACE = twonn.Problem(x=[[-1.0, 0.5], [0.75, -0.5]], y=[-1, 1], step_size=0.05, loss="logistic")
IN_SPACE = twonn.Params(w=[[0.9, 0.1], [-1.4, 0.2]])


def runs():
    return {
        "leapt": twonn.run(PAPER, START, 10**12),
        "slid": twonn.run(SLIDING, SLIDER, 10**9),
        "adam": twonn.run(SPACE, IN_SPACE, 300, optimizer="adam"),
        "trained": twonn.run(TRAINED, START, 10**12),
    }


def results():
    """Results of every kind, none of which has been asked for what derives from it."""
    made = runs()
    return {
        **made,
        "asymptote": twonn.asymptote(PAPER, made["leapt"]),
        "sliding asymptote": twonn.asymptote(SLIDING, made["slid"]),
        "trained asymptote": twonn.asymptote(TRAINED, made["trained"]),
        "unknown asymptote": twonn.asymptote(PAPER, twonn.Params(w=[0.0, 0.0], b=[-1.0, -1.0])),
        "fit": twonn.fit_rate(made["leapt"]),
        "law": twonn.fit_rate(made["leapt"]).best,
    }


NAMES = sorted(results())


@pytest.fixture(scope="module")
def made():
    return results()


@pytest.fixture(scope="module")
def again():
    return results()


def everything(result):
    """All attributes, those that derive from the fields among them; what one refuses is left out."""
    found = {}
    for name in dir(result):
        if not name.startswith("_"):
            try:
                value = getattr(result, name)
            except (ValueError, ImportError):
                continue
            if not callable(value):
                found[name] = value
    return {**found, **vars(result)}


def arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for entry in value:
            yield from arrays(entry)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from arrays(entry)
    elif dataclasses.is_dataclass(value):
        for entry in vars(value).values():
            yield from arrays(entry)


COPIES = {
    "pickled": lambda result: pickle.loads(pickle.dumps(result)),
    "copied": copy.copy,
    "deeply copied": copy.deepcopy,
    "replaced": dataclasses.replace,
}


@pytest.mark.parametrize("name", NAMES)
def test_two_of_the_same_content_are_equal(name, made, again):
    one, other = made[name], again[name]
    assert one is not other and one == other
    assert one != 3 and one != "text" and one is not None
    for result in made.values():
        assert (result == one) == (result is one)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", NAMES)
def test_copies_are_the_same(name, how, made):
    one = made[name]
    everything(one)  # what is derived may be there or not
    other = COPIES[how](one)
    assert other is not one and other == one and type(other) is type(one)
    mine, theirs = everything(one), everything(other)
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        for left, right in zip(arrays(value), arrays(theirs[key]), strict=True):
            assert left.tobytes() == right.tobytes() and left.dtype == right.dtype
    assert str(one) == str(other)


@pytest.mark.parametrize("how", [None, *COPIES])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_can_be_changed(name, how, made):
    result = made[name] if how is None else COPIES[how](made[name])
    count = 0
    for key, value in everything(result).items():
        for array in arrays(value):
            assert not array.flags.writeable, key
            if array.size:
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = array
            count += 1
        if isinstance(value, Mapping):
            with pytest.raises(TypeError):
                value["twonn"] = "0"
            with pytest.raises(TypeError):
                del value["twonn"]
        if not isinstance(getattr(type(result), key, None), property) and key in vars(result):
            with pytest.raises(AttributeError):
                setattr(result, key, value)
    assert count > 0 or name == "law"


OTHER = twonn.Problem(x=[-1.0, 3.0], y=[-1, 1], step_size=0.01)


def other_than(value):
    """Something of the same kind that is not the same, or None if there is no telling."""
    if isinstance(value, np.ndarray):
        if not value.size:
            return None
        changed = np.array(value)
        flat = changed.reshape(-1).view(np.uint8)
        flat[: changed.itemsize] ^= 1
        return changed
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1 if value == value else 0.0
    if isinstance(value, str):
        return value + "."
    if isinstance(value, Mapping):
        return {**value, "another": "entry"}
    if isinstance(value, tuple):
        return (*value, None)
    return {
        twonn.Problem: OTHER,
        twonn.Params: twonn.Params(w=[1.0, 2.0]),
        RunSpec: RunSpec(OTHER, twonn.Params(w=[1.0, 2.0]), RunOptions(3)),
        twonn.Status: twonn.Status.DIVERGED,
        twonn.Adam: None,
    }.get(type(value))


@pytest.mark.parametrize("name", NAMES)
def test_any_other_content_makes_another_value(name, made):
    result = made[name]
    changed = 0
    for field in dataclasses.fields(result):
        other = other_than(getattr(result, field.name))
        if other is not None:
            assert dataclasses.replace(result, **{field.name: other}) != result, field.name
            changed += 1
    assert changed >= len(dataclasses.fields(result)) - 3


def test_missing_numbers_are_equal_to_missing_numbers():
    equal_labels = twonn.Problem(x=[-1.0, 2.0], y=[1, 1], step_size=0.1)
    one, other = (twonn.asymptote(equal_labels, START) for _ in range(2))
    assert np.isnan(one.limit) and one == other


@pytest.mark.parametrize("other", [np.zeros(3), np.zeros((1, 2)), np.zeros(2, np.float32), [0.0, 0.0]])
def test_arrays_of_another_shape_or_type_are_not_the_same(other):
    assert twonn.values.are_same(np.zeros(2), np.zeros(2))
    assert twonn.values.are_same(np.zeros(2), other) is False


def test_arrays_that_are_a_part_of_another_leave_it_as_it_is():
    whole = np.zeros((3, 4))
    frozen = twonn.values.frozen((whole[1], {"a": whole[:, 1]}))
    assert not frozen[0].flags.writeable and not frozen[1]["a"].flags.writeable
    assert whole.flags.writeable and isinstance(frozen[1], FrozenMapping)


def test_a_frozen_mapping_is_a_mapping():
    one = FrozenMapping({"a": 1, "b": {"c": 2}})
    assert one == {"a": 1, "b": {"c": 2}} and {**one}["a"] == 1 and list(one) == ["a", "b"] and len(one) == 2
    assert one["b"] == {"c": 2} and repr(one) == "{'a': 1, 'b': {'c': 2}}"
    assert pickle.loads(pickle.dumps(one)) == copy.copy(one) == copy.deepcopy(one) == one
    with pytest.raises(KeyError):
        one["d"]
