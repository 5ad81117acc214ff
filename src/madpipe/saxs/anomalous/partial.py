"""Partial intensities of a fitted particle, to lay beside those that a separation finds without a model."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.scattering.contrast import charges_of, partial_intensities
from madpipe.saxs.anomalous.problem import AnomalousProblem
from madpipe.saxs.forward import PER_CM


def partial_terms(
    problem: AnomalousProblem, numbers: Float[np.ndarray, "number"], element: str
) -> Float[Tensor, "fine 4"]:
    """Partial intensities of one element on the first curve's fine axis, for phi of 1 [1/cm].

    Parameters
    ----------
    problem:
        What was fitted.
    numbers:
        Free numbers.
    element:
        The resonant one; f' and f'' of the others are those at the middle energy.
    """
    moved = torch.from_numpy(numbers)
    fine = problem.curves[0].fine
    with torch.no_grad():
        gram, volume = problem.averages(fine, moved.repeat(len(fine), 1))
    middle = np.array([float(np.median(problem.dispersion.energy))])
    own = problem.sample.elements.index(element)
    without = torch.from_numpy(problem.dispersion.exactly(middle))
    without[:, own] = 0
    once = torch.zeros_like(without)
    once[:, own] = 1.0
    normal = problem.contrasts_of(moved, without)[0]
    resonant = charges_of([element])[0] * _by_factor(problem, moved, without, once)
    return PER_CM / volume[:, None] * partial_intensities(gram, normal, resonant)


def _by_factor(problem: AnomalousProblem, moved: Tensor, without: Tensor, once: Tensor) -> Tensor:
    """Change of the contrasts for one electron more of an element, its table's factors left out."""
    shares, densities = (problem.unknowns.of_kind(kind, moved) for kind in ("share", "density"))
    more = problem.sample.contrasts(shares, densities, without + once)
    return (more - problem.sample.contrasts(shares, densities, without))[0]
