r"""Porod's law and the invariant: specific surface and contrast without a model of the shape.

.. math:: I(q) = K q^{-4} + B, \qquad Q^* = \int_0^\infty q^2 (I(q) - B)\, dq

For two phases of contrast :math:`\Delta\rho` and volume fraction phi,
:math:`Q^* = 2 \pi^2 \phi (1 - \phi) \Delta\rho^2` and the surface per volume is :math:`\pi \phi (1 - \phi) K / Q^*`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from madpipe.base.errors import InputError

_FEWEST = 8  # points of a fit
_SHARE = 0.35  # of the range of ln q, its upper end, where the law is fitted without a range that was told
_GOOD_FIT = 4.0  # standard deviations of chi-square
_OTHER = 3.0  # standard errors from which the exponent is not 4
_OTHER_LEAST = 0.15  # smaller differences are of no concern
PER_CM = 1e-4  # (1e-6 / angstrom^2)^2 angstrom^3 in 1/cm


@dataclass(frozen=True)
class PorodFit:
    """Porod's constant, the background, and the invariant, with one standard error each."""

    constant: float  # K, unit of the intensity times 1/angstrom^4
    constant_error: float
    background: float  # B, unit of the intensity
    background_error: float
    exponent: float  # of a power law of free exponent in the same range
    exponent_error: float
    q_min: float  # [1/angstrom], of the range
    q_max: float
    chi2: float  # per degree of freedom
    invariant: float  # Q*, unit of the intensity times 1/angstrom^3
    invariant_error: float
    extrapolated: float  # share of the invariant that was not measured
    surface: float  # pi K / Q* [1/angstrom]: surface per volume over phi (1 - phi)
    surface_error: float
    verdict: str  # "" where Porod's law holds; else why not


def porod(
    q: Float[np.ndarray, "q"],
    intensity: Float[np.ndarray, "q"],
    sigma: Float[np.ndarray, "q"],
    q_range: tuple[float, float] | None = None,
    guinier: tuple[float, float] | None = None,
) -> PorodFit:
    """Fit Porod's law and integrate the invariant.

    Parameters
    ----------
    q:
        [1/angstrom], rising.
    intensity, sigma:
        In one unit; an infinite sigma marks a point that was not measured.
    q_range:
        Where the law is fitted [1/angstrom]; without it the upper third of the measured ln q.
    guinier:
        I(0) [unit of the intensity] and Rg [angstrom] for the part of the invariant below the first point; without them
        the intensity is taken as constant there.

    Returns
    -------
    :
        The background is taken off before the integral. Its error and that of K are in that of the invariant.

    Raises
    ------
    InputError
        Too few points in the range.

    References
    ----------
    Porod, Kolloid-Z. 124, 83 (1951). Glatter and Kratky, Small Angle X-ray Scattering (1982), pages 17 to 51.
    """
    keep = np.isfinite(sigma) & (sigma > 0)
    x, y, s = q[keep], intensity[keep], sigma[keep]
    low, high = q_range or (float(x[-1] * (x[0] / x[-1]) ** _SHARE), float(x[-1]))
    chosen = (x >= low) & (x <= high)
    if chosen.sum() < _FEWEST:
        raise InputError(
            f"Porod's law needs {_FEWEST} points between {low:.4g} and {high:.4g} / angstrom; {int(chosen.sum())} are "
            "there; choose a wider range."
        )
    x_fit, y_fit, s_fit = x[chosen], y[chosen], s[chosen]
    design = np.stack([x_fit**-4.0, np.ones_like(x_fit)], axis=1) / s_fit[:, None]
    scale = 1.0 / np.sqrt((design**2).sum(axis=0))
    covariance = np.linalg.inv((design * scale).T @ (design * scale)) * np.outer(scale, scale)
    constant, background = (covariance @ (design.T @ (y_fit / s_fit))).tolist()
    chi2 = float(((y_fit / s_fit - design @ np.array([constant, background])) ** 2).sum() / (len(x_fit) - 2))
    covariance = covariance * max(chi2, 1.0)
    exponent, exponent_error = _exponent(x_fit, y_fit, s_fit, constant, background)
    total, error, outside, gradient = _invariant(x, y, s, constant, background, covariance, guinier)
    surface = np.pi * constant / total
    variance = covariance[0, 0] / constant**2 + (error / total) ** 2 - 2 * gradient / (constant * total)
    return PorodFit(
        constant=constant,
        constant_error=float(np.sqrt(covariance[0, 0])),
        background=background,
        background_error=float(np.sqrt(covariance[1, 1])),
        exponent=exponent,
        exponent_error=exponent_error,
        q_min=float(x_fit[0]),
        q_max=float(x_fit[-1]),
        chi2=chi2,
        invariant=total,
        invariant_error=error,
        extrapolated=outside,
        surface=surface,
        surface_error=abs(surface) * float(np.sqrt(max(variance, 0.0))),
        verdict=_verdict(constant, float(np.sqrt(covariance[0, 0])), exponent, exponent_error, chi2, len(x_fit)),
    )


