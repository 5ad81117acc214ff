"""Relaxation rates of a linear scheme: what exponentials the series holds, whatever the single rates are."""

import numpy as np
from jaxtyping import Float

from madpipe.kinetics.schemes.scheme import Scheme

_STEP = 1e-5
_STILL = 1e-12  # of the largest: eigenvalues below it are the equilibrium's


def relaxation_of(
    scheme: Scheme, logs: Float[np.ndarray, " parameter"], covariance: Float[np.ndarray, "parameter parameter"]
) -> tuple[Float[np.ndarray, " mode"], Float[np.ndarray, " mode"]]:
    """Give the moduli of the rate matrix's eigenvalues, the fastest first, and the errors of their logarithms.

    Empty where the scheme is not linear. Of A<->B, whose curves are free, the data tell k1 + k-1 alone.

    Parameters
    ----------
    logs, covariance:
        Of ln k.
    """
    if not scheme.is_linear:
        return np.zeros(0), np.zeros(0)
    here = _moduli(scheme, logs)
    slopes = np.zeros((len(here), len(logs)))
    for place in range(len(logs)):
        step = _STEP * (np.arange(len(logs)) == place)
        slopes[:, place] = (np.log(_moduli(scheme, logs + step)) - np.log(_moduli(scheme, logs - step))) / (2 * _STEP)
    return here, np.sqrt(np.maximum(np.einsum("mp,pr,mr->m", slopes, covariance, slopes), 0.0))


def _moduli(scheme: Scheme, logs: np.ndarray) -> np.ndarray:
    """As many moduli, the largest first, as there are states that can change."""
    matrix = np.zeros((len(scheme.states),) * 2)
    for rate, one in zip(np.exp(logs), scheme.reactions, strict=True):
        source, target = one.reactants[0][0], one.products[0][0]
        matrix[target, source] += rate
        matrix[source, source] -= rate
    found = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]
    changing: np.ndarray = found[found > _STILL * found[0]]
    return changing
