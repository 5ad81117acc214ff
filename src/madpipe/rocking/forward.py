"""The rocking curve of a strained layer on its substrate: from strain and disorder in depth to counts.

Everything here is exact in angle and strain; :mod:`madpipe.rocking.dynamical` solves the equations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from madpipe.physics.susceptibility import Susceptibility
from madpipe.rocking import dynamical

GAUSS = 0.5 / math.sqrt(3.0)  # of a layer's thickness: distance of its two Gauss points from its middle
COARSER = 2.0  # sublayers that suffice for a search, over largest_step
_COARSEST = 0.87  # distance of angles over the resolution's half width: a Gaussian's sum is then right to 1e-4
_FINEST = 12  # angles within half the substrate's own width
_GRADED = 8  # distance from the peak over the distance of angles there
_REACH = 12  # half widths that angles go beyond both ends
_Angles = Float[np.ndarray, "angle"]


@dataclass(frozen=True)
class Reflection:
    """A symmetric reflection of the unstrained crystal, and the beam's polarisation."""

    wavelength: float  # angstrom
    spacing: float  # of the unstrained lattice planes [angstrom]
    chi: Susceptibility
    sigma_share: float = 0.5  # of the beam's intensity; the rest is pi
    monochromator: float = 1.0  # share of pi's intensity that the monochromator lets through: cos^2 of its 2 theta

    @property
    def bragg(self) -> float:
        """Sine of the kinematic Bragg angle, s = lambda / 2 d."""
        return self.wavelength / (2 * self.spacing)

    @property
    def wavenumber(self) -> float:
        """k [1/angstrom]."""
        return 2 * math.pi / self.wavelength

    @cached_property
    def polarisations(self) -> tuple[tuple[float, float], ...]:
        """Weight and factor C of sigma and pi; C = cos 2 theta_B, since R is large near theta_B only."""
        pi_weight = (1 - self.sigma_share) * self.monochromator
        total = self.sigma_share + pi_weight
        both = ((self.sigma_share / total, 1.0), (pi_weight / total, abs(1 - 2 * self.bragg**2)))
        return tuple(one for one in both if one[0] > 0)

    @cached_property
    def refraction_shift(self) -> float:
        """Angle of the peak's middle above the kinematic Bragg angle: -chi_0 / sin 2 theta_B [radian]."""
        return -self.chi.chi_0.real / math.sin(2 * math.asin(self.bragg))

    @property
    def peak(self) -> float:
        """Theta of the middle of the substrate's peak [radian]."""
        return math.asin(self.bragg) + self.refraction_shift

    @cached_property
    def darwin_half_width(self) -> float:
        """Half width of total reflection of sigma by the substrate: |chi_h| / sin 2 theta_B [radian]."""
        return abs(self.chi.product) ** 0.5 / math.sin(2 * math.asin(self.bragg))


@dataclass(frozen=True)
class Layers:
    """A strained layer, cut into sublayers, top first; strain is the change of the plane spacing over it."""

    thickness: Float[np.ndarray, "layer"]  # angstrom
    strain: Float[np.ndarray, "layer 2"]  # at the two Gauss points, the upper one first
    debye_waller: Float[np.ndarray, "layer"]  # static factor, 1 in a perfect crystal, not 0


@dataclass(frozen=True)
class Derivatives:
    """Of the reflectivity, by what a sublayer is."""

    by_thickness: Float[np.ndarray, "layer angle"]
    by_strain: Float[np.ndarray, "layer 2 angle"]
    by_debye_waller: Float[np.ndarray, "layer angle"]


def reflectivity(angles: _Angles, layers: Layers, reflection: Reflection) -> _Angles:
    """Reflectivity of a layer on its substrate, both polarisations.

    Parameters
    ----------
    angles:
        theta [radian].
    layers:
        Sublayers, each thin enough that k t |chi_h| < 0.3 (a few micrometres); the strain may change within one.
    reflection:
        Crystal and beam.

    Returns
    -------
    :
        From 0 to 1.

    Raises
    ------
    ValueError
        A sublayer is too thick.
    """
    return _solve(angles, layers, reflection, False)[0]


