r"""What all images' scales have in common, which their mean takes away.

Stated errors of ln G and B are those of an image by itself: what all images share, R0 and what the reference or
Wilson's law leaves open, is in each of them. Found less true is known about its mean over the images alone, where it is
not. With the covariance C of all images' scales, intensities integrated out, and P = 1 - 1 1' / n over the good images,

.. math::
    \sigma_k' = \sigma_k \sqrt{(P C P)_{kk} / C_{kk}}, \qquad
    C^{-1} = X' E X - \sum_h c_h (X_h' g_h)(X_h' g_h)', \quad c_h = \frac{v_h}{1 + v_h \sum_k S_k^2 / \sigma_k^2},
    \quad g_k = S_k^2 I_h / \sigma_k^2, \quad e_k = S_k^2 I_h^2 / \sigma_k^2

with rows of X of (1, -1 / 2 d^2) in the columns of the spot's image, and d ln S / d ln R0 = 2 eps^2 R0^2 / R^4 in the
last. Turns and R1 are left out: they move ln G and B little.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float
from scipy import sparse

from madpipe.stills.integrate.methods import METHODS
from madpipe.stills.integrate.settings import MethodName
from madpipe.stills.records import Integrated

_MOST_IMAGES = 1000  # beyond, a mean over the images is known too well to matter
_BROAD = 1e-6  # information that keeps what nothing tells finite


@dataclass(frozen=True)
class RelativeErrors:
    """Standard errors of what an image's scale is beside the mean of all good ones."""

    ln_scale: Float[np.ndarray, "image"]
    wilson_b: Float[np.ndarray, "image"]  # [angstrom^2]


def relative_errors(integrated: Integrated) -> RelativeErrors:
    """Stated errors of ln G and B, less what is common to all good images.

    Parameters
    ----------
    integrated:
        With its tables; images that are not good have the error of an image beside the mean of the good ones.
    """
    table = integrated.tables()[1]
    count, good = len(table.good), table.good > 0
    if count > _MOST_IMAGES or good.sum() < 2:
        return RelativeErrors(table.ln_scale_errors, table.wilson_b_errors)
    whole = np.linalg.inv(_information(integrated))[: 2 * count, : 2 * count].reshape(count, 2, count, 2)
    about = np.eye(count) - good / good.sum()
    shares = []
    for number in range(2):
        part = whole[:, number, :, number]
        left = np.einsum("ki,ij,kj->k", about, part, about)
        shares.append(np.sqrt(np.clip(left / np.diag(part), 0.0, 1.0)))
    return RelativeErrors(table.ln_scale_errors * shares[0], table.wilson_b_errors * shares[1])


def _information(integrated: Integrated) -> Float[np.ndarray, "number number"]:
    """Inverse of C, with ln R0 as the last number."""
    spots, _, intensities, _ = integrated.tables()
    sigma = np.hypot(spots.photon_errors, integrated.model_error * spots.expected)
    told = (spots.factor / sigma) ** 2 * (spots.outlier == 0)
    variance = intensities.prior_sd**2 * METHODS[cast(MethodName, integrated.method)].doubts
    known = np.bincount(spots.unique, told, len(variance))
    common = variance / (1 + variance * known)
    expected = intensities.mean[spots.unique]
    design = _design(integrated)
    rows = np.arange(len(told))
    group = sparse.csr_array((told * expected, (spots.unique, rows)), shape=(len(variance), len(told)))
    together = group @ design
    own = design.T @ design.multiply((told * expected**2)[:, None])
    found: np.ndarray = (own - together.T @ together.multiply(common[:, None])).toarray()
    return found + _BROAD * np.eye(len(found))


def _design(integrated: Integrated) -> sparse.csr_array:
    """X."""
    spots, table, _, instrument = integrated.tables()
    rows, count = np.arange(len(spots.image)), len(table.good)
    fitted = instrument.errors[0] > 0
    ln_p = np.log(np.maximum(spots.partiality, 1e-300))
    excitation2 = np.maximum(spots.excitation**2, 1e-30)
    by_radius = 2 * ln_p**2 * np.exp(2 * instrument.values[0]) / excitation2 * fitted
    values = np.concatenate([np.ones(len(rows)), -spots.inverse_d2 / 2, by_radius])
    columns = np.concatenate([2 * spots.image, 2 * spots.image + 1, np.full(len(rows), 2 * count)])
    return sparse.csr_array((values, (np.tile(rows, 3), columns)), shape=(len(rows), 2 * count + 1))
