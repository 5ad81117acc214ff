"""A prediction meets the counts: the most likely unknowns under both, and what is then known of every quantity.

Everything is (component, point), in p + iq = |F_A/f0| exp(i Delta_phi) or in x, a, b = |F_T|, |F_A| cos, |F_A| sin
of Delta_phi; a symmetric 3x3 matrix is its six entries xx, xa, xb, aa, ab, bb.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.fit.belief import Belief, product
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.fit.fit import modulus_error, structure_factors
from madpipe.mad.fit.likelihood import PAIRS, curvature, gradient_of, solved
from madpipe.physics.sums import added

_SHORT = 0.5  # longest step of the search, in units of r
_NODES = 6  # of the quadrature along each axis: even, so that none lies at zero
_QUADRATURE = [
    (node, weight / math.sqrt(2 * math.pi))
    for node, weight in zip(*np.polynomial.hermite_e.hermegauss(_NODES), strict=True)
]
_PLACE = {pair: place for place, (i, j) in enumerate(PAIRS) for pair in ((i, j), (j, i))}


def refined(
    prediction: Belief,
    normal: Float[Tensor, "10 point"],
    right: Float[Tensor, "4 point"],
    steps: int,
) -> tuple[Float[Tensor, "3 point"], Float[Tensor, "6 point"]]:
    r"""Most likely unknowns under a prediction and counts of known variance, and their information; differentiable.

    .. math:: \min_\theta \tfrac12 u'Hu - g'u + \tfrac{\nu+3}{2} \ln(1 + (\theta-m)'P(\theta-m)/\nu)

    with u the linear unknowns of theta.

    Parameters
    ----------
    prediction:
        m and P, in x, a, b.
    normal, right:
        Normal matrix H, ten entries, and right-hand side g of the linear form.
    steps:
        Steps of Gauss and Newton before the last. Only the last is differentiated: at a minimum that gives the
        derivative of the minimum by the implicit function theorem, but for the curvature that Gauss's method leaves
        out.
    """

    def at(theta: Tensor) -> tuple[Tensor, Tensor]:
        u = unknowns(theta)
        left = torch.stack([added([normal[_PLACE[i, j]] * u[j] for j in range(4)]) for i in range(4)])
        weighted = prediction.precision * prediction.strength(theta)
        slope = gradient_of(right - left, theta) - product(weighted, theta - prediction.mean)
        information = torch.stack(curvature(normal, theta)) + weighted
        return information, solved(information.unbind(0), slope)[0]

    with torch.no_grad():
        theta = prediction.mean
        for _ in range(steps):
            theta = theta + shortened(at(theta)[1])
    information, step = at(theta.detach())
    return theta + shortened(step), information


def shortened(step: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Cut a step to a length that the search can trust; its direction is all that is differentiated then."""
    x, a, b = step.detach()
    length = (x * x + a * a + b * b).sqrt()
    return step * (_SHORT / length.clamp(min=_SHORT))


def moments(
    parameters: Float[Tensor, "3 point"], covariance: Float[Tensor, "6 point"]
) -> dict[str, Float[Tensor, "point"]]:
    """Mean and standard error of every quantity over a normal distribution of x, a, b.

    Parameters
    ----------
    parameters:
        Means of x, a, b.
    covariance:
        Of x, a, b.

    Returns
    -------
    :
        As :func:`madpipe.mad.fit.fit.structure_factors`, but for |F_A| and |F_N|: a modulus is never negative, so where
        its error exceeds it the mean lies above the modulus of the mean. It is the estimate of least rms error. There
        its standard deviation is half of it and would make it significant, so its error is the fit's for a modulus that
        is not: what is absent is consistent with zero.
    """
    columns = structure_factors(parameters, covariance, exact=True)
    x, a, b = parameters
    xx, xa, xb, aa, ab, bb = covariance
    parts = {"f_resonant": (a, b, aa, ab, bb), "f_normal": (x - a, -b, xx - 2 * xa + aa, ab - xb, bb)}
    for name, (real, imag, rr, ri, ii) in parts.items():
        columns[name], deviation = modulus_moments(real, imag, rr, ri, ii)
        columns[f"{name}_errors"] = modulus_error(deviation.square(), real * real + imag * imag, rr + ii)
    return columns


def modulus_moments(
    real: Float[Tensor, "point"],
    imag: Float[Tensor, "point"],
    rr: Float[Tensor, "point"],
    ri: Float[Tensor, "point"],
    ii: Float[Tensor, "point"],
) -> tuple[Float[Tensor, "point"], Float[Tensor, "point"]]:
    """Mean and standard deviation of the modulus of a normal complex number, from its parts and their covariance.

    Gauss and Hermite's quadrature along both axes of the ellipse: right to 3 % of the standard deviation where the mean
    is zero, and to rounding where it is three standard deviations or more.
    """
    half, difference = (rr + ii) / 2, (rr - ii) / 2
    length = torch.hypot(difference, ri)
    turn = torch.atan2(ri, difference) / 2
    cosine, sine = turn.cos(), turn.sin()
    first, second = (half + length).clamp(min=0).sqrt(), (half - length).clamp(min=0).sqrt()
    along, across = cosine * real + sine * imag, cosine * imag - sine * real
    mean = torch.zeros_like(real)
    for node, weight in _QUADRATURE:
        for other, share in _QUADRATURE:
            mean += weight * share * torch.hypot(along + node * first, across + other * second)
    variance = real * real + imag * imag + rr + ii - mean * mean
    return mean, variance.clamp(min=0).sqrt()
