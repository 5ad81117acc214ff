"""Intensities without regions: chains, fractals and laws of power, each scaled so that one linear factor remains."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.scattering.bessel_ratios import ball_amplitude, slab_amplitude

Column = Float[Tensor, "batch 1"]
Curve = Float[Tensor, "batch q"]
_SMALL = 0.03  # of q^2 Rg^2: below it the series of Debye's function
_BEND = 6.0**0.5  # of Beaucage's error function


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter of an empirical intensity.

    Attributes
    ----------
    name:
        Its name, as a user writes it.
    unit:
        angstrom, or 1.
    default:
        In that unit.
    low, high:
        Bounds for fits and simulations.
    """

    name: str
    unit: str
    default: float
    low: float
    high: float


@dataclass(frozen=True)
class Empirical:
    """An intensity known up to a factor.

    Attributes
    ----------
    name:
        Key of the registry.
    parameters:
        What the columns of `parameters` mean, in order.
    law:
        Intensity [1] of q (1, q) and of each parameter (batch, 1).
    """

    name: str
    parameters: tuple[ParameterSpec, ...]
    law: Callable[..., Tensor]

    def intensity(
        self, q: Float[Tensor, "q"], parameters: Float[Tensor, "batch parameter"]
    ) -> Float[Tensor, "batch q"]:
        """Intensity up to a factor.

        Parameters
        ----------
        q:
            Wave numbers, > 0 [1/angstrom].
        parameters:
            As the attribute `parameters` names them.

        Returns
        -------
        :
            [1]; differentiable with respect to the parameters.
        """
        return self.law(q[None], *parameters[:, None].unbind(-1))


def debye(squared: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    r"""Debye's function of an ideal chain.

    .. math:: D(y) = 2 (e^{-y} - 1 + y) / y^2

    Parameters
    ----------
    squared:
        :math:`y = q^2 R_g^2` [1].

    Returns
    -------
    :
        [1], 1 at 0.

    References
    ----------
    Debye, J. Phys. Colloid Chem. 51, 18 (1947).
    """
    near = squared < _SMALL
    y = torch.where(near, squared, 0.0)
    series = 1 - y / 3 * (1 - y / 4 * (1 - y / 5 * (1 - y / 6 * (1 - y / 7 * (1 - y / 8)))))
    far = torch.where(near, 1.0, squared)
    return torch.where(near, series, 2 * (torch.expm1(-far) + far) / far**2)


def _gaussian_coil(q: Tensor, rg: Column) -> Curve:
    return debye((q * rg) ** 2)


def _mass_fractal(q: Tensor, radius: Column, dimension: Column, correlation: Column) -> Curve:
    r"""Spheres in a cluster of fractal dimension D that ends as :math:`\exp(-r/\xi)`.

    .. math:: I = P(qR) \left[ 1 + \frac{D\,\Gamma(D-1)}{(qR)^D} \frac{\sin((D-1) \arctan q\xi)}
              {(1 + 1/(q\xi)^2)^{(D-1)/2}} \right]

    References
    ----------
    Teixeira, J. Appl. Cryst. 21, 781 (1988), eq. 15.
    """
    phase = torch.atan(q * correlation)
    turn = phase * slab_amplitude((dimension - 1) * phase)  # sin((D-1) phase) / (D-1), also at D = 1
    cut = (q * correlation) ** (dimension - 1) * (1 + (q * correlation) ** 2) ** ((1 - dimension) / 2)
    cluster = torch.lgamma(dimension + 1).exp() * turn * cut / (q * radius) ** dimension
    return ball_amplitude(q * radius) ** 2 * (1 + cluster)


def _power_law(q: Tensor, exponent: Column) -> Curve:
    """Power of q in 1/angstrom."""
    return q**-exponent


def _guinier_porod(q: Tensor, rg: Column, dimension: Column, exponent: Column) -> Curve:
    r"""Guinier's law that goes over into a power law, with one slope where they meet.

    .. math:: I = q^{-s} e^{-q^2 R_g^2/(3-s)}, \quad q \le q_1 = \frac{1}{R_g} \sqrt{(m-s)(3-s)/2}; \qquad
              I = q^{-m} e^{-(m-s)/2} q_1^{m-s}, \quad q \ge q_1

    References
    ----------
    Hammouda, J. Appl. Cryst. 43, 716 (2010).
    """
    half = (exponent - dimension) / 2
    meeting = (half * (3 - dimension)).sqrt() / rg
    inner = q**-dimension * torch.exp(-((torch.minimum(q, meeting) * rg) ** 2) / (3 - dimension))
    outer = q**-exponent * torch.exp(-half) * meeting ** (2 * half)
    return torch.where(q <= meeting, inner, outer)


def _beaucage(q: Tensor, rg: Column, exponent: Column, ratio: Column) -> Curve:
    r"""One level of Beaucage's unified law; levels add up as models do.

    .. math:: I = e^{-q^2 R_g^2/3} + b \left[ \frac{\mathrm{erf}^3(q R_g/\sqrt{6})}{q} \right]^P, \quad
              b = t\, \frac{P}{R_g^P} \Gamma(P/2)

    with t = 1 for a mass fractal.

    References
    ----------
    Beaucage, J. Appl. Cryst. 28, 717 (1995); Beaucage, J. Appl. Cryst. 29, 134 (1996) for b.
    """
    bent = torch.erf(q * rg / _BEND) ** 3 / (q * rg)
    return torch.exp(-((q * rg) ** 2) / 3) + ratio * exponent * torch.lgamma(exponent / 2).exp() * bent**exponent


_RG = ParameterSpec("rg", "angstrom", 60.0, 2.0, 20000.0)
_EXPONENT = ParameterSpec("exponent", "1", 4.0, 0.5, 6.0)

EMPIRICAL_LAWS = (
    Empirical("gaussian_coil", (_RG,), _gaussian_coil),
    Empirical(
        "mass_fractal",
        (
            ParameterSpec("radius", "angstrom", 10.0, 1.0, 5000.0),
            ParameterSpec("dimension", "1", 2.0, 1.0, 3.0),
            ParameterSpec("correlation_length", "angstrom", 100.0, 2.0, 50000.0),
        ),
        _mass_fractal,
    ),
    Empirical("power_law", (_EXPONENT,), _power_law),
    Empirical(
        "guinier_porod",
        (_RG, ParameterSpec("dimension", "1", 0.0, 0.0, 2.5), ParameterSpec("exponent", "1", 4.0, 2.6, 6.0)),
        _guinier_porod,
    ),
    Empirical(
        "beaucage",
        (_RG, ParameterSpec("exponent", "1", 3.0, 1.0, 4.0), ParameterSpec("porod_ratio", "1", 1.0, 1e-3, 100.0)),
        _beaucage,
    ),
)
