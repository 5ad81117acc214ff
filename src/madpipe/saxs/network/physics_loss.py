"""An improvement under test: the curve of the predicted lengths, by the form factors, beside that of the true ones."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.saxs.network.classes import CLASSES, ShapeClass
from madpipe.saxs.network.design import Answer, ShapeNetwork
from madpipe.saxs.network.simulate import Example

_COMPARED = 8  # curves of a batch
_POINTS = 24  # of q
_MOST = 60.0  # q times length: beyond, only surfaces scatter
_FLOOR = 1e-4  # of the intensity at the first point


def curve_misfit(network: ShapeNetwork, answer: Answer, batch: Example) -> Float[Tensor, ""]:
    """Mean absolute difference of ln I between the curves of predicted and of true lengths, without spread.

    Parameters
    ----------
    network, answer:
        The likelier solution of the true class is compared.
    batch:
        Its first curves, but for classes without a form factor, are.

    Returns
    -------
    :
        [1], 0 where no curve can be compared.
    """
    values = [
        _difference(network, answer, batch, number)
        for number in range(min(_COMPARED, len(batch.label)))
        if CLASSES[int(batch.label[number])].model in FORM_FACTORS
    ]
    return torch.stack(values).mean() if values else answer.logits.sum() * 0


def _difference(network: ShapeNetwork, answer: Answer, batch: Example, number: int) -> Float[Tensor, ""]:
    """Difference for one curve."""
    place = int(batch.label[number])
    shape = CLASSES[place]
    best = int(answer.shares[number, place].argmax())
    found = answer.mean[number, place, best] * network.unit[place] + network.centre[place]
    truth = batch.truth[number]
    longest = float(truth[: len(shape.lengths)].max().exp())
    last = max(math.log(_MOST / longest), 0.5)
    q = torch.exp(torch.linspace(0.0, last, _POINTS, dtype=torch.float64))
    with torch.no_grad():
        right = _level(shape, truth.double(), q)
    return (_level(shape, found.double().clamp(max=math.log(2 * _MOST) - last), q) - right).abs().mean()


def _level(shape: ShapeClass, parameters: Float[Tensor, "parameter"], q: Float[Tensor, "q"]) -> Float[Tensor, "q"]:
    """Logarithm of the intensity over that at the first q, with a floor; q in units of the curve's first one."""
    lengths = torch.exp(parameters[: len(shape.lengths)].clamp(min=-12.0))
    contrasts = torch.ones(len(FORM_FACTORS[shape.model].regions), dtype=torch.float64)
    if "contrast_ratio" in shape.numbers:
        contrasts = torch.stack([torch.sinh(parameters[len(shape.lengths)]), contrasts[0]])
    gram = FORM_FACTORS[shape.model].gram(q, lengths[None])[0]
    square = torch.einsum("qkl,k,l->q", gram, contrasts, contrasts)
    return torch.log(square / square[0].clamp(min=1e-30) + _FLOOR)
