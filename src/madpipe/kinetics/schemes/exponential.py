"""Exponential of a rate matrix at many times, with its derivatives, exact for equal rates too."""

import numpy as np
from jaxtyping import Float

_TERMS = 14  # of the series at a norm of at most 1/2: the first left out is below 0.5^15 / 15! = 2e-17
_NORM = 0.5


def exponential_of_rates(
    matrix: Float[np.ndarray, "state state"],
    derivatives: Float[np.ndarray, "parameter state state"],
    times: Float[np.ndarray, " time"],
) -> tuple[Float[np.ndarray, "time state state"], Float[np.ndarray, "parameter time state state"]]:
    r"""Give :math:`\exp(K t)` and its derivatives along :math:`\partial K`, for a matrix whose columns sum to zero.

    Scaling and squaring of :math:`F = \exp(K t) - 1`, as :math:`F(2t) = F (2 + F)`: rates that differ by many decades
    keep
    their digits, as 1 is not added before the end. What leaves a state is set to what arrives elsewhere after each
    squaring, so that no molecule is lost to rounding. No eigenvectors: two equal rates are no special case.

    Parameters
    ----------
    matrix:
        K, rates from the column's state to the row's [1/s].
    derivatives:
        Of K, along each parameter; their columns sum to zero [1/s].
    times:
        Not negative [s].

    References
    ----------
    Higham, Functions of Matrices (2008), section 10.3; Al-Mohy & Higham, SIAM J. Matrix Anal. Appl. 30, 1639 (2009),
    eq. 3.3 (derivatives by squaring).
    """
    largest = 2 * float(np.abs(np.diag(matrix)).max(initial=0.0)) * float(times.max(initial=0.0))
    squarings = max(0, int(np.ceil(np.log2(largest / _NORM)))) if largest > _NORM else 0
    scaled = times / 2.0**squarings
    part = matrix * scaled[:, None, None]
    slopes = derivatives[:, None] * scaled[:, None, None]
    power, power_slope = part.copy(), slopes.copy()
    total, total_slope = part.copy(), slopes.copy()
    for term in range(2, _TERMS + 1):
        power_slope = (slopes @ power + part @ power_slope) / term
        power = part @ power / term
        total += power
        total_slope += power_slope
    _conserve(total)
    _conserve(total_slope)
    for _ in range(squarings):
        total_slope = 2 * total_slope + total_slope @ total + total @ total_slope
        total = 2 * total + total @ total
        _conserve(total)
        _conserve(total_slope)
    return total + np.eye(len(matrix)), total_slope


def _conserve(matrices: np.ndarray) -> None:
    """Make the columns sum to zero by the diagonal, in place."""
    states = np.arange(matrices.shape[-1])
    matrices[..., states, states] = 0.0
    matrices[..., states, states] = -matrices.sum(axis=-2)