def reflectivity_with_derivatives(
    angles: _Angles, layers: Layers, reflection: Reflection
) -> tuple[_Angles, Derivatives]:
    """Reflectivity, as :func:`reflectivity`, and its derivatives by every sublayer, by the adjoint method.

    Raises
    ------
    ValueError
        A sublayer is too thick.
    """
    value, (by_t, by_1, by_2, by_w) = _solve(angles, layers, reflection, True)
    return value, Derivatives(by_t, np.stack([by_1, by_2], axis=1), by_w)


def _solve(
    angles: _Angles, layers: Layers, reflection: Reflection, with_derivatives: bool
) -> tuple[_Angles, tuple[np.ndarray, ...]]:
    """Sum over polarisations of R, and of dR by thickness, by strain at both Gauss points, by Debye-Waller factor."""
    sines = np.sin(angles)
    kt = reflection.wavenumber * layers.thickness
    upper, lower = (reflection.bragg / (1 + layers.strain[:, place]) for place in (0, 1))
    bragg, kappa = (upper + lower) / 2, kt * (lower - upper) * (math.sqrt(3) / 6)
    chi = reflection.chi
    dynamical.require_thin(kt, abs(chi.product) ** 0.5, chi.chi_0.imag, float(sines.min()))
    table = np.stack([kt, bragg, kappa, layers.debye_waller])
    value, by = np.zeros(len(angles)), np.zeros((4, len(kt), len(angles)) if with_derivatives else 0)
    fields = np.empty((len(kt) + 1, 4, len(angles)))
    asymmetry = abs(chi.chi_h / chi.chi_minus_h)
    for weight, factor in reflection.polarisations:
        coupling = factor * np.sqrt(complex(chi.product))
        start = dynamical.substrate_ratio(sines, reflection.bragg, chi.chi_0, coupling)
        optics = (chi.chi_0.real, chi.chi_0.imag, coupling.real, coupling.imag)
        dynamical.fields(sines, table, optics, np.stack([start.real, start.imag]), fields)
        incoming, scattered = (fields[0, part] ** 2 + fields[0, part + 1] ** 2 for part in (0, 2))
        value += weight * asymmetry * scattered / incoming
        if with_derivatives:
            dynamical.sensitivities(sines, table, optics, weight * asymmetry, fields, by)
    if not with_derivatives:
        return value, ()
    by_kt, by_s, by_kappa, by_dw = by
    slope = (math.sqrt(3) / 6) * (lower - upper)
    by_t = reflection.wavenumber * (by_kt + slope[:, None] * by_kappa)
    to_kappa = ((math.sqrt(3) / 6) * kt)[:, None] * by_kappa
    by_1 = (0.5 * by_s - to_kappa) * (-(upper**2) / reflection.bragg)[:, None]
    by_2 = (0.5 * by_s + to_kappa) * (-(lower**2) / reflection.bragg)[:, None]
    return value, (by_t, by_1, by_2, by_dw)


def largest_step(angles: _Angles, reflection: Reflection, largest_strain: float) -> float:
    """Thickest sublayer that keeps log10 of the reflectivity right to about 1e-3 [angstrom].

    A sublayer must not let the phase 2 k t |g - s| turn by more than 3.6: beyond it strain that changes within the
    sublayer is sampled too coarsely (on 60 implanted profiles 8e-4 at most there, 0.2 at twice the thickness; sublayers
    of constant strain would need a tenth).

    Parameters
    ----------
    angles:
        theta [radian].
    reflection:
        Crystal and beam.
    largest_strain:
        Of the layer.
    """
    ends = np.sin(angles[[0, -1]])
    strained = [reflection.bragg, reflection.bragg / (1 + largest_strain)]
    return 3.6 / (2 * reflection.wavenumber * max(abs(g - s) for g in ends for s in strained))


class _Reflectivity(torch.autograd.Function):
    """Reflectivity with the adjoint as its derivative."""

    @staticmethod
    def forward(ctx, thickness, strain, debye_waller, angles, reflection):  # type: ignore[no-untyped-def]
        layers = Layers(*(tensor.detach().numpy() for tensor in (thickness, strain, debye_waller)))
        value, derivatives = reflectivity_with_derivatives(angles, layers, reflection)
        ctx.derivatives = derivatives
        return torch.from_numpy(value)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        by = ctx.derivatives
        found = (one @ gradient.numpy() for one in (by.by_thickness, by.by_strain, by.by_debye_waller))
        return *(torch.from_numpy(one) for one in found), None, None


