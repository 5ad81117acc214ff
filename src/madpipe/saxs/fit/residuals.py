"""Tests of residuals that no scale of the errors can pass: runs of one sign, and chi-square beyond noise."""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

NOISE = 4.0  # standard deviations of chi-square beyond its mean that no noise explains
DOUBT = 2.5  # standard deviations of chi-square, from which a model is in doubt
LEAST_CHANCE = 1e-4  # of a run of residuals of one sign


def explains(beyond: float, chance: float, noise: float = NOISE) -> bool:
    """Say whether noise may explain what a model misses.

    Parameters
    ----------
    beyond:
        From :func:`excess`.
    chance:
        Of so long a run of residuals of one sign.
    noise:
        Standard deviations of chi-square that no noise explains.
    """
    return beyond < noise and chance > LEAST_CHANCE


def explanation(beyond: float, chance: float, data: str, errors: str) -> str:
    """Say in words whether a model explains its data.

    Parameters
    ----------
    beyond, chance:
        As for :func:`explains`.
    data, errors:
        What they and their errors are called.
    """
    if beyond >= NOISE:
        return f"the model does not explain {data}: {beyond:.1f} standard deviations beyond noise"
    if chance <= LEAST_CHANCE:
        return f"the model does not explain {data}: residuals keep their sign too long (chance {chance:.1g})"
    if beyond < -NOISE:
        return f"the model explains {data}; {errors} are stated too large"
    if beyond >= DOUBT:
        return f"the model hardly explains {data}: {beyond:.1f} standard deviations beyond noise"
    return f"the model explains {data}"


def excess(deviance: float, dof: int) -> float:
    """Chi-square beyond its mean, in standard deviations of pure noise [1]; Wilson and Hilferty's cube root."""
    spread = 2 / (9 * dof)
    return float(((deviance / dof) ** (1 / 3) - (1 - spread)) / math.sqrt(spread))


def runs_probability(residuals: Float[np.ndarray, "q"]) -> float:
    """Chance that independent residuals have as few runs of one sign as these.

    Raises
    ------
    ValueError
        There are no residuals.

    References
    ----------
    Wald and Wolfowitz, Ann. Math. Stat. 11, 147 (1940), normal approximation.
    """
    if not len(residuals):
        raise ValueError("at least one residual is required; none came; keep some points")
    above = residuals > 0
    plus, minus = int(above.sum()), int((~above).sum())
    if not plus or not minus:
        return 0.5 ** (len(residuals) - 1)
    count = plus + minus
    mean = 2 * plus * minus / count + 1
    variance = (mean - 1) * (mean - 2) / max(count - 1, 1)
    runs = 1 + int((above[1:] != above[:-1]).sum())
    return float(ndtr((runs + 0.5 - mean) / math.sqrt(variance))) if variance > 0 else 1.0


def longest_run_probability(residuals: Float[np.ndarray, "q"]) -> float:
    """Chance that independent residuals have as long a run of one sign as these, as the CorMap test counts it.

    References
    ----------
    Franke, Jeffries and Svergun, Nature Methods 12, 419 (2015); Schilling, Coll. Math. J. 21, 196 (1990).
    """
    above = residuals > 0
    changes = np.flatnonzero(np.diff(above.astype(int))) + 1
    longest = int(np.diff(np.concatenate([[0], changes, [len(above)]])).max())
    return 1 - _shorter(len(above), longest)


def _shorter(count: int, length: int) -> float:
    """Chance that no run of either sign in ``count`` tosses is as long as ``length``."""
    if length <= 1:
        return 0.0
    window, total = np.zeros(length - 1), 1.0
    window[0] = 1.0  # share of sequences by the length of the run that they end with, less one
    for _ in range(count - 1):
        starts = window.sum() / 2
        window[1:] = window[:-1] / 2
        window[0] = starts
        total = float(window.sum())
    return total
