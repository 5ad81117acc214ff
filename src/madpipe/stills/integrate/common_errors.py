r"""What images do not know of their scales because the other images' are not known either.

An image is scaled by what the others say of its reflections; its own covariance takes their scales for known. With all
intensities integrated out the information on ln G and B of all images together is

.. math:: F = X' E X - \sum_h c_h (X_h' g_h)(X_h' g_h)', \quad c_h = \frac{v_h}{1 + v_h \sum_k S_k^2 / \sigma_k^2},
    \quad g_k = S_k^2 I_h / \sigma_k^2, \quad e_k = S_k^2 I_h^2 / \sigma_k^2

with rows x = (1, -1 / 2 d^2) of X in the columns of the spot's image and v_h the prior variance of an intensity. What
the inverse of F has beyond the inverses of its diagonal blocks is added to the variances.
"""

import numpy as np
from jaxtyping import Float
from scipy import sparse

from madpipe.stills.records import IntensityTable, SpotTable

_MOST = 4000  # numbers of all images, beyond which the matrix takes longer than the fit; images then are many
_BROAD = 1e-2  # information of priors of ln G and B, which keeps images without a common reflection finite


def neglected_variance(
    spots: SpotTable, intensities: IntensityTable, images: int, model_error: float
) -> Float[np.ndarray, "image 2"]:
    """Variance of ln G and of Wilson's B that comes from the other images' scales.

    Parameters
    ----------
    spots, intensities:
        Of the fit.
    images:
        How many.
    model_error:
        Relative error of the model, beside counting [1].
    """
    if 2 * images > _MOST:
        return np.zeros((images, 2))
    joint = _information(spots, intensities, images, model_error)
    blocks = np.stack([joint[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] for k in range(images)])
    alone = np.linalg.inv(blocks)
    together = np.diag(np.linalg.inv(joint)).reshape(images, 2)
    added: np.ndarray = np.maximum(together - np.einsum("kii->ki", alone), 0.0)
    return added


def _information(
    spots: SpotTable, intensities: IntensityTable, images: int, model_error: float
) -> Float[np.ndarray, "number number"]:
    """F, with a little of a prior."""
    use = (spots.outlier == 0) & (spots.factor > 0)
    factor, image, unique = spots.factor[use], spots.image[use], spots.unique[use]
    variance = spots.photon_errors[use] ** 2 + (model_error * spots.expected[use]) ** 2
    told = factor**2 / variance
    mean = intensities.mean[unique]
    rows = np.arange(len(factor))
    slope = -spots.inverse_d2[use] / 2
    columns = np.concatenate([2 * image, 2 * image + 1])
    design = sparse.csr_array(
        (np.concatenate([np.ones(len(factor)), slope]), (np.tile(rows, 2), columns)), shape=(len(factor), 2 * images)
    )
    group = sparse.csr_array((told * mean, (unique, rows)), shape=(len(intensities.mean), len(factor)))
    together = group @ design
    known = np.bincount(unique, told, len(intensities.mean))
    prior = intensities.prior_sd**2
    common = np.where(np.isfinite(prior), prior / (1 + np.where(np.isfinite(prior), prior, 0) * known), 0.0)
    own = design.T @ design.multiply((told * mean**2)[:, None])
    found: np.ndarray = (own - together.T @ together.multiply(common[:, None])).toarray()
    return found + _BROAD * np.eye(2 * images)
