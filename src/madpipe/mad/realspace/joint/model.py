r"""Counts of all energies as a function of the two densities: likelihood, gradient and curvature.

The unknowns are the complex numbers n_A, n_N of resonant and of other atoms in every voxel of a box of the grid
[sqrt(photon) / electron]. With a the transform of n_A, which is F_A / f0,

.. math:: F_E = F_T + (f'_E + i f''_E)\, a,\quad F_T = f^0 a + f_N \hat n_N,\quad
          \mu_E = \tau_E |F_E|^2 + b_E

The box stands at the origin of the grid: intensities do not tell where a particle is. Arrays over q are in the FFT's
layout and in float32 (rounding is far below counting noise); sums of the likelihood are float64.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.mad.forward import anomalous_factor, mad_amplitude
from madpipe.mad.measurement import measurement_from_stack
from madpipe.mad.noise_law import NoiseLaw
from madpipe.mad.realspace.separation import Factors
from madpipe.mad.records import Stack
from madpipe.physics.fourier import cornered, diffract_box, onto_box

_DARK = 1e-4  # photon: an expectation below it counts as it
_Pair = Complex[Tensor, "kind *q"]  # F_T and a, or what multiplies them


@dataclass(frozen=True)
class Experiment:
    """What was counted, and how atoms scatter."""

    counts: Float[Tensor, "energy *q"]  # [photon], 0 where not measured
    good: Float[Tensor, "energy *q"] | None  # 1 where measured; None is everywhere
    background: Float[Tensor, "energy *q"] | None  # expected [photon]
    exposure: Float[Tensor, "energy"]  # tau, relative
    f_prime: Float[Tensor, "energy"]  # [electron]
    f_double_prime: Float[Tensor, "energy"]
    f_resonant: Float[Tensor, "*q"]  # f0 of a resonant atom [electron]
    f_normal: Complex[Tensor, "*q"]  # of another atom, its mean dispersion correction in it [electron]
    noise: NoiseLaw

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid."""
        return tuple(self.f_resonant.shape)

    def ratio(self, energy: int) -> Complex[Tensor, ""]:
        """What a is multiplied by at one energy [electron]."""
        return anomalous_factor(self.f_prime[energy], self.f_double_prime[energy]).to(torch.complex64)

    def transformed(self, atoms: Complex[Tensor, "kind *box"]) -> _Pair:
        """F_T and a of densities of both kinds of atoms [sqrt(photon)], [sqrt(photon) / electron].

        Of normal atoms alone, F_T alone.
        """
        if len(atoms) == 1:
            return self.f_normal * diffract_box(atoms, self.shape)
        resonant, normal = diffract_box(atoms, self.shape)
        return torch.stack([self.f_resonant * resonant + self.f_normal * normal, resonant])

    def back(self, pair: _Pair, box: tuple[int, ...]) -> Complex[Tensor, "kind *box"]:
        """Adjoint of :meth:`transformed`."""
        if len(pair) == 1:
            return onto_box(self.f_normal.conj() * pair, box)
        total, reduced = pair
        both = torch.stack([self.f_resonant * total + reduced, self.f_normal.conj() * total])
        return onto_box(both, box)

    def whitening(self, kinds: int = 2) -> Complex[Tensor, "kind kind"]:
        r"""W such that n = W y makes the expected information on y one, were all phases random.

        .. math:: W = L^{-\dagger},\quad L L^\dagger = 2 N \sum_E \tau_E v_E^* v_E^T,\quad
                  v_E = (f^0 + f'_E + i f''_E,\ f_N)

        with N points of the grid and the factors at the Bragg peak: a step of one in y is about a standard error.

        Parameters
        ----------
        kinds:
            2, or 1 for normal atoms alone.
        """
        rows = self.atoms_at_peak()[:, 2 - kinds :].to(torch.complex128)
        information = torch.einsum("ei,e,ej->ij", rows.conj(), self.exposure.to(rows), rows)
        root = torch.linalg.cholesky(2 * self.f_normal.numel() * information)
        return torch.linalg.inv(root.mH).to(torch.complex64)

    def atoms_at_peak(self) -> Complex[Tensor, "energy 2"]:
        """Scattering factors of a resonant and of another atom at the Bragg peak, at every energy [electron]."""
        origin = (0,) * len(self.shape)
        resonant = torch.complex(self.f_prime + self.f_resonant[origin], self.f_double_prime)
        return torch.stack([resonant, self.f_normal[origin].expand(len(resonant))], 1)


