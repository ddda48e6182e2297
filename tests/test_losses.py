"""The losses against their definitions in fifty digits."""

import mpmath
import numpy as np
import pytest

from twonn.problem.losses import LOSSES

VALUES = {"exponential": lambda m: mpmath.exp(-m), "logistic": lambda m: mpmath.log1p(mpmath.exp(-m))}
MARGINS = [-700.0, -36.5, -1.0, -1e-9, 0.0, 1e-9, 0.3, 35.9, 36.1, 700.0]


def test_there_is_a_definition_of_every_loss():
    assert LOSSES.keys() == VALUES.keys()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("m", MARGINS)
def test_losses_are_what_they_are_defined_to_be(name, m):
    # Up to four operations, of which the exponential and the logarithms are good to about a unit in the last
    # place, and none of them magnifies the errors of the ones before at these margins.
    loss, allowed = LOSSES[name], 8 * np.finfo(float).eps
    with mpmath.workdps(50):
        exact = VALUES[name](mpmath.mpf(m))
        slope = -mpmath.diff(VALUES[name], mpmath.mpf(m), h=mpmath.mpf("1e-20"))
        expected = {"log_value": mpmath.log(exact), "slope": slope, "tail": slope * mpmath.exp(m)}
        for function, value in expected.items():
            found = float(getattr(loss, function)(np.array(m)))
            if value == 0:
                assert found == 0, function
            else:
                assert abs(found / value - 1) <= allowed, function
