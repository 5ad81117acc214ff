r"""Mosaic blocks: how the domains of a crystal are turned about their mean.

The **spread** s is the rms rotation angle of the domains about their mean [radian]. A law is a set of rotation vectors
of unit spread with weights: domain m stands at exp(s [v_m]), so that the derivative with respect to s is exact. Laws:

- :func:`drawn`: domains at random, another set for each seed, as the original draws them (axis uniform on the sphere,
  angle normal: variance s^2 / 3 along each axis, kurtosis 5.4 of a component, not a Gaussian rotation vector);
- :func:`quadrature`: the same law by its moments, 78 domains, mean rotation exactly zero, nothing drawn;
- :func:`listed`: rotations that somebody gives;
- :class:`SpotKernel`: a Gaussian rotation vector of covariance s^2 T, T = 1/3 where it is the same about each axis,
  which widens a Gaussian spot and needs no domains.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from madpipe.physics.rotations import rotation, rotation_vector

_Rotations = Float[np.ndarray, "domain 3 3"]
_Vectors = Float[np.ndarray, "domain 3"]
_ANGLES = 6  # of the quadrature: exact to the eleventh moment of the angle


@dataclass(frozen=True)
class Domains:
    """Rotation vectors of unit spread."""

    vectors: _Vectors  # [1]; times the spread [radian]
    weights: Float[np.ndarray, "domain"]  # sum 1

    def rotations(self, spread: float) -> _Rotations:
        """Rotation of each domain at a spread [radian]."""
        return rotation(self.vectors * spread)

    def reach(self, spread: float) -> float:
        """Largest rotation angle [radian]."""
        return float(np.linalg.norm(self.vectors, axis=1).max() * spread)


@dataclass(frozen=True)
class SpotKernel:
    """Gaussian mosaicity: the rotation vector has the covariance s^2 times ``tensor``."""

    tensor: Float[np.ndarray, "3 3"]  # symmetric, trace 1, in the laboratory frame

    @classmethod
    def isotropic(cls) -> "SpotKernel":
        """The same about each axis: eta^2 = s^2 / 3."""
        return cls(np.eye(3) / 3)


Mosaicity = Domains | SpotKernel


def single() -> Domains:
    """One domain: a perfect crystal."""
    return Domains(np.zeros((1, 3)), np.ones(1))


def drawn(count: int, generator: torch.Generator) -> Domains:
    """Draw domains: axis uniform on the sphere, angle normal, of variance 1.

    Their realised mean and rms differ from 0 and 1 as any sample's do: :func:`realised`.
    """
    axes = torch.randn((count, 3), generator=generator, dtype=torch.float64)
    angles = torch.randn((count, 1), generator=generator, dtype=torch.float64)
    return Domains((axes / axes.norm(dim=1, keepdim=True) * angles).numpy(), np.full(count, 1 / count))


def drawn_gaussian(count: int, generator: torch.Generator) -> Domains:
    """Draw domains whose rotation vector is Gaussian, the same about each axis, rms angle 1."""
    vectors = torch.randn((count, 3), generator=generator, dtype=torch.float64) / math.sqrt(3)
    return Domains(vectors.numpy(), np.full(count, 1 / count))


def quadrature() -> Domains:
    """Thirteen axes, those of the 26-point Lebedev rule, times six Gauss-Hermite angles: 78 domains.

    The axes integrate polynomials of degree 7 over the sphere exactly. Each axis meets each angle and its opposite, so
    that the mean rotation is zero to the last bit, and the rms angle is 1.

    References
    ----------
    Lebedev, USSR Comput. Math. Math. Phys. 16, 10 (1976) (weights 1/21, 4/105, 9/280 of each of 6, 12, 8 points).
    """
    corners = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)], dtype=float)
    axes = corners[len(corners) // 2 + 1 :]  # one of each pair
    order = np.square(axes).sum(1).astype(int)
    weights = np.array([0, 2 / 21, 8 / 105, 9 / 140])[order]
    angles, of_angle = np.polynomial.hermite_e.hermegauss(_ANGLES)
    unit = axes / np.sqrt(order)[:, None]
    vectors = (unit[:, None] * angles[:, None]).reshape(-1, 3)
    return Domains(vectors, np.outer(weights, of_angle / of_angle.sum()).ravel())


def listed(rotations: _Rotations) -> Domains:
    """Domains at rotations that are given, all of one weight; they stand as given at a spread of 1 radian."""
    return Domains(rotation_vector(rotations), np.full(len(rotations), 1 / len(rotations)))


def realised(domains: Domains, spread: float) -> tuple[Float[np.ndarray, "3"], float]:
    """Mean rotation vector, and rms rotation angle about it, that domains really have [radian].

    The mean is that of the rotation group: the rotation about which the weighted sum of rotation vectors is zero.
    """
    mean, stand = np.zeros(3), domains.rotations(spread)
    for _ in range(5):
        about = rotation_vector(rotation(-mean) @ stand)
        mean = rotation_vector(rotation(mean) @ rotation(domains.weights @ about))
    about = rotation_vector(rotation(-mean) @ stand)
    return mean, float(np.sqrt(domains.weights @ np.square(about).sum(1)))


LAWS: dict[str, Callable[[], Mosaicity]] = {  # that need nothing drawn
    "single": single,
    "quadrature": quadrature,
    "kernel": SpotKernel.isotropic,
}
