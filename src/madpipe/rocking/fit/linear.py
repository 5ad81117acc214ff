"""A rocking curve linear in the strain about an answer: so cheap that all layers which explain it can be looked for.

Near an answer the counts change almost linearly with the strain of each sublayer, but not with the seven parameters:
quite different bells can add up to nearly one profile, and phases that L2 sets leave minima beside each other. With the
derivatives by strain at hand, chi-square of any layer costs one product of a small matrix, without diffraction:

    chi^2(p) = |r - A (S(p) - S_0)|^2 + prior,

r the weighted deviations and A the weighted derivatives, both made orthogonal to those by scale, background and offset,
S(p) the strain in the middle of every sublayer.
"""

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.derivatives import along
from madpipe.rocking import forward
from madpipe.rocking.fit.search import Solution, logistic_roots
from madpipe.rocking.forward import GAUSS, Layers
from madpipe.rocking.prior import LEAST_STRAIN
from madpipe.rocking.profiles import Implanted, from_free, implanted_strain, implanted_strain_slopes, ln_volume
from madpipe.rocking.records import Curve

_BEYOND = 1.03  # depth of the sublayers over the layer's
_ITERATIONS = 20  # of Levenberg and Marquardt's method
_DAMPING = (1e-2, 1e-6, 1e6)  # at first, least, most
_GAIN = 0.02  # of chi-square in an iteration, below which the search ends
_LARGEST_STEP = 2.0  # of a free number

_Free = Float[Tensor, "layer 7"]


@dataclass(frozen=True)
class Linear:
    """Chi-square of many layers at once."""

    size: float  # of a sublayer [angstrom]
    depth: Float[Tensor, "strain"]  # of the sublayers' middles [angstrom]
    root: Float[Tensor, "strain strain"]  # triangular: root^T root is the information on the strain
    aim: Float[Tensor, "strain"]  # root (S - S_0) that would explain all that can be explained
    strain: Float[Tensor, "strain"]  # S_0
    rest: float  # chi-square that no strain explains

    def strains(self, free: _Free) -> Float[Tensor, "layer strain"]:
        """Strain in the sublayers of layers; the bells end within one at L1 and L2, smoothly in them."""
        values = from_free(free.T)[..., None]
        strain = implanted_strain(self.depth.expand(len(free), -1), values) * (self.depth < values[2])
        for end in (values[2], values[5]):
            inside = ((end - self.depth) / self.size + 0.5).clamp(0, 1)
            strain = strain + LEAST_STRAIN * (inside - (self.depth < end).to(strain.dtype))
        return strain

    def chi2(self, free: _Free) -> Float[Tensor, "layer"]:
        """Chi-square of layers, scale, background and offset the best for each."""
        return (self._off(free) ** 2).sum(1) + self.rest

    def deviance(self, free: _Free) -> Float[Tensor, "layer"]:
        """Chi-square and prior of layers."""
        prior, _ = _prior_roots(free)
        return self.chi2(free) + (prior**2).sum(1) - 2 * ln_volume(free.T)

    def minima(
        self, free: _Free, moving: int = 7, iterations: int = _ITERATIONS
    ) -> tuple[_Free, Float[Tensor, "layer"]]:
        """Search the nearest minimum from each layer: Levenberg and Marquardt's method, all at once.

        Parameters
        ----------
        free:
            Where to start.
        moving:
            How many free numbers are searched; the last ones, Rp2 or L2 and Rp2, are held.
        iterations:
            At most.
        """
        damping = torch.full((len(free),), _DAMPING[0], dtype=free.dtype)
        best = self.deviance(free)
        held = free[:, moving:]
        for _ in range(iterations):
            off, slopes = self.roots(free, moving)
            normal = slopes.transpose(1, 2) @ slopes
            scale = torch.diag_embed(torch.diagonal(normal, dim1=1, dim2=2) + 1e-6)
            wanted = (slopes.transpose(1, 2) @ off[..., None])[..., 0]
            step = torch.linalg.solve(normal + damping[:, None, None] * scale, -wanted)
            tried = torch.cat([free[:, :moving] + step.clamp(-_LARGEST_STEP, _LARGEST_STEP), held], 1)
            value = self.deviance(tried)
            better = value < best
            gain = best - value
            free, best = torch.where(better[:, None], tried, free), torch.where(better, value, best)
            if not bool((better & (gain > _GAIN)).any()):
                break
            damping = (damping * torch.where(better, 0.2, 5.0)).clamp(*_DAMPING[1:])
        return free, best

    def roots(
        self, free: _Free, moving: int = 7
    ) -> tuple[Float[Tensor, "layer root"], Float[Tensor, "layer root moving"]]:
        """Roots of the deviance's parts and their derivatives by the first free numbers."""
        slopes = (self._slopes(free, moving) @ self.root.T).permute(1, 2, 0)
        prior, prior_slopes = _prior_roots(free)
        of_prior = torch.diag_embed(prior_slopes)[:, :, :moving]
        return torch.cat([self._off(free), prior], 1), torch.cat([slopes, of_prior], 1)

    def _off(self, free: _Free) -> Float[Tensor, "layer strain"]:
        """What layers leave unexplained, in standard errors."""
        return (self.strains(free) - self.strain) @ self.root.T - self.aim

    def _slopes(self, free: _Free, moving: int) -> Float[Tensor, "moving layer strain"]:
        """Derivatives of :meth:`strains` by the first free numbers."""
        count = len(free)
        directions = torch.eye(7, dtype=free.dtype)[:moving].repeat_interleave(count, dim=0)
        values, (by_free,) = along(lambda every: [from_free(every.T).T], free.repeat(moving, 1), directions)
        layers = values[0][:count].T[..., None]
        by_value = implanted_strain_slopes(self.depth.expand(count, -1), layers) * (self.depth < layers[2])
        for place in (2, 5):
            inside = ((layers[place] - self.depth).abs() < self.size / 2).to(free.dtype)
            by_value[place] += LEAST_STRAIN / self.size * inside
        return torch.einsum("vns,mnv->mns", by_value, by_free.view(moving, count, 7))


