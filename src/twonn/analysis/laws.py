"""The laws of a gap, in one enumeration: those that closed forms give, and those that are fitted to samples.

What users see of a law, in results, tables and files, is its formula or its code, never the member.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence

from twonn.analysis import shapes
from twonn.analysis.shapes import Numbers, Shape
from twonn.values import Floats

__all__ = ["FITTED", "STORED", "Law"]


class Law(enum.Enum):
    """A law of the gap; `Law(formula)` is the member with this formula.

    Attributes
    ----------
    formula : str
        What users see. It is what results contain.
    label : str
        The same for plots, with mathematics in TeX.
    shape : Shape or None
        φ of C φ or limit + C φ; None for laws without a formula.
    limited : bool
        Whether the gap has a limit other than 0.
    """

    formula: str
    label: str
    shape: Shape | None
    limited: bool

    def __new__(cls, what: str | Shape, limited: bool = False, label: str = "") -> Law:
        """Make a member of a shape, or of a text."""
        law = object.__new__(cls)
        law.limited = limited
        if isinstance(what, str):
            law.shape, law.formula, law.label = None, what, label or what
        else:
            law.shape = what
            law.formula = f"limit + {what.formula}" if limited else what.formula
            law.label = f"limit $+\\,{what.label}$" if limited else f"${what.label}$"
        law._value_ = law.formula
        return law

    UNKNOWN = "unknown"
    NONE = "none"  # for equal labels, which have no gap
    CONSTANT = "constant", True
    FASTER = "faster than C/ln t", False, r"faster than $C/\ln t$"

    INVERSE_LOG = shapes.INVERSE_LOG  # C/ln t
    LIMIT_INVERSE_LOG = shapes.INVERSE_LOG, True
    SHIFTED_LOG = shapes.SHIFTED_LOG  # C/(ln t + κ)
    LIMIT_SHIFTED_LOG = shapes.SHIFTED_LOG, True
    INVERSE_ROOT = shapes.INVERSE_ROOT  # C/√(ln t)
    SHIFTED_ROOT = shapes.SHIFTED_ROOT  # C/(√(ln t) + κ)
    LIMIT_SHIFTED_ROOT = shapes.SHIFTED_ROOT, True
    INVERSE_CUBE = shapes.INVERSE_CUBE  # C/(ln t)^3
    POWER_OF_LOG = shapes.POWER_OF_LOG  # C/(ln t)^α
    LIMIT_POWER_OF_LOG = shapes.POWER_OF_LOG, True

    # In m = ln t + ln ln t + …, for trained output weights.
    INVERSE_MARGIN = shapes.INVERSE_MARGIN  # C/m
    INVERSE_MARGIN_CUBE = shapes.INVERSE_MARGIN_CUBE  # C/m^3
    SHIFTED_MARGIN_ROOT = shapes.SHIFTED_MARGIN_ROOT  # C/(√m + κ)
    LIMIT_SHIFTED_MARGIN_ROOT = shapes.SHIFTED_MARGIN_ROOT, True

    # In t, for optimizers whose steps do not shrink.
    INVERSE_STEP_LOG = shapes.INVERSE_STEP_LOG  # C/(t ln t)
    SHIFTED_STEP = shapes.SHIFTED_STEP  # C/(t + κ)
    POWER_OF_STEP = shapes.POWER_OF_STEP  # C·t^−α
    LIMIT_POWER_OF_STEP = shapes.POWER_OF_STEP, True

    # With ln ln t. They keep the others from reading a limit into a slow logarithm.
    SHIFTED_LOG_LOG = shapes.SHIFTED_LOG_LOG  # C/(ln ln t + κ)
    LOG_LOG_OVER_LOG = shapes.LOG_LOG_OVER_LOG  # C ln(ln t + κ)/(ln t + κ)
    INVERSE_LOG_LOG_LOG = shapes.INVERSE_LOG_LOG_LOG  # C/((ln t + κ) ln(ln t + κ))

    @property
    def code(self) -> int:
        """What stands for it in arrays and stores; a ValueError for laws that are only fitted."""
        return STORED.index(self)

    @property
    def without_limit(self) -> Law:
        """The law with the same shape and the limit 0."""
        return next(law for law in Law if law.shape is self.form and not law.limited)

    @property
    def leading(self) -> Law:
        """The law without limit, and without shift where C means the same without: to leading order."""
        if self.shape is None:
            return self
        same = (law for law in Law if law.shape is not None and law.formula == self.form.constant_of)
        return next(same, self.without_limit)

    @property
    def form(self) -> Shape:
        """The shape of a law that has one."""
        assert self.shape is not None, f"{self.formula} has no shape"
        return self.shape

    @property
    def parameters(self) -> tuple[str, ...]:
        return self.form.parameters(self.limited)

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return len(self.parameters)

    @property
    def in_t(self) -> bool:
        """Whether it is a law in t itself, beside which every power of ln t is nothing."""
        return math.isinf(self.form.exponent)

    def predict(self, log_t: Floats, numbers: Mapping[str, float]) -> Floats:
        """Return the gap at natural logarithms of steps."""
        return self.form.predict(log_t, numbers)

    def complete(self, log_t: Floats, gap: Floats, own: Sequence[float]) -> Numbers:
        """Return all numbers of the law that is closest to a gap with these numbers of its shape."""
        return self.form.complete(log_t, gap, own, self.limited)


#: What closed forms give, in the order of the codes. Stores have the codes: new ones come last.
STORED = (
    Law.UNKNOWN,
    Law.CONSTANT,
    Law.SHIFTED_LOG,
    Law.LIMIT_SHIFTED_LOG,
    Law.SHIFTED_ROOT,
    Law.LIMIT_SHIFTED_ROOT,
    Law.INVERSE_LOG,
    Law.INVERSE_CUBE,
    Law.FASTER,
    Law.NONE,
)

#: What is fitted to samples. Of equally simple laws that are as good the first one is chosen.
FITTED = (
    Law.INVERSE_LOG,
    Law.INVERSE_ROOT,
    Law.INVERSE_STEP_LOG,
    Law.SHIFTED_LOG,
    Law.LIMIT_INVERSE_LOG,
    Law.SHIFTED_ROOT,
    Law.INVERSE_MARGIN,
    Law.POWER_OF_LOG,
    Law.POWER_OF_STEP,
    Law.SHIFTED_STEP,
    Law.INVERSE_MARGIN_CUBE,
    Law.LOG_LOG_OVER_LOG,
    Law.INVERSE_LOG_LOG_LOG,
    Law.SHIFTED_LOG_LOG,
    Law.LIMIT_SHIFTED_LOG,
    Law.LIMIT_SHIFTED_ROOT,
    Law.SHIFTED_MARGIN_ROOT,
    Law.LIMIT_POWER_OF_LOG,
    Law.LIMIT_POWER_OF_STEP,
    Law.LIMIT_SHIFTED_MARGIN_ROOT,
)
