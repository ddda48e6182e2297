"""The enumeration of laws: codes in stores keep their meaning, and every member is whole."""

import math

import numpy as np
import pytest

from twonn.analysis.laws import FITTED, STORED, Law
from twonn.sweeps.summary import SUMMARY

#: As files have them. A new one comes last; these never change.
STORED_MEANINGS = (
    "unknown constant C/(ln_t_+_κ) limit_+_C/(ln_t_+_κ) C/(√(ln_t)_+_κ) limit_+_C/(√(ln_t)_+_κ) C/ln_t "
    "C/(ln_t)^3 faster_than_C/ln_t none"
)


def test_codes_of_stores_keep_their_meaning():
    assert " ".join(law.formula.replace(" ", "_") for law in STORED) == STORED_MEANINGS
    assert [law.code for law in STORED] == list(range(10))
    attributes = SUMMARY["asymptote_law"].attributes
    assert attributes == {"flag_values": list(range(10)), "flag_meanings": STORED_MEANINGS}
    with pytest.raises(ValueError, match="not in tuple"):
        _ = Law.INVERSE_MARGIN.code


def test_every_law_is_found_by_its_formula_and_belongs_somewhere():
    for law in Law:
        assert Law(law.formula) is law
        assert law in STORED or law in FITTED
    assert len(set(FITTED)) == len(FITTED) and len(set(STORED)) == len(STORED)
    with pytest.raises(ValueError, match="not a valid Law"):
        Law("C/ln(t)")


def test_a_law_with_a_limit_has_one_without():
    limited = [law for law in Law if law.limited and law is not Law.CONSTANT]
    assert len(limited) == 6
    for law in limited:
        plain = law.without_limit
        assert law.formula == f"limit + {plain.formula}" and plain.shape is law.shape and not plain.limited
        assert law.size == plain.size + 1 and plain in FITTED
    assert Law.INVERSE_LOG.without_limit is Law.INVERSE_LOG
    with pytest.raises(AssertionError, match="constant has no shape"):
        _ = Law.CONSTANT.without_limit


@pytest.mark.parametrize("law", [law for law in Law if law.shape is not None], ids=lambda law: law.formula)
def test_a_shape_is_positive_and_has_the_exponents_that_it_says(law):
    numbers = {"shift": 2.0, "offset": 1.0, "exponent": 1.5, "power": 0.25}
    numbers = {name: numbers.get(name, 0.5) for name in law.parameters}
    log_t = np.array([40.0, 80.0])
    gap = law.predict(log_t, numbers) - numbers.get("limit", 0.0)
    assert (np.diff(gap) < 0).all() and (gap > 0).all()
    # Far out. The largest correction is κ/√(ln t), 6 % at ln t = 1000.
    far = np.array([1e3, 1.01e3]) if not law.in_t else np.array([200.0, 202.0])
    late = law.predict(far, numbers | dict.fromkeys(["limit"] if law.limited else [], 0.0))
    if law.in_t:
        power = numbers.get("power", law.form.power)
        assert -np.diff(np.log(late))[0] / np.diff(far)[0] == pytest.approx(power, abs=0.01)
    elif law.form.time is not None:
        exponent = numbers.get("exponent", law.form.exponent)
        local = -np.diff(np.log(late))[0] / np.diff(np.log(far))[0]
        assert local == pytest.approx(exponent, rel=0.1)
    assert math.isfinite(late[0])


def test_a_law_to_leading_order_has_no_shift_where_c_means_the_same_without():
    leading = {law.formula: law.leading.formula for law in Law if law.leading is not law}
    assert leading == {
        "limit + C/ln t": "C/ln t",
        "C/(ln t + κ)": "C/ln t",
        "limit + C/(ln t + κ)": "C/ln t",
        "C/(√(ln t) + κ)": "C/√(ln t)",
        "limit + C/(√(ln t) + κ)": "C/√(ln t)",
        "limit + C/(ln t)^α": "C/(ln t)^α",
        "C/m": "C/ln t",
        "C/(√m + κ)": "C/√(ln t)",
        "limit + C/(√m + κ)": "C/√(ln t)",
        "limit + C·t^−α": "C·t^−α",
    }


def test_labels_are_set_by_matplotlib():
    pytest.importorskip("matplotlib")
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for law in Law:
        assert parser.parse(law.label).width > 0
        assert law.shape is None or "$" in law.label