def _prior_roots(free: _Free) -> tuple[_Free, _Free]:
    """Signed roots of the prior's deviance of layers, and their derivatives."""
    roots, slopes = logistic_roots(free.numpy())
    return torch.from_numpy(roots), torch.from_numpy(slopes)


def linearised(curve: Curve, solution: Solution) -> Linear:
    """Make a curve linear in the strain about an answer."""
    model = solution.model
    free, levels = model.split(solution.numbers)
    values = from_free(free)
    step = float(cast("Implanted", model.profile).step)
    count = math.ceil(_BEYOND * float(values[2]) / step)
    size = _BEYOND * float(values[2]) / count
    middle = (torch.arange(count, dtype=torch.float64) + 0.5) * size
    both = middle[:, None] + size * torch.tensor([-GAUSS, GAUSS], dtype=torch.float64)
    strain = implanted_strain(both, values) * (both < values[2])
    layers = Layers(np.full(count, size), strain.numpy(), np.ones(count))
    _, by = forward.reflectivity_with_derivatives(model.shifted(levels), layers, model.reflection)
    slopes = math.exp(levels[0]) * model.seen(by.by_strain.sum(1).T, levels)
    error = np.sqrt(solution.variance)
    off = (curve.data - solution.expected) / error
    beside, _ = np.linalg.qr(solution.jacobian[:, len(free) :] / error[:, None])
    matrix = slopes / error[:, None]
    matrix -= beside @ (beside.T @ matrix)
    off = off - beside @ (beside.T @ off)
    unit, root = np.linalg.qr(matrix)
    aim = unit.T @ off
    rest = float(off @ off - aim @ aim)
    about = Linear(size, middle, torch.from_numpy(root), torch.from_numpy(aim), torch.zeros_like(middle), rest)
    return replace(about, strain=about.strains(free[None])[0])
