"""Contrasts of a fitted particle against energy, and energies at which two parts of it look alike."""

from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq

from madpipe.saxs.anomalous.problem import AnomalousProblem

_BESIDE = 150.0  # that the axis reaches beyond the energies [eV]
_STEP = 1.0  # of the axis [eV], and
_MOST = 4000  # points at most
_SLOPE = 0.5  # of differences in energy [eV]


def axis_of(problem: AnomalousProblem) -> Float[np.ndarray, "axis"]:
    """Energies around those of the curves [eV]."""
    low, high = problem.dispersion.energy.min() - _BESIDE, problem.dispersion.energy.max() + _BESIDE
    low = max(low, 0.5 * problem.dispersion.energy.min())
    return np.linspace(low, high, min(int((high - low) / _STEP) + 1, _MOST))


def matches(
    problem: AnomalousProblem,
    numbers: Float[np.ndarray, "number"],
    covariance: Float[np.ndarray, "number number"],
    axis: Float[np.ndarray, "axis"],
) -> tuple[list[str], Float[np.ndarray, "match 2"]]:
    """Find where the real contrast between two regions, or of one against the solvent, vanishes.

    Parameters
    ----------
    problem:
        What was fitted.
    numbers, covariance:
        Free numbers with their errors.
    axis:
        Energies between which signs change [eV].

    Returns
    -------
    :
        Names of the pairs, true energies with the errors that densities, shares and tables leave them [eV].
    """
    along = _padded(problem, numbers, axis)
    names = [*problem.sample.regions, "solvent"]
    told, found = [], []
    for first, second in combinations(range(len(names)), 2):
        between = along[:, first] - along[:, second]
        for place in np.flatnonzero(between[:-1] * between[1:] < 0):
            energy = _root(problem, numbers, (axis[place], axis[place + 1]), first, second)
            told.append(f"{names[first]}/{names[second]}")
            found.append([energy, _error(problem, numbers, covariance, energy, first, second)])
    return told, np.array(found).reshape(-1, 2)


def _padded(problem: AnomalousProblem, numbers: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Real contrasts of regions, and 0 of the solvent behind them."""
    contrasts = problem.contrasts_of(
        torch.from_numpy(numbers), torch.from_numpy(problem.dispersion.exactly(energy))
    ).real.numpy()
    return np.column_stack([contrasts, np.zeros(len(energy))])


def _between(problem: AnomalousProblem, numbers: np.ndarray, energy: float, first: int, second: int) -> np.ndarray:
    """Real contrast between two parts at one energy."""
    both = _padded(problem, numbers, np.array([energy]))
    found: np.ndarray = both[:, first] - both[:, second]
    return found


def _root(
    problem: AnomalousProblem, numbers: np.ndarray, within: tuple[float, float], first: int, second: int
) -> float:
    """Energy between two at which the real contrast between two parts vanishes [eV]."""
    return float(brentq(lambda at: _between(problem, numbers, at, first, second)[0], *within))


def _error(
    problem: AnomalousProblem, numbers: np.ndarray, covariance: np.ndarray, energy: float, first: int, second: int
) -> float:
    """Standard deviation of a match's energy [eV]."""
    dispersion = torch.from_numpy(problem.dispersion.exactly(np.array([energy])))

    def contrast(moved: torch.Tensor) -> torch.Tensor:
        both = problem.contrasts_of(moved, dispersion).real[0]
        padded = torch.cat([both, both.new_zeros(1)])
        return padded[first] - padded[second]

    moved = torch.from_numpy(numbers)
    by_numbers = torch.autograd.functional.jacobian(contrast, moved).numpy()
    high, low = (_between(problem, numbers, energy + step, first, second)[0] for step in (_SLOPE, -_SLOPE))
    slope = (high - low) / (2 * _SLOPE)
    return float(np.sqrt(max(by_numbers @ covariance @ by_numbers, 0.0)) / max(abs(slope), 1e-300))