def differentiable_reflectivity(
    thickness: Float[Tensor, "layer"],
    strain: Float[Tensor, "layer 2"],
    debye_waller: Float[Tensor, "layer"],
    angles: _Angles,
    reflection: Reflection,
) -> Float[Tensor, "angle"]:
    """Reflectivity of :func:`reflectivity` for autograd, in double precision on the CPU; arguments as :class:`Layers`.

    Raises
    ------
    ValueError
        A sublayer is too thick.
    """
    return _Reflectivity.apply(thickness, strain, debye_waller, angles, reflection)


def angles_for(measured: Float[np.ndarray, "point"], half_width: float, reflection: Reflection) -> _Angles:
    """Angles of the reflectivity for a convolution: finer than the scan where the resolution or the curve is narrower.

    The substrate's peak is narrower than most resolutions and bright: angles too coarse for it, off by half a step,
    bias what the counts determine best (L1 by two standard errors, on the scan of the default). With these no
    parameter is off by more than 0.05 of its standard error.

    Parameters
    ----------
    measured:
        theta of the measured points, rising [radian].
    half_width:
        Of the resolution, at half maximum [radian]; 0 gives the measured angles.
    reflection:
        Whose peak it is.
    """
    if half_width <= 0:
        return measured
    step = float(np.median(np.diff(measured)))
    beyond = np.arange(1, math.ceil(_REACH * half_width / step) + 1) * step
    edges = np.concatenate([measured[0] - beyond[::-1], measured, measured[-1] + beyond])
    # the peak may be a step off its place
    distance = np.maximum(np.abs((edges[1:] + edges[:-1]) / 2 - reflection.peak) - 1.5 * step, 0.0)
    finest = np.minimum(_COARSEST * half_width, np.maximum(reflection.darwin_half_width / _FINEST, distance / _GRADED))
    parts = np.ceil(np.diff(edges) / finest - 1e-9).astype(int)
    return np.interp(np.arange(parts.sum() + 1), np.append(0, np.cumsum(parts)), edges)


def resolution(
    measured: Float[np.ndarray, "point"], angles: _Angles, half_width: float, lorentzian: float
) -> csr_array:
    """Convolution with a pseudo-Voigt function of theta, as a matrix; rows add up to 1.

    Parameters
    ----------
    measured, angles:
        theta of the measured points and of :func:`angles_for` [radian].
    half_width:
        At half maximum [radian]; 0 for none.
    lorentzian:
        Share of the Lorentzian, from 0 to 1.
    """
    if half_width <= 0:
        return csr_array(np.eye(len(measured)))
    x = (measured[:, None] - angles) / half_width
    gauss = math.sqrt(math.log(2) / math.pi) * np.exp(-math.log(2) * x**2)
    kernel = (1 - lorentzian) * gauss + lorentzian / (math.pi * (1 + x**2))
    kernel[kernel < 1e-9] = 0.0
    return _averages(kernel, angles)


def measured_resolution(
    measured: Float[np.ndarray, "point"],
    angles: _Angles,
    offsets: Float[np.ndarray, "offset"],
    intensity: Float[np.ndarray, "offset"],
) -> csr_array:
    """Convolution with a measured instrument function, as a matrix; rows add up to 1.

    Parameters
    ----------
    measured, angles:
        As in :func:`resolution` [radian].
    offsets, intensity:
        What a scan of theta [radian] over a line at 0 shows; nothing beyond the ends.
    """
    return _averages(np.interp(measured[:, None] - angles, offsets, intensity, left=0.0, right=0.0), angles)


def _averages(kernel: Float[np.ndarray, "point angle"], angles: _Angles) -> csr_array:
    """Weights of the angles in each point's mean, by the trapezoidal rule."""
    kernel = kernel * np.gradient(angles)
    return csr_array(kernel / kernel.sum(axis=1, keepdims=True))


def as_radian(two_theta: Sequence[float] | np.ndarray) -> _Angles:
    """Theta [radian] of 2 theta [degree]."""
    return np.radians(np.asarray(two_theta, dtype=float)) / 2
