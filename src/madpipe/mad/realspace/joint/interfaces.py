r"""What is believed of any particle's composition: a spectrum as of sharp interfaces, as large as the object shows it.

.. math:: x - \bar x \sim N(0, Q^{-1}),\quad Q = \beta (\kappa^2 + L)^2,\quad
          s^2 = \frac{1}{8\pi\kappa\beta}\ (3\text{-}D),\quad \frac{1}{4\pi\kappa^2\beta}\ (2\text{-}D)

with L the Laplacian of the voxels inside (no flow through the surface): beyond kappa, two over the radius of a sphere
of the particle's volume, power falls as :math:`k^{-4}`, as that of bodies with sharp interfaces does (Porod). The mean
is free. The spread s is measured on the object itself: it makes the whole of its noisy composition most likely.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.mad.realspace.joint.priors import Atoms, Linear, Prior, laplacian, normal

LOOSE = 0.2  # spread before it is measured: that of a particle half of one kind and half of another
LEAST, MOST = 0.01, 0.5  # spread that a belief may have
_PARTS = 2.0  # radius over the length on which the composition varies
_ROUNDS, _SETTLED = 30, 0.02  # of the spread's search; relative change at its end
_DRAWS = 8
_PRODUCTS, _FORCING = 300, 1e-3  # of the conjugate gradients


@dataclass(frozen=True)
class Roughness:
    r"""Root of Q for a spread of one, on the voxels of a box that are inside."""

    inside: Bool[Tensor, "*box"]

    @property
    def kappa(self) -> float:
        """Over the radius of a sphere, or circle, of as many voxels [1/voxel]."""
        voxels, ndim = max(int(self.inside.sum()), 1), self.inside.ndim
        return _PARTS / ((3 * voxels / (4 * math.pi)) ** (1 / 3) if ndim == 3 else math.sqrt(voxels / math.pi))

    @property
    def scale(self) -> float:
        """Root of beta."""
        return 1 / math.sqrt(8 * math.pi * self.kappa if self.inside.ndim == 3 else 4 * math.pi * self.kappa**2)

    def root(self, values: Float[Tensor, "*box"]) -> Float[Tensor, "*box"]:
        """Multiply by the root of Q, which is symmetric and does not see the mean."""
        bonds = [(self.inside & self.inside.roll(-1, axis)).to(values) for axis in range(values.ndim)]
        mean = (values * self.inside).sum() / self.inside.sum().clamp(min=1)
        return self.scale * (self.kappa**2 * (values - mean) * self.inside + laplacian(values, bonds))

    def times(self, values: Float[Tensor, "*box"]) -> Float[Tensor, "*box"]:
        """Multiply by Q."""
        return self.root(self.root(values))


def interfaces(inside: Bool[Tensor, "*box"], spread: float) -> Prior:
    """The belief as a term of the search.

    Parameters
    ----------
    inside:
        Voxels of the particle.
    spread:
        Standard deviation of the composition about its mean [1].
    """
    rough = Roughness(inside)

    def prior(atoms: Atoms) -> Linear:
        total = torch.where(inside, atoms.sum(0), 1)
        share = torch.where(inside, atoms[0] / total, 0)
        by = torch.stack([(1 - share) / total, -share / total]) * inside  # d share / d n_A, d n_N

        def pull(change: Atoms) -> Atoms:
            return by.conj() * (rough.times((by * change).sum(0).real) / spread**2)

        def noise(generator: torch.Generator) -> Atoms:
            return by.conj() * (rough.root(normal(share.real, generator) * inside) / spread)

        slope = rough.times(share.real) / spread**2
        return Linear(0.5 * float((share.real * slope).sum()), -by.conj() * slope, pull, noise)

    return prior


def unbelieved(
    share: Float[Tensor, "*box"], errors: Float[Tensor, "*box"], inside: Bool[Tensor, "*box"], spread: float
) -> Float[Tensor, "*box"]:
    r"""What the counts alone say, from the most likely composition under a belief: :math:`y = x + \sigma^2 Q x`."""
    return share + errors.square() * Roughness(inside).times(share) / spread**2


def measured_spread(
    counted: Float[Tensor, "*box"],
    errors: Float[Tensor, "*box"],
    inside: Bool[Tensor, "*box"],
    generator: torch.Generator,
) -> float:
    r"""Spread of the composition that makes a noisy one most likely, all compositions of such a spread taken together.

    .. math:: s^2 = \frac{x' Q_1 x}{\gamma - 1},\quad \gamma = \langle \delta' N^{-1} \delta \rangle

    with x the mean and delta draws of the distribution under counts and belief, gamma the number of the composition's
    features that the counts determine, the mean among them; iterated.

    Parameters
    ----------
    counted, errors:
        A composition without the belief and its standard errors, which voxels do not share.
    generator:
        Draws delta.

    References
    ----------
    MacKay, Neural Computation 4, 415 (1992), eq. 4.9: the evidence for a regulariser's size.
    """
    rough, weight = Roughness(inside), torch.where(inside, errors.clamp(min=1e-6) ** -2, 0.0)
    spread = LOOSE
    for _ in range(_ROUNDS):

        def known(values: Tensor, width: float = spread) -> Tensor:
            return weight * values + rough.times(values) / width**2

        mean = _solved(known, weight * counted)
        features = 0.0
        for _ in range(_DRAWS):
            noise = weight.sqrt() * normal(weight, generator) + rough.root(normal(weight, generator) * inside) / spread
            features += float((weight * _solved(known, noise).square()).sum()) / _DRAWS
        square = float((mean * rough.times(mean)).sum()) / max(features - 1, 0.5)
        before, spread = spread, min(max(math.sqrt(square), LEAST), MOST)
        if abs(spread / before - 1) < _SETTLED:
            break
    return spread


def _solved(matrix: Callable[[Tensor], Tensor], right: Float[Tensor, "*box"]) -> Float[Tensor, "*box"]:
    """Conjugate gradients."""
    solution, rest = torch.zeros_like(right), right
    direction, power = rest, float(rest.square().sum())
    first = power
    for _ in range(_PRODUCTS):
        if not power > _FORCING**2 * first:
            break
        product = matrix(direction)
        step = power / float((direction * product).sum())
        solution, rest = solution + step * direction, rest - step * product
        power, before = float(rest.square().sum()), power
        direction = rest + power / before * direction
    return solution