def evened(experiment: Experiment, share: float) -> Experiment:
    """All energies as one, and all atoms as normal ones of the mean scattering factor of an even composition.

    Parameters
    ----------
    share:
        Of resonant atoms in the composition.
    """
    one = summed(experiment)
    factor = share * (one.f_resonant + one.ratio(0)) + (1 - share) * one.f_normal
    return replace(one, f_normal=factor.to(torch.complex64))


def summed(experiment: Experiment) -> Experiment:
    """All energies as one, at their mean dispersion correction."""
    weight = experiment.exposure / experiment.exposure.sum()
    good = None if experiment.good is None else experiment.good.amin(0, keepdim=True)
    counts = experiment.counts.sum(0, keepdim=True)
    background = experiment.background
    return replace(
        experiment,
        counts=counts if good is None else counts * good,
        good=good,
        background=None if background is None else background.sum(0, keepdim=True),
        exposure=experiment.exposure.sum(0, keepdim=True),
        f_prime=(weight * experiment.f_prime).sum(0, keepdim=True),
        f_double_prime=(weight * experiment.f_double_prime).sum(0, keepdim=True),
    )


def experiment_of(stack: Stack, factors: Factors, device: torch.device | None = None) -> Experiment:
    """Arrange a frame or volume for the joint retrieval."""
    ndim, shape = len(stack.shape), (-1, *stack.shape)
    measurement = measurement_from_stack(stack)

    def laid(array: Tensor | None) -> Tensor | None:
        return None if array is None else cornered(array.reshape(shape), ndim).float().to(device)

    slopes = (factors.resonant * factors.resonant_slope, factors.normal * factors.normal_slope)
    resonant, normal = (cornered(each, ndim).to(device) for each in slopes)
    return Experiment(
        counts=laid(measurement.intensity),
        good=laid(measurement.good),
        background=laid(measurement.background),
        exposure=measurement.exposure.float().to(device),
        f_prime=measurement.f_prime.float().to(device),
        f_double_prime=measurement.f_double_prime.float().to(device),
        f_resonant=resonant.float(),
        f_normal=normal.to(torch.complex64),
        noise=measurement.noise,
    )


@dataclass(frozen=True)
class Curvature:
    r"""Second derivatives by F_T and a in every point: :math:`\delta \mapsto P \delta + Q \bar\delta`.

    For F_T alone there are P_TT and Q_TT alone.
    """

    hermitian: tuple[Tensor, ...]  # P_TT, P_Ta, P_aa
    symmetric: tuple[Tensor, ...]  # Q_TT, Q_Ta, Q_aa

    def times(self, pair: _Pair) -> _Pair:
        """Multiply."""
        if len(pair) == 1:
            return self.hermitian[0] * pair + self.symmetric[0] * pair.conj()
        total, reduced = pair
        (ptt, pta, paa), (qtt, qta, qaa) = self.hermitian, self.symmetric
        mirrored = pair.conj()
        return torch.stack(
            [
                ptt * total + pta * reduced + qtt * mirrored[0] + qta * mirrored[1],
                pta.conj() * total + paa * reduced + qta * mirrored[0] + qaa * mirrored[1],
            ]
        )


def minus_log_likelihood(experiment: Experiment, pair: _Pair) -> float:
    r"""Half the deviance, :math:`\sum \mu - n + n \ln(n / \mu)` for Poisson counts, else half of chi-square."""
    noise, total = experiment.noise, 0.0
    misfit = noise.half_deviance if noise.is_poisson else noise.half_chi_square
    for energy in range(len(experiment.counts)):
        counts, expected = experiment.counts[energy], expected_photons(experiment, pair, energy)[1]
        # n ln(n / mu) - n + mu of 1e7 photons is right to one in float32, more than the last steps of a search gain
        total += float(measured(experiment, energy, misfit(counts.double(), expected.double())).sum())
    return total


