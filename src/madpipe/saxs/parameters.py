"""Parameters of a model: their names, units and ranges, and the free numbers that a fit moves."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Scale = Literal["ln", "logit", "asinh", "plain"]


@dataclass(frozen=True)
class Parameter:
    """A number of a model that does not enter the intensity linearly.

    Attributes
    ----------
    name:
        As a user writes it: ``radius``, ``pd``, ``contrast_ratio``.
    unit:
        ``angstrom``, or ``1``.
    default:
        Where a search begins without other knowledge.
    low, high:
        Ends of its range; a fit that comes there says so.
    scale:
        What a fit moves: its logarithm, ln(x - low) - ln(high - x), asinh x, or itself.
    """

    name: str
    unit: str
    default: float
    low: float
    high: float
    scale: Scale

    def natural(self, free: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Give values of the free numbers."""
        if self.scale == "ln":
            return torch.exp(free)
        if self.scale == "logit":
            return self.low + (self.high - self.low) * torch.sigmoid(free)
        return torch.sinh(free) if self.scale == "asinh" else free

    def free(self, natural: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Give free numbers of values, which must lie within the range."""
        if self.scale == "ln":
            return torch.log(natural)
        if self.scale == "logit":
            return torch.logit((natural - self.low) / (self.high - self.low))
        return torch.asinh(natural) if self.scale == "asinh" else natural

    def slope(self, free: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Derivative of the value by the free number."""
        if self.scale == "ln":
            return torch.exp(free)
        if self.scale == "logit":
            share = torch.sigmoid(free)
            return (self.high - self.low) * share * (1 - share)
        return torch.cosh(free) if self.scale == "asinh" else torch.ones_like(free)
