"""What follows from a model's parameters: radius of gyration and volume of the mean particle."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.saxs.fit.problem import Problem
from madpipe.saxs.intensities import contrasts_of
from madpipe.saxs.model import Term

UNITS = {"radius_of_gyration": "angstrom", "volume": "angstrom^3"}


def derived_names(problem: Problem) -> list[str]:
    """Names of what follows from the parameters, with the terms' prefixes."""
    behind = [f"[{number + 1}]" for number in range(len(problem.curves))] if problem.own else [""]
    return [
        term.prefix + name + end for end in behind for term in problem.model.terms if _has_size(term) for name in UNITS
    ]


def derived(problem: Problem, numbers: Float[Tensor, "number place"]) -> Float[Tensor, "derived place"]:
    """Radius of gyration [angstrom] and volume [angstrom^3] of each term's mean particle, in the names' order.

    Without a spread the radius is Guinier's; a spread makes that one larger, for large particles scatter more.
    """
    every = problem.values(numbers)
    found: list[Tensor] = []
    seen = [problem.of_curve(every, number) for number in range(len(problem.curves) if problem.own else 1)]
    for values, term in product(seen, problem.model.terms):
        if not _has_size(term) or not isinstance(term.shape, FormFactor):
            continue
        lengths = torch.stack([values[term.prefix + one.name] for one in term.shape.lengths], dim=1)
        contrasts = contrasts_of(term, values, problem.contrasts)
        found += [term.shape.radius_of_gyration(lengths, contrasts), term.shape.outer_volume(lengths)]
    return torch.stack(found) if found else numbers.new_zeros(0, numbers.shape[1])


def derived_slopes(problem: Problem, numbers: Float[Tensor, "number"]) -> Float[Tensor, "derived number"]:
    """Derivatives of what :func:`derived` gives by the free numbers."""
    if not derived_names(problem) or not len(numbers):
        return numbers.new_zeros(len(derived_names(problem)), len(numbers))
    place = numbers.clone().requires_grad_()
    found = derived(problem, place[:, None])[:, 0]
    rows = [
        torch.autograd.grad(one, place, retain_graph=True, allow_unused=True, materialize_grads=True)[0]
        for one in found
    ]
    return torch.stack(rows)


def _has_size(term: Term) -> bool:
    """Whether a term's particle has an end in every direction."""
    return isinstance(term.shape, FormFactor) and not term.shape.is_sheet
