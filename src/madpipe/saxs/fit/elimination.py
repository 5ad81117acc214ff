"""Linear parts of a model, found exactly for each value of the others: variable projection."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import lsq_linear


@dataclass(frozen=True)
class Eliminated:
    """Best factors of a curve's columns."""

    factors: Float[np.ndarray, "column"]
    free: Bool[np.ndarray, "column"]  # those that are not held at zero
    residuals: Float[np.ndarray, "q"]  # weighted: model less data, over sigma


def eliminated(
    columns: Float[np.ndarray, "q column"], data: Float[np.ndarray, "q"], positive: Bool[np.ndarray, "column"]
) -> Eliminated:
    """Find the factors of least squares, those of some columns not negative.

    Parameters
    ----------
    columns, data:
        Over sigma.
    positive:
        Which factors must not be negative.

    References
    ----------
    Golub and Pereyra, SIAM Journal on Numerical Analysis 10, 413 (1973); Stark and
    Parker, Comput. Stat. 10, 129 (1995) (bounds).
    """
    size = np.linalg.norm(columns, axis=0)
    size = np.where(size > 0, size, 1.0)
    unit = columns / size
    factors = np.linalg.lstsq(unit, data, rcond=1e-12)[0]
    if (factors[positive] < 0).any():
        least = np.where(positive, 0.0, -np.inf)
        factors = lsq_linear(unit, data, (least, np.inf), method="bvls").x
    free = ~(positive & (factors <= 0))
    return Eliminated(factors / size, free, unit @ factors - data)


def reduced(
    slopes: Float[np.ndarray, "q number"], columns: Float[np.ndarray, "q column"], residuals: Float[np.ndarray, "q"]
) -> tuple[Float[np.ndarray, "number"], Float[np.ndarray, "number number"]]:
    r"""Give slope and normal matrix of the other numbers once the factors follow them.

    .. math:: g = J^T r,\quad N = J^T (1 - P_A) J

    Parameters
    ----------
    slopes:
        J: derivatives of the weighted model with the factors held.
    columns:
        A: weighted columns whose factors are free.
    residuals:
        r.

    References
    ----------
    Kaufman, BIT 15, 49 (1975): the second term of the projection's derivative is of the order of r and left out.
    """
    if columns.shape[1]:
        basis = np.linalg.qr(columns / np.linalg.norm(columns, axis=0))[0]
        slopes_beside = slopes - basis @ (basis.T @ slopes)
    else:
        slopes_beside = slopes
    return slopes.T @ residuals, slopes_beside.T @ slopes_beside
