"""Which other layers explain a curve as well, and how likely each is."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.runtime import counted
from madpipe.rocking.fit.draws import Samples, sampled
from madpipe.rocking.fit.linear import linearised
from madpipe.rocking.fit.search import Solution, minimise
from madpipe.rocking.records import Curve

_STARTS = 48  # of the search for minima of the linear curve
_SPREAD = (1.0, 1.0, 0.1, 0.1, 1.0)  # of their free numbers about the answer, but for L2 and Rp2, which go anywhere
_DISTINCT = 0.15  # of a free number, between two minima
_TRIED = 3  # minima of the linear curve that are searched further with the exact one
_EVALUATIONS = 6  # in each of these
_WORTH = 0.5  # of deviance, that is
_LIKELY = 20.0  # of deviance above the least, beyond which a minimum is left out
_VALLEYS = 96  # of the posterior's starts, at as many values of Rp2
_REACHED = 40.0  # of deviance above the least, within which they are drawn from


def explored(curve: Curve, answer: Solution, rounds: int, generator: torch.Generator) -> Solution:
    """Look for a better answer among the layers whose strain explains the curve as well.

    Parameters
    ----------
    curve, answer:
        Counts, and where a search ended.
    rounds:
        At most so many times; each starts where the last one found something.
    generator:
        Draws where to look.
    """
    with counted("other layers", rounds * _TRIED * _EVALUATIONS):
        for _ in range(rounds):
            best = answer
            for free in _minima(curve, answer, generator)[:_TRIED]:
                start = np.concatenate([free.numpy(), answer.numbers[free.numel() :]])
                found = minimise(answer.model, curve, start, _EVALUATIONS)
                if found.deviance < best.deviance:
                    best = replace(found, starts=answer.starts)
            gain, answer = answer.deviance - best.deviance, best
            if gain < _WORTH:
                break
    return answer


def posterior(curve: Curve, answer: Solution, count: int, generator: torch.Generator) -> Samples:
    """Draw layers from the posterior of a curve, from all its valleys; see :func:`sampled`."""
    linear = linearised(curve, answer)
    start = _around(answer, _VALLEYS, generator)
    places = (torch.randperm(_VALLEYS, generator=generator) + 0.5) / _VALLEYS
    start[1:, 6] = torch.logit(places.double())[1:]
    found, values = linear.minima(start, 6)
    return sampled(linear, found[values < values.min() + _REACHED], count, generator)


def _minima(curve: Curve, answer: Solution, generator: torch.Generator) -> Float[Tensor, "layer 7"]:
    """Minima of the curve that is linear about an answer, the least first, none likely beside it left out."""
    found, values = linearised(curve, answer).minima(_around(answer, _STARTS, generator))
    kept: list[int] = []
    for number in torch.argsort(values).tolist():
        far = all(float((found[number] - found[other]).abs().max()) > _DISTINCT for other in kept)
        if far and values[number] < values.min() + _LIKELY:
            kept.append(number)
    return found[kept]


def _around(answer: Solution, count: int, generator: torch.Generator) -> Float[Tensor, "layer 7"]:
    """The answer, and layers about it, L2 and Rp2 anywhere."""
    spread = torch.tensor(_SPREAD, dtype=torch.float64)
    middle = torch.from_numpy(answer.numbers[:7])
    start = middle.repeat(count, 1)
    start[:, :5] += spread * torch.randn(count, 5, generator=generator, dtype=torch.float64)
    start[:, 5:] = torch.logit(torch.rand(count, 2, generator=generator, dtype=torch.float64), eps=0.02)
    start[0] = middle
    return start
