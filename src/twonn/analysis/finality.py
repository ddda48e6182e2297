"""What can be proved of a region of gradient descent: whether its pattern and the signs of v are final.

Proofs are in docs/theory.md, section 10, which the numbers of lemmas cited here refer to.
"""

from __future__ import annotations

import enum

import numpy as np

from twonn.analysis.fates import Fates
from twonn.analysis.regions import Region
from twonn.analysis.traps import both_slide, one_slides


class Verdict(enum.Enum):
    """What is said of a region.

    Attributes
    ----------
    is_final : bool or None
        True with a proof; False if pattern or signs change; None if neither is shown.
    sentence : str
        Why it is not final, or not shown to be; empty if it is.
    """

    is_final: bool | None
    sentence: str

    def __init__(self, is_final: bool | None, sentence: str) -> None:
        self.is_final, self.sentence = is_final, sentence

    FINAL = True, ""

    DRIVEN_OFF = False, "A neuron is active on a point that it does not serve, which drives it off."
    RISES = False, "A pre-activation is on its way to its kink."
    TURNS = (
        False,
        "The output weight of a neuron passes through 0: it is driven by a point that it does not serve yet.",
    )
    DIES = (
        False,
        "A point that a neuron does not serve drives it off, and then it is active on no point.",
    )
    DRIVEN = (
        False,
        "A neuron is active on a point that it does not serve, which drives its output weight or its "
        "pre-activation through 0.",
    )

    UNSHOWN = None, "It is not shown that the activation pattern does not change any more."
    UNSHOWN_SLIDE = (
        None,
        "It is not shown that the neurons reach the kinks along which they slide and stay there. A later "
        "state may show it.",
    )
    UNSHOWN_TRAINED = (
        None,
        "With trained output weights it is not shown that a neuron which slides, or is active on both "
        "points, keeps its pattern and the sign of its output weight.",
    )
    MARGINAL = (
        None,
        "The active fraction of a sliding neuron tends to 1 up to rounding: whether it slides for ever is "
        "not shown.",
    )
    NEAR_KINK = (
        None,
        "G_01 and a pre-activation are 0 up to rounding, so that the last bit of the data decides.",
    )
    AT_KINK = None, "A pre-activation is 0 up to rounding of the parameters."
    BALANCED = (
        None,
        "A neuron is driven to 0 by a point that it does not serve, and the last bit of the data decides "
        "whether its output weight or its pre-activation gets there first.",
    )


def judge(region: Region, leaves: bool, marginal: bool, fates: Fates) -> Verdict:
    """Return whether the pattern and the signs of the output weights are final.

    Parameters
    ----------
    region : Region
    leaves : bool
        Whether the motion in the region, in closed form, leads out of it.
    marginal : bool
        Whether an active fraction tends to 1 up to rounding.
    fates : Fates
        Of a single run.
    """
    if (region.doubtful & ~region.slides).any():
        return Verdict.AT_KINK
    if all(_is_kept(region, j) for j in (0, 1)):
        return Verdict.FINAL
    if region.near.any():
        return Verdict.NEAR_KINK
    if fates.undecided.any():
        return Verdict.BALANCED
    if fates.driven.any():
        return _driven(fates)
    if _is_driven_off(region):
        return Verdict.DRIVEN_OFF
    if leaves or _rises(region):
        return Verdict.RISES
    return _in_trap(region, marginal)


def _driven(fates: Fates) -> Verdict:
    if fates.turns.any():
        return Verdict.TURNS
    return Verdict.DIES if fates.dies.any() else Verdict.DRIVEN


def _in_trap(region: Region, marginal: bool) -> Verdict:
    if not region.opposite:
        return Verdict.UNSHOWN
    if region.problem.train_output:
        return Verdict.UNSHOWN_TRAINED
    if marginal:
        return Verdict.MARGINAL
    if not region.slides.any():
        return Verdict.UNSHOWN
    if region.gram.sign > 0 and (both_slide(region) or one_slides(region)):
        return Verdict.FINAL
    return Verdict.UNSHOWN_SLIDE


def _is_kept(region: Region, j: int) -> bool:
    """Whether neuron j keeps its pattern and sign whatever the other one does (lemma 1)."""
    active = region.active[j]
    if not active.any() or (region.v[j] == 0 and not region.problem.train_output):
        return True
    if active.all():
        return not region.opposite and region.serves(j, 0) and region.gram.cross >= 0
    k = 0 if active[0] else 1
    if not region.serves(j, k):
        return False
    return region.gram.cross <= 0 or (region.gram.orthogonal and not bool(region.near[j, 1 - k]))


def _is_driven_off(region: Region) -> bool:
    """Whether a neuron with fixed v is active on a point that it does not serve, G_01 <= 0 (lemma 2)."""
    if not region.opposite or region.problem.train_output or region.gram.sign > 0:
        return False
    return any(region.v[j] != 0 and not region.serves(j, i) for j, i in np.argwhere(region.active))


def _rises(region: Region) -> bool:
    """Whether G_01 > 0 carries a neuron that is active on its own point only to its other kink (lemma 2)."""
    if not (region.opposite and region.problem.train_output and region.gram.sign > 0):
        return False
    on_one = region.active & ~region.active[:, ::-1] & ~region.slides[:, ::-1]
    return any(region.serves(j, k) for j, k in np.argwhere(on_one))
