r"""Numbers that a fit keeps only where the images ask for them: mosaicity, tail and shape of the domains.

Small round domains have one R0; what else is fitted makes their answer no better, and slower. A fit begins with all of
it, as one R0 may lead far astray. Near its end a block of numbers is let go where

.. math:: \Delta \ln Z = x^T C^{-1} x / 2 + \ln \det(C P) / 2

is below 0: Laplace's evidence for the block, x its distance from none, C its covariance, all else free, P the precision
of its prior. What was let go is taken up again, for good, where in the end it is above 3, x then Newton's step.

References
----------
Kass, Raftery, J. Am. Stat. Assoc. 90, 773 (1995): 3 is strong evidence, section 3.2.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.physics.arrowhead import Arrowhead
from madpipe.stills.integrate.image_model import MOSAICITY, SHAPE, TAIL
from madpipe.stills.integrate.settings import IntegrateConfig

STRONG = 3.0  # of evidence
LEAST_SHARE = 0.05  # of a prior's standard deviation: what is less is none
SQUARES = (MOSAICITY, TAIL)  # numbers that enter as their squares: at 0 nothing tells which way to go
_Block = Int[np.ndarray, "_"]


def blocks_of(config: IntegrateConfig, allowed: Bool[np.ndarray, "shape"]) -> list[_Block]:
    """Places among the shared numbers of what is to be earned, by settings and symmetry."""
    shape = np.arange(SHAPE.start, SHAPE.stop)[allowed]
    every = ((config.fit_mosaicity, [MOSAICITY]), (config.fit_tail, [TAIL]), (config.fit_shape, shape))
    return [np.array(block, dtype=int) for wanted, block in every if wanted and len(block)]


def evidence(
    step: Float[np.ndarray, "some"], covariance: Float[np.ndarray, "some some"], precision: Float[np.ndarray, "some"]
) -> float:
    """Evidence for numbers that are this far from none, as the module says."""
    gain = 0.5 * float(step @ np.linalg.solve(covariance, step))
    return gain + 0.5 * float(np.linalg.slogdet(covariance * precision)[1])


def asked_for(
    slope: Float[np.ndarray, "number"],
    information: Float[np.ndarray, "number number"],
    places: Int[np.ndarray, "number"],
    blocks: list[_Block],
    precision: Float[np.ndarray, "shared"],
) -> list[float]:
    """Evidence for each block by itself.

    Parameters
    ----------
    slope, information:
        Of minus ln L with its priors, all blocks free, where none has gone far.
    places:
        Of its numbers among the shared ones, rising; before them those of images, below 0.
    blocks:
        Places of each block's.
    precision:
        Of the priors of all shared numbers.
    """
    is_new = np.isin(places, np.concatenate(blocks))
    old, new = np.flatnonzero(~is_new), np.flatnonzero(is_new)
    right = np.concatenate([information[np.ix_(old, new)], slope[old, None]], axis=1)
    solved = information[np.ix_(new, old)] @ np.linalg.solve(information[np.ix_(old, old)], right)
    left, pull = information[np.ix_(new, new)] - solved[:, :-1], slope[new] - solved[:, -1]
    found = []
    for block in blocks:
        here = np.searchsorted(places[new], block)
        covariance = np.linalg.inv(left[np.ix_(here, here)])
        step = -covariance @ pull[here]
        below = block[0] in SQUARES and step[0] <= 0
        found.append(-np.inf if below else evidence(step, covariance, precision[block]))
    return found


def without_blocks(normal: Arrowhead) -> tuple[Float[np.ndarray, "shared"], Float[np.ndarray, "shared shared"]]:
    """Slope and information of the shared numbers, those of the images free."""
    solved = np.linalg.solve(normal.own, np.concatenate([normal.own_slope[..., None], normal.mixed], axis=2))
    slope = normal.shared_slope - np.einsum("kpi,kp->i", normal.mixed, solved[..., 0])
    return slope, normal.shared - np.einsum("kpi,kpj->ij", normal.mixed, solved[..., 1:])


def begun(
    shared: Float[np.ndarray, "shared"], sd: Float[np.ndarray, "shared"], blocks: list[_Block]
) -> Float[np.ndarray, "shared"]:
    """Shared numbers with those squares of the blocks that are none at a small share of their priors' errors."""
    found = shared.copy()
    for place in SQUARES:
        if found[place] == 0 and any(place in block for block in blocks):
            found[place] = LEAST_SHARE * sd[place]
    return found


def needless(
    blocks: list[_Block],
    apart: Float[np.ndarray, "shared"],
    covariance: Float[np.ndarray, "free free"],
    free: Int[np.ndarray, "free"],
    precision: Float[np.ndarray, "shared"],
) -> list[_Block]:
    """Blocks without which the evidence is larger: all that seem so, or the worst where they are not so together.

    Of squares half the number is as many of its errors as the square is of its own.

    Parameters
    ----------
    blocks:
        That are fitted.
    apart:
        Shared numbers less what they are where they are none.
    covariance, free:
        Of the shared numbers that are free, and their places, rising.
    precision:
        Of the priors of all shared numbers.
    """
    step = apart.copy()
    step[list(SQUARES)] /= 2

    def worth(block: _Block) -> float:
        here = np.searchsorted(free, block)
        return evidence(step[block], covariance[np.ix_(here, here)], precision[block])

    found = [(worth(block), block) for block in blocks]
    bad = [block for value, block in found if value < 0]
    if len(bad) < 2 or worth(np.sort(np.concatenate(bad))) < 0:
        return bad
    return [min(found, key=lambda one: one[0])[1]]


def with_blocks(free: Bool[np.ndarray, "shared"], blocks: list[_Block]) -> Bool[np.ndarray, "shared"]:
    """Which shared numbers are free with these blocks."""
    wide = free.copy()
    wide[np.concatenate(blocks)] = True
    return wide
