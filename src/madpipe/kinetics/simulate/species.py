"""Curves of species written apart from the form factors of the fit: spheres, core-shell spheres and coils, I(0) = 1."""

import numpy as np
from jaxtyping import Float

_Curve = Float[np.ndarray, " q"]
_SMALL = 1e-3  # of q R: below it the first terms of the series are exact to rounding


def sphere_amplitude(q: _Curve, radius: float) -> _Curve:
    """Amplitude of a homogeneous sphere, 1 at q = 0: 3 (sin x - x cos x) / x^3."""
    x = q * radius
    safe = np.where(x > _SMALL, x, 1.0)
    return np.where(x > _SMALL, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3, 1 - x**2 / 10)


def sphere(q: _Curve, radius: float, spread: float = 0.0) -> _Curve:
    """Spheres of a Gaussian distribution of radii: ``spread`` is its standard deviation over the mean [1]."""
    return core_shell(q, radius, 0.0, 1.0, spread)


def core_shell(q: _Curve, radius: float, shell: float, shell_contrast: float, spread: float = 0.0) -> _Curve:
    """Core-shell spheres; the core's contrast is 1, its radius is spread, the shell is not.

    Parameters
    ----------
    radius, shell:
        Of the core, and the shell's thickness [angstrom].
    shell_contrast:
        Over that of the core [1].
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(21 if spread > 0 else 1)
    total, norm = np.zeros_like(q), 0.0
    for node, weight in zip(nodes, weights, strict=True):
        inner = radius * max(1 + spread * node, 0.05)
        outer = inner + shell
        of_core, of_all = (1 - shell_contrast) * inner**3, shell_contrast * outer**3
        total += weight * (of_core * sphere_amplitude(q, inner) + of_all * sphere_amplitude(q, outer)) ** 2
        norm += weight * (of_core + of_all) ** 2
    return total / norm


def coil(q: _Curve, radius_of_gyration: float) -> _Curve:
    """Gaussian coil: 2 (exp(-x) + x - 1) / x^2, x = (q Rg)^2.

    References
    ----------
    Debye, J. Phys. Colloid Chem. 51, 18 (1947).
    """
    x = (q * radius_of_gyration) ** 2
    safe = np.where(x > _SMALL, x, 1.0)
    return np.where(x > _SMALL, 2 * (np.expm1(-safe) + safe) / safe**2, 1 - x / 3)