def linearise(experiment: Experiment, pair: _Pair, *, expected_information: bool = False) -> tuple[_Pair, Curvature]:
    r"""Downhill gradient of minus the log-likelihood by F_T and a, and its curvature, positive semidefinite.

    With r = |F_E| the derivatives along and across F_E are, for Poisson counts n,

    .. math:: \ell' = 2 \tau r (1 - n/\mu),\quad \ell''_\parallel = 2\tau(1 - n/\mu) + 4 \tau^2 r^2 n / \mu^2,\quad
              \ell''_\perp = 2 \tau (1 - n / \mu)

    Those below zero are taken as zero. The curvature along F stays finite where F vanishes and photons came, where a
    Gauss-Newton step would go far beyond.

    Parameters
    ----------
    experiment, pair:
        Counts; F_T and a.
    expected_information:
        Fisher's instead, :math:`4 \tau^2 r^2 / v` along F and nothing across: what error bars are made of.
    """
    gradient = torch.zeros_like(pair)
    terms = 1 if len(pair) == 1 else 3
    hermitian = [torch.zeros_like(part) for part in (pair[0].real, pair[0], pair[0].real)[:terms]]
    symmetric = [torch.zeros_like(pair[0]) for _ in range(terms)]
    observed = experiment.noise.is_poisson and not expected_information
    for energy in range(len(experiment.counts)):
        amplitude, expected = expected_photons(experiment, pair, energy)
        counts, tau = experiment.counts[energy], experiment.exposure[energy]
        square = amplitude.real.square() + amplitude.imag.square()
        weight = measured(experiment, energy, 1 / experiment.noise.variance(expected))
        pull = 2 * tau * weight * (counts - expected)
        if observed:
            across = (-pull).clamp(min=0)
            along = (4 * tau * tau * square * counts / expected.square() * (weight > 0) - pull).clamp(min=0)
        else:
            across, along = torch.zeros_like(pull), 4 * tau * tau * square * weight
        even = (along + across) / 2
        odd = (along - across) / 2 / square.clamp(min=1e-30) * amplitude.square()
        gradient[0] += pull * amplitude
        hermitian[0] += even
        symmetric[0] += odd
        if terms == 1:
            continue
        ratio = experiment.ratio(energy)
        gradient[1] += ratio.conj() * (pull * amplitude)
        hermitian[1] += even * ratio
        hermitian[2] += even * (ratio.real**2 + ratio.imag**2)
        symmetric[1] += odd * ratio.conj()
        symmetric[2] += odd * ratio.conj() ** 2
    return gradient, Curvature(tuple(hermitian), tuple(symmetric))


def expected_photons(experiment: Experiment, pair: _Pair, energy: int) -> tuple[Tensor, Tensor]:
    """Amplitude and expected photons at one energy."""
    amplitude = pair[0] if len(pair) == 1 else mad_amplitude(pair[0], pair[1], experiment.ratio(energy))
    photons = experiment.exposure[energy] * (amplitude.real.square() + amplitude.imag.square())
    if experiment.background is not None:
        photons = photons + experiment.background[energy]
    return amplitude, photons.clamp(min=_DARK)


def measured(experiment: Experiment, energy: int, values: Tensor) -> Tensor:
    """Values where the energy was measured, 0 elsewhere."""
    return values if experiment.good is None else values * experiment.good[energy]


def with_noise(experiment: Experiment, pair: _Pair, generator: torch.Generator, *, normal: bool = False) -> Experiment:
    """The experiment with counts drawn anew: photons, where they are counted, else of normal noise.

    Parameters
    ----------
    normal:
        Normal noise of the expected variance in any case.
    """
    counts = torch.empty_like(experiment.counts)
    for energy in range(len(counts)):
        expected = expected_photons(experiment, pair, energy)[1]
        drawn = experiment.noise.drawn(expected, generator, normal=normal)
        counts[energy] = measured(experiment, energy, drawn)
    return replace(experiment, counts=counts)
