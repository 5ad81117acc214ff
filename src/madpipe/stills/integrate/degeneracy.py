"""What the images cannot tell apart: distance and cell are one scale."""

import numpy as np
from jaxtyping import Float

from madpipe.base.warned import warn
from madpipe.physics.arrowhead import Covariance
from madpipe.stills.integrate.fit import Fitted
from madpipe.stills.integrate.image_model import OWN, SHARED

_DEGENERATE = 0.99


def correlation_with_mean(covariance: Covariance, weight: Float[np.ndarray, "block own"], index: int) -> float:
    r"""Correlation of a shared parameter with a weighted mean of the blocks' own ones.

    Blocks are correlated through the shared parameters alone: :math:`C_{kl} = C_{ks} C_{ss}^{-1} C_{sl}`.

    Parameters
    ----------
    covariance:
        Of an arrowhead.
    weight:
        Of each own parameter of each block; its scale is of no matter.
    index:
        Of the shared parameter.
    """
    mixed = np.einsum("kp,kps->s", weight, covariance.mixed)
    inverse = np.linalg.inv(covariance.shared)
    of_block = np.einsum("kp,kps->ks", weight, covariance.mixed)
    within = np.einsum("kp,kpq,kq->", weight, covariance.own, weight)
    within -= np.einsum("ks,st,kt->", of_block, inverse, of_block)
    variance = within + mixed @ inverse @ mixed
    return float(mixed[index] / np.sqrt(variance * covariance.shared[index, index]))


def cell_against_distance(fitted: Fitted) -> float:
    """Correlation of the detector's distance with the images' mean isotropic strain; 0 where one is not fitted.

    Warns where it exceeds 0.99: then only a prior of the cell, or of the distance, fixes either.
    """
    index = SHARED.index("distance")
    if not (fitted.shared_active[index] and fitted.own_active[len(OWN) :].any()):
        return 0.0
    weight = np.zeros(fitted.covariance.own.shape[:2])
    for image, still in enumerate(fitted.data.stills):
        weight[image, -len(still.scene.strains) :] = np.trace(still.scene.strains, axis1=1, axis2=2)
    place = int(np.sum(fitted.shared_active[:index]))
    found = correlation_with_mean(fitted.covariance, weight, place)
    if abs(found) > _DEGENERATE:
        warn(
            f"distance and cell are correlated by {found:.4f}: one scale, which the images do not part; state the cell "
            "or the distance with a smaller standard deviation."
        )
    return found
