"""From one phased structure factor to the densities of two kinds of atoms, their ratio and its error."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.warned import warn
from madpipe.mad import limits
from madpipe.mad.forward import anomalous_factor
from madpipe.mad.records import Fit, Stack
from madpipe.physics.atoms import atomic_number, dispersion_correction, form_factor
from madpipe.physics.fourier import grid, image
from madpipe.physics.phasing import shell_mean

_SURE = 0.03  # of |G|^2: points with less error variance of F_A than this give the mean of a
_USUAL = 0.1  # of |G|^2: points with less give the variance about it
_ENOUGH = 8  # such points in a shell make its own variance
_OUTLIER = 3.0  # standard deviations from the prior beyond which a point's F_A is another branch of the solution
_LARGEST_Q = 25.0  # 1/angstrom; beyond sin(theta)/lambda of 2, where atoms' peaks can hardly be measured
_ROUNDED = 1e-3  # of f0 beyond the atomic number


@dataclass(frozen=True)
class Factors:
    """Scattering factors of one atom of either kind, at the Bragg peak and over the q grid."""

    resonant: float  # f0 at the Bragg peak [electron]
    normal: complex  # with its mean dispersion correction [electron]
    resonant_slope: Float[Tensor, "*q"]  # f over its value at the peak [1]
    normal_slope: Complex[Tensor, "*q"]  # [1]
    partner: str | None  # whose factor the normal one is; None: the resonant element's, in units of its electrons

    def correction(self, kind: str) -> Tensor:
        """Factor that takes the slow variation of the scattering factor out of a structure factor [1]."""
        return 1 / (self.resonant_slope if kind == "resonant" else self.normal_slope)


@dataclass(frozen=True)
class Separation:
    """Densities of the two kinds, scattering factors held at their values at the Bragg peak [sqrt(photon)]."""

    resonant: Complex[Tensor, "*space"]
    normal: Complex[Tensor, "*space"]
    factors: Factors
    resonant_error: Float[Tensor, "*q"]  # of the complex F_A, both parts together [sqrt(photon)]
    normal_error: Float[Tensor, "*q"] | None  # of F_N on its own; None: F_N is the rest, and moves against F_A
    counter: complex = -1.0  # dF_N / dF_A of the linked route

    def atoms(self) -> tuple[Tensor, Tensor]:
        """Densities in units of atoms [sqrt(photon) / electron]."""
        return self.resonant / self.factors.resonant, self.normal / self.factors.normal

    def composition(self) -> Float[Tensor, "*space"]:
        """Resonant atoms' share, :func:`composition_from_atoms`."""
        return composition_from_atoms(*self.atoms())

    def inconsistency(self, support: Bool[Tensor, "*space"]) -> float:
        """Share of the resonant density outside the support or out of phase with all atoms; least for the true hand."""
        resonant, normal = self.atoms()
        total = resonant + normal
        along = (resonant * total.conj()).real * support / total.abs().clamp(min=1e-30)
        energy = resonant.abs().square().sum()
        return float((energy - along.square().sum()) / energy.clamp(min=1e-30))

    def composition_errors(
        self, draws: int, generator: torch.Generator, support: Bool[Tensor, "*space"]
    ) -> Float[Tensor, "*space"]:
        """Spread of the composition when F_A (and F_N, where it is measured apart) is redrawn from its errors.

        The redraws hold the retrieved phases, whose errors come in by the part out of phase: both kinds of atoms
        share one displacement, so the share's imaginary part is error alone. Where its rms in the support exceeds
        the redraws', all errors are raised to it.
        """
        ndim = self.resonant.ndim
        total = torch.zeros(self.resonant.shape, dtype=torch.float64)
        square = torch.zeros_like(total)
        centre = self.composition()
        for _ in range(draws):
            noise = _complex_normal(self.resonant_error, generator)
            moved = noise * self.counter if self.normal_error is None else _complex_normal(self.normal_error, generator)
            resonant = self.resonant + image(noise * self.factors.correction("resonant"), ndim)
            normal = self.normal + image(moved * self.factors.correction("normal"), ndim)
            off = composition_from_atoms(resonant / self.factors.resonant, normal / self.factors.normal) - centre
            total, square = total + off, square + off.square()
        spread = ((square - total.square() / draws) / (draws - 1)).clamp(min=0).sqrt()
        excess = _rms(self._out_of_phase(), support) / _rms(spread, support).clamp(min=1e-30)
        return spread * excess.clamp(min=1)

    def _out_of_phase(self) -> Float[Tensor, "*space"]:
        """Imaginary part of the complex share whose real part is the composition."""
        resonant, normal = self.atoms()
        all_atoms = resonant + normal
        return (resonant * all_atoms.conj()).imag / all_atoms.abs().square().clamp(min=1e-30)