def _exponent(
    x: Float[np.ndarray, "q"], y: Float[np.ndarray, "q"], s: Float[np.ndarray, "q"], constant: float, background: float
) -> tuple[float, float]:
    """Exponent of a power law above a background, and its error; infinite where the data do not fix it."""
    middle = float(np.sqrt(x[0] * x[-1]))
    at_middle = max(constant / middle**4, float(np.median(s)))

    def residual(p: Float[np.ndarray, "three"]) -> Float[np.ndarray, "q"]:
        return np.asarray((at_middle * p[0] * (x / middle) ** -p[1] + p[2] * at_middle - y) / s)

    found = least_squares(residual, [1.0, 4.0, background / at_middle], bounds=([0, 0, -np.inf], [np.inf, 8, np.inf]))
    normal = found.jac.T @ found.jac
    scale = 1.0 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
    covariance = np.linalg.pinv(normal * np.outer(scale, scale), rcond=1e-13) * np.outer(scale, scale)
    chi2 = 2 * found.cost / max(len(x) - 3, 1)
    return float(found.x[1]), float(np.sqrt(covariance[1, 1] * max(chi2, 1.0)))


def _invariant(
    x: Float[np.ndarray, "q"],
    y: Float[np.ndarray, "q"],
    s: Float[np.ndarray, "q"],
    constant: float,
    background: float,
    covariance: Float[np.ndarray, "two two"],
    guinier: tuple[float, float] | None,
) -> tuple[float, float, float, float]:
    """The invariant, its error, the share that was not measured, and its covariance with K."""
    gaps = np.diff(x)
    weights = np.zeros_like(x)
    weights[:-1] += gaps / 2
    weights[1:] += gaps / 2
    measured = float((weights * x**2 * (y - background)).sum())
    above = constant / x[-1]
    if guinier is None:
        below = float(x[0] ** 3 / 3 * (y[0] - background))
    else:
        nodes, share = np.polynomial.legendre.leggauss(24)
        u = x[0] * (nodes + 1) / 2
        below = float(((share * x[0] / 2) * u**2 * (guinier[0] * np.exp(-((u * guinier[1]) ** 2) / 3))).sum())
    total = measured + above + below
    gradient = np.array([1.0 / x[-1], -(weights * x**2).sum() - (x[0] ** 3 / 3 if guinier is None else 0.0)])
    variance = float(((weights * x**2 * s) ** 2).sum() + gradient @ covariance @ gradient)
    error = float(np.sqrt(variance + (0.1 * below) ** 2))  # what lies below the first point is a guess
    return total, error, (above + below) / total, float((covariance @ gradient)[0])


def _verdict(constant: float, error: float, exponent: float, its_error: float, chi2: float, count: int) -> str:
    """Why Porod's law does not hold, in words; "" where it does."""
    if constant < 3 * error:
        return f"Porod's law needs a decay above the background; its constant is {constant:.3g}({error:.2g})"
    if abs(exponent - 4) > max(_OTHER * its_error, _OTHER_LEAST):
        return (
            f"Porod's law needs an exponent of 4; it is {exponent:.2f}({its_error:.2f}) in this range: rough surfaces, "
            "fractals, chains, or a range that begins too low"
        )
    if chi2 > 1 + _GOOD_FIT * np.sqrt(2 / (count - 2)):
        return f"Porod's law needs a chi-square near 1; it is {chi2:.2f} per point: oscillations, or errors too small"
    return ""
