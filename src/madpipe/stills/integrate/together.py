r"""Scales of all images together, every intensity integrated out.

An image by itself is scaled by what the others say of its reflections, and takes their scales for known: its errors are
then too small, and what images with many common reflections do together creeps. With spots :math:`J_k \sim N(S_k I_h,
\sigma_k^2)` and :math:`I_h \sim N(m_h, v_h)` the information on ln G and B of all images is

.. math:: F = X' E X - \sum_h c_h (X_h' g_h)(X_h' g_h)', \quad c_h = \frac{v_h}{1 + v_h \sum_k S_k^2 / \sigma_k^2},
    \quad g_k = S_k^2 m_h / \sigma_k^2, \quad e_k = S_k^2 m_h^2 / \sigma_k^2

with rows x = (1, -1 / 4 d^2) of X in the columns of the spot's image, and the slope of the logarithm of the likelihood
:math:`\sum_k x_k m_h S_k (r_k - S_k c_h \sum_l S_l r_l / \sigma_l^2) / \sigma_k^2`, r = J - S m.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from madpipe.stills.integrate.intensities import Belief

MOST_IMAGES = 2000  # beyond, the matrix takes longer than the fit, and each image has many others
_BROAD = 1e-2  # information that keeps images without a common reflection finite


@dataclass(frozen=True)
class Measured:
    """Spots of all images as measurements of intensities."""

    image: Int[np.ndarray, "spot"]
    unique: Int[np.ndarray, "spot"]  # number of the intensity
    factor: Float[np.ndarray, "spot"]  # S; 0 where the spot is left out
    photons: Float[np.ndarray, "spot"]  # J
    sigma: Float[np.ndarray, "spot"]  # of J, the model's error included [photon]
    inverse_d2: Float[np.ndarray, "spot"]  # [1/angstrom^2]
    images: int


def joint_change(
    measured: Measured, belief: Belief, precision: Float[np.ndarray, "2"], slope: Float[np.ndarray, "image 2"]
) -> Float[np.ndarray, "image 2"]:
    """One step of Fisher scoring for ln G and B of all images together.

    Parameters
    ----------
    measured, belief:
        Spots, and what is believed of intensities without them.
    precision:
        Of the priors of ln G and B of an image.
    slope:
        Of the logarithm of these priors, at the scales as they are.
    """
    design, told = _design(measured)
    mean = belief.mean[measured.unique]
    apart = measured.photons - measured.factor * mean
    word = np.bincount(measured.unique, measured.factor * apart / measured.sigma**2, len(belief.mean))
    common = _common(measured, told, belief.variance)
    pull = mean * measured.factor / measured.sigma**2 * (apart - measured.factor * (common * word)[measured.unique])
    information = _information(measured, design, told, belief.mean, common) + np.diag(
        np.tile(precision, measured.images)
    )
    step: np.ndarray = np.linalg.solve(information, design.T @ pull + slope.ravel())
    return step.reshape(measured.images, 2)


def neglected_variance(measured: Measured, belief: Belief) -> Float[np.ndarray, "image 2"]:
    """Variance of ln G and B that comes from the other images' scales: inverse of F less that of its diagonal blocks.

    Parameters
    ----------
    measured:
        Spots of all images.
    belief:
        Intensities as they are believed in the end, with the variance that they had without the images.
    """
    if measured.images > MOST_IMAGES:
        return np.zeros((measured.images, 2))
    design, told = _design(measured)
    joint = _information(measured, design, told, belief.mean, _common(measured, told, belief.variance))
    joint = joint + _BROAD * np.eye(len(joint))
    blocks = np.stack([joint[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] for k in range(measured.images)])
    alone = np.linalg.inv(blocks)
    together = np.diag(np.linalg.inv(joint)).reshape(measured.images, 2)
    added: np.ndarray = np.maximum(together - np.einsum("kii->ki", alone), 0.0)
    return added


def _design(measured: Measured) -> tuple[sparse.csr_array, Float[np.ndarray, "spot"]]:
    """X, and S^2 / sigma^2 of each spot."""
    rows, count = np.arange(len(measured.factor)), len(measured.factor)
    values = np.concatenate([np.ones(count), -measured.inverse_d2 / 4])
    columns = np.concatenate([2 * measured.image, 2 * measured.image + 1])
    design = sparse.csr_array((values, (np.tile(rows, 2), columns)), shape=(count, 2 * measured.images))
    return design, measured.factor**2 / measured.sigma**2


def _common(
    measured: Measured, told: Float[np.ndarray, "spot"], variance: Float[np.ndarray, "unique"]
) -> Float[np.ndarray, "unique"]:
    """c of each intensity, 1 / (1 / v + sum of S^2 / sigma^2)."""
    known = np.bincount(measured.unique, told, len(variance))
    finite = np.where(np.isfinite(variance), variance, 0.0)
    return np.where(np.isfinite(variance), finite / (1 + finite * known), 1 / np.maximum(known, 1e-300))


def _information(
    measured: Measured,
    design: sparse.csr_array,
    told: Float[np.ndarray, "spot"],
    mean: Float[np.ndarray, "unique"],
    common: Float[np.ndarray, "unique"],
) -> Float[np.ndarray, "number number"]:
    """F."""
    expected = mean[measured.unique]
    rows = np.arange(len(told))
    group = sparse.csr_array((told * expected, (measured.unique, rows)), shape=(len(mean), len(told)))
    together = group @ design
    own = design.T @ design.multiply((told * expected**2)[:, None])
    found: np.ndarray = (own - together.T @ together.multiply(common[:, None])).toarray()
    return found