def _rms(values: Float[Tensor, "*space"], support: Bool[Tensor, "*space"]) -> Tensor:
    """Root mean square in a support, 0 where that is empty."""
    return ((values.square() * support).sum() / support.sum().clamp(min=1)).sqrt()


def composition_from_atoms(
    resonant: Complex[Tensor, "*space"], normal: Complex[Tensor, "*space"]
) -> Float[Tensor, "*space"]:
    r"""Resonant atoms' share from complex densities in units of atoms; less biased than a ratio of moduli.

    .. math:: x = \Re(n_A (n_A + n_N)^*) / |n_A + n_N|^2
    """
    total = resonant + normal
    return (resonant * total.conj()).real / total.abs().square().clamp(min=1e-30)


def partner_of(stack: Stack) -> str | None:
    """Other element of a simulated stack; None where it is not recorded."""
    if stack.truth is None:
        return None
    return json.loads(stack.truth.drawn).get("sample", {}).get("partner")


def scattering_factors(stack: Stack, partner: str | None = None) -> Factors:
    r"""Scattering factors over the stack's q grid; an unknown partner takes the resonant element's f0.

    Then the shares are in units of electrons of the resonant element, not of atoms. The partner's :math:`f^0` is taken
    at the true \|Q\| of :func:`momentum_transfer_of`.

    Warns
    -----
    DataWarning
        No partner: shares of electrons. A partner whose own f', f'' change over the energies.

    Raises
    ------
    InputError
        A partner that is no element, is the resonant one, or whose tables do not reach the energies; an f0 that no |Q|
        of the resonant element has.
    """
    f0 = torch.as_tensor(np.broadcast_to(stack.f0, stack.shape).astype(float))
    at_peak = float(f0[tuple(size // 2 for size in stack.shape)])
    slope = f0 / at_peak
    partner = partner or partner_of(stack)
    if partner is None:
        warn(
            f"the other atoms' element is not known: the composition is the {stack.resonant} atoms' share of the "
            "scattering electrons, not of all atoms; name it with --partner (partner: in the configuration)"
        )
        return Factors(at_peak, complex(at_peak), slope, slope.to(torch.complex128), None)
    energy = torch.as_tensor(np.asarray(stack.energy, dtype=float))
    try:
        if stack.element and atomic_number(partner) == atomic_number(stack.element):
            raise InputError(
                f"The partner must be another element than the resonant one, {stack.element}; {partner} came; name the "
                "other atoms' element, or leave it out."
            )
        dispersion = anomalous_factor(*dispersion_correction(partner, energy))
        normal = form_factor(partner, momentum_transfer_of(stack)) + dispersion.mean()
    except ValueError as error:
        raise InputError(f"partner: {error}.") from None
    normal = normal.broadcast_to(f0.shape)
    peak = complex(normal[tuple(size // 2 for size in stack.shape)])
    change = float((dispersion - dispersion.mean()).abs().max())
    if change > limits.PARTNER_DISPERSION:
        warn(
            f"f' + i f'' of the other element, {partner}, changes by up to {change:.1f} electron about its mean over "
            f"these energies, where it is taken as constant: part of its atoms is taken for {stack.resonant}; keep the "
            f"energies clear of the edges of {partner}"
        )
    return Factors(at_peak, peak, slope, normal / peak, partner)


def momentum_transfer_of(stack: Stack) -> Float[Tensor, "*q"]:
    r"""True momentum transfer \|Q\| of every point of a frame or volume, or one for all [1/angstrom].

    :math:`|Q_{Bragg} + q|` where the Bragg vector is known, else where the resonant element's tabulated
    :math:`f^0(|Q|)`, which falls, has the stack's value.

    Raises
    ------
    InputError
        Neither the Bragg vector nor an f0 that the element has at any \|Q\|.
    """
    if stack.q_bragg is not None and len(stack.q_bragg) == len(stack.axes):
        axes = [torch.as_tensor(np.asarray(getattr(stack, name), dtype=float)) for name in stack.axes]
        bragg = torch.as_tensor(np.asarray(stack.q_bragg, dtype=float)).reshape(-1, *[1] * len(axes))
        return (grid(axes) + bragg).norm(dim=0)
    if not stack.element:
        raise InputError(
            "The partner's f0 is taken at the |Q| of q_bragg, or where the resonant element has the stack's f0; the "
            "stack has neither q_bragg nor an element; convert the data with --element, or give q_bragg [1/angstrom]."
        )
    nodes = torch.linspace(0, _LARGEST_Q, 4001, dtype=torch.float64)
    table = form_factor(stack.element, nodes).numpy()
    f0 = np.asarray(stack.f0, dtype=float)
    if not (f0.max() <= table[0] * (1 + _ROUNDED) and f0.min() >= table[-1]):
        raise InputError(
            f"The partner's f0 is taken at the |Q| where {stack.element} has the stack's f0, {table[-1]:.2f} to "
            f"{table[0]:.0f} electron; {f0.min():.4g} to {f0.max():.4g} came; give q_bragg [1/angstrom], or the "
            "free atom's f0."
        )
    return torch.as_tensor(np.interp(-f0, -table, nodes.numpy()))


def linked_separation(
    fit: Fit,
    stack: Stack,
    factor: Complex[Tensor, "*q"],
    factor_error: Float[Tensor, "*q"],
    support: Bool[Tensor, "*q"],
    from_mean: bool,
    factors: Factors,
) -> Separation:
    r"""Split a phased signal into the two kinds' densities, using the fit's F_A / G in every point.

    .. math::
        G = F_T + \bar\rho F_A,\quad a = F_A / G,\quad
        F_A = \left(c + w (a - c)\right) G,\quad w = s^2 / (s^2 + \sigma^2)

    c is the particle's mean of a, w Wiener's weight: s^2 is the variance of (a - c) G at this \|q\|,
    :math:`\sigma` the error of F_A. Where the fit does not determine F_A or :math:`\Delta\phi`, the point takes the
    mean composition instead of noise; so does a point more than three standard deviations from it, which the fit has
    put on the other branch. Structure at such q is lost to the composition, not to the density of all atoms.

    Parameters
    ----------
    factor:
        G with phases; with from_mean its square modulus is the mean intensity, which exceeds :math:`|G|^2` by
        :math:`\mathrm{var}(\rho)|F_A|^2`, else G is F_T.
    factor_error:
        Of its modulus [sqrt(photon)].
    factors:
        From :func:`scattering_factors`.
    """
    mean_ratio, spread = _ratio_moments(stack, from_mean)
    resonant_fit = torch.polar(torch.as_tensor(fit.f_resonant), -torch.as_tensor(fit.delta_phi))
    total_fit = torch.as_tensor(fit.f_total)
    share = resonant_fit / _nonzero(total_fit + mean_ratio * resonant_fit)
    error2 = torch.as_tensor(fit.f_resonant_errors**2 + (fit.f_resonant * fit.delta_phi_errors) ** 2)
    usable = torch.isfinite(share.abs()) & torch.isfinite(error2)
    share, error2 = torch.where(usable, share, 0), torch.where(usable, error2, torch.inf)
    power = factor.abs().square()
    weight = torch.where(error2 < _SURE * power, power, 0)
    centre = (weight * share).sum() / weight.sum().clamp(min=1e-30)
    shrink, posterior = _wiener(share - centre, power, error2)
    share = centre + shrink * (share - centre)
    factor = factor / (1 + spread * share.abs().square()).sqrt()
    resonant = share * factor
    normal = factor - (1 + mean_ratio) * resonant
    ndim = factor.ndim
    densities = (
        image(resonant * factors.correction("resonant"), ndim),
        image(normal * factors.correction("normal"), ndim),
    )
    counter = complex(-(1 + mean_ratio.mean()))
    return Separation(*densities, factors, (posterior + (share.abs() * factor_error).square()).sqrt(), None, counter)


def _ratio_moments(stack: Stack, from_mean: bool) -> tuple[Tensor, Tensor]:
    """Mean over energies of the dispersion ratio and its variance, over the q grid; zero where G is F_T itself."""
    f0 = torch.as_tensor(np.broadcast_to(stack.f0, stack.shape).astype(float))
    if not from_mean:
        return torch.zeros(f0.shape, dtype=torch.complex128), torch.zeros_like(f0)
    column = (-1, *[1] * f0.ndim)
    prime, second = (torch.as_tensor(values).reshape(column) for values in (stack.f_prime, stack.f_double_prime))
    ratio = anomalous_factor(prime, second)
    mean = ratio.mean(0)
    return mean / f0, (ratio - mean).abs().square().mean(0) / f0.square()


def _wiener(off: Tensor, power: Tensor, error2: Tensor) -> tuple[Tensor, Tensor]:
    """Wiener's weight of each point, and the variance left.

    The signal's variance is that of the significant points of the shell of q, less their errors; a shell with few of
    them takes the whole frame's share of its power. Weak points are left out of it: there the fit's two branches lie
    closer than its noise, and errors exceed the linear ones several times.
    """
    finite = torch.isfinite(error2)
    misfit = torch.where(finite, off.abs().square() * power, 0)
    error2 = torch.where(finite, error2, torch.finfo(error2.dtype).max ** 0.5)
    usual = (error2 < _USUAL * power).to(power)
    excess = torch.where(usual > 0, misfit - error2, 0)
    share = (excess.sum() / (power * usual).sum().clamp(min=1e-30)).clamp(0, 1)
    everywhere = torch.ones_like(power)
    shell_power, shell_points = _per_shell(power, everywhere), _per_shell(usual, everywhere, total=True)
    measured = torch.minimum(_per_shell(excess, usual).clamp(min=0), shell_power)
    signal = torch.where(shell_points >= _ENOUGH, measured, share * shell_power)
    weight = signal / (signal + error2)
    weight = torch.where(misfit > _OUTLIER**2 * (signal + error2), 0, weight)
    return weight, torch.where(weight > 0, weight * error2, signal)


def _per_shell(values: Tensor, weights: Tensor, *, total: bool = False) -> Tensor:
    """Weighted mean, or sum, over the point's shell of q, laid back onto the grid."""
    axes = [torch.arange(size, dtype=torch.float64) - size // 2 for size in values.shape]
    radius = grid(axes).norm(dim=0).round().long()
    shells = torch.bincount(radius.flatten(), values.flatten()) if total else shell_mean(values, weights)
    return shells[radius]


def _nonzero(value: Tensor) -> Tensor:
    """A complex number kept away from zero."""
    return torch.where(value.abs() > 1e-12, value, 1e-12)


def _complex_normal(error: Tensor, generator: torch.Generator) -> Tensor:
    """Complex normal noise whose two parts together have the standard deviation error."""
    return error * torch.randn(error.shape, generator=generator, dtype=torch.complex128)
