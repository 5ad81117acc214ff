"""Scales, energy offset, f', f'' and background beside the densities: the border of the equations for a step.

The vector of nuisances, its prior and its meaning are those of the per-point refinement
(:mod:`madpipe.mad.fit.refine.unknowns`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.mad.config import NuisanceConfig
from madpipe.mad.fit.refine import UNDETERMINED
from madpipe.mad.fit.refine.report import nuisance_record
from madpipe.mad.fit.refine.search import Sums, free_covariance
from madpipe.mad.fit.refine.unknowns import Unknowns, unknowns_of
from madpipe.mad.forward import intensity_slopes
from madpipe.mad.measurement import Measurement, measurement_from_stack
from madpipe.mad.realspace.joint.model import Experiment, expected_photons, measured
from madpipe.mad.records import Nuisance, Stack


def inner(one: Complex[Tensor, "*any"], other: Complex[Tensor, "*any"]) -> float:
    """Real inner product, in float64."""
    return float((one.real * other.real + one.imag * other.imag).sum(dtype=torch.float64))


class Vector(NamedTuple):
    """Unknowns of the search: scaled densities, and nuisances."""

    densities: Complex[Tensor, "unknown *box"]
    nuisances: Float[Tensor, "free"]

    def plus(self, factor: float, other: "Vector") -> "Vector":
        """Add a multiple of another."""
        return Vector(self.densities + factor * other.densities, self.nuisances + factor * other.nuisances)

    def dot(self, other: "Vector") -> float:
        """Real inner product, in float64."""
        return inner(self.densities, other.densities) + float(self.nuisances @ other.nuisances)


@dataclass(frozen=True)
class Nuisances:
    """What is refined, and where it stands."""

    unknowns: Unknowns
    measurement: Measurement  # without nuisances; only its channels are looked at
    theta: Float[Tensor, "nuisance"]

    def record(self, stack: Stack, sums: Sums) -> Nuisance:
        """Values, errors, priors and correlations with the resonant atoms, as the per-point refinement gives them."""
        spread = free_covariance(self.unknowns, sums).diagonal().clamp(min=0).sqrt()
        kept = self.unknowns.less(self.unknowns.free & (spread > UNDETERMINED * self.unknowns.width))
        return nuisance_record(stack, self.unknowns, kept, self.theta, sums, 1.0, None)

    @property
    def free(self) -> Tensor:
        """Places of what is free."""
        return self.unknowns.free.nonzero()[:, 0]

    def applied(self, experiment: Experiment, theta: Float[Tensor, "nuisance"]) -> Experiment:
        """Put nuisances into an experiment made with none."""
        f_prime, f_double_prime = self.unknowns.dispersion(theta).to(experiment.exposure)
        scale, beta = (
            theta[self.unknowns.slice_of(name)].exp().to(experiment.exposure) for name in ("scale", "background")
        )
        background = experiment.background
        column = (-1, *[1] * len(experiment.shape))
        return replace(
            experiment,
            exposure=experiment.exposure * scale,
            background=None if background is None else background * beta.reshape(column),
            f_prime=f_prime,
            f_double_prime=f_double_prime,
        )

    def at(self, theta: Float[Tensor, "nuisance"]) -> "Nuisances":
        """Give the same nuisances, elsewhere."""
        return replace(self, theta=theta)

    def prior_noise(self, theta: Float[Tensor, "nuisance"], generator: torch.Generator) -> Float[Tensor, "free"]:
        """Noise with the prior's precision as covariance, and the slope of the prior taken back."""
        precision = self.unknowns.precision[self.free[:, None], self.free]
        values, vectors = torch.linalg.eigh(precision)
        drawn = torch.randn(len(values), generator=generator, dtype=torch.float64)
        return vectors @ (values.clamp(min=0).sqrt() * drawn) + (self.unknowns.precision @ theta)[self.free]

    def value(self, theta: Float[Tensor, "nuisance"]) -> float:
        """Minus the logarithm of the prior."""
        return 0.5 * float(theta @ self.unknowns.precision @ theta)

    def moved(self, theta: Float[Tensor, "nuisance"], change: Float[Tensor, "free"]) -> Float[Tensor, "nuisance"]:
        """Go a step, f'' kept above its least value."""
        moved = theta.clone()
        moved[self.free] += change
        return self.unknowns.allowed(moved)


def nuisances_of(
    stack: Stack, refine: Collection[str], config: NuisanceConfig, start: Nuisance | None = None
) -> Nuisances:
    """Set up what is to be refined, at the stack's own values or at those of the per-point refinement.

    A factor and a turn of all f' + i f'' change the densities and no intensity: only the prior holds them, and the
    search, whose steps are damped, hardly moves along them. So it should start where the per-point refinement, which
    eliminates its points exactly, has put them.

    Raises
    ------
    InputError
        What :func:`madpipe.mad.fit.refine.unknowns.unknowns_of` refuses.
    """
    unknowns = unknowns_of(stack, refine, config)
    theta = torch.zeros_like(unknowns.width)
    if start is not None:
        theta[-1] = start.energy_offset
        refined = torch.tensor(np.stack([start.f_prime, start.f_double_prime]))
        deviations = refined - unknowns.curve(start.energy_offset)
        values = (torch.tensor(start.scale).log(), *deviations)
        for name, value in zip(("scale", "f_prime", "f_double_prime"), values, strict=True):
            theta[unknowns.slice_of(name)] = value
        if start.background_scale is not None:
            theta[unknowns.slice_of("background")] = torch.tensor(start.background_scale).log()
    return Nuisances(unknowns, measurement_from_stack(stack), theta * unknowns.free)


@dataclass(frozen=True)
class Border:
    """Rows and columns of the nuisances in the equations for a step."""

    information: Float[Tensor, "free free"]  # prior included
    inverse: Float[Tensor, "free free"]
    columns: Complex[Tensor, "free unknown *box"]  # their coupling to the scaled densities

    def added_to(self, result: Vector, vector: Vector) -> Vector:
        """Add the border's part of a product."""
        flat, own = self.columns.flatten(1), vector.densities.flatten()
        densities = (vector.nuisances.to(flat) @ flat).reshape(vector.densities.shape)
        coupled = (flat.real @ own.real + flat.imag @ own.imag).to(vector.nuisances)
        return result._replace(
            densities=result.densities + densities, nuisances=self.information @ vector.nuisances + coupled
        )


def border_of(
    nuisances: Nuisances,
    experiment: Experiment,
    pair: Complex[Tensor, "2 *q"],
    theta: Float[Tensor, "nuisance"],
    onto_unknowns: Callable[[Tensor], Tensor],
) -> Border:
    r"""Fisher information of the nuisances, and with the densities.

    .. math:: M_{kl} = \sum w N_k N_l,\quad C_k = \sum w N_k \partial\mu/\partial y,\quad w = 1/v(\mu)

    with N the derivatives of the expected photons by :math:`\ln G`, f', f'' and :math:`\ln\beta` of each energy.
    """
    information = nuisances.unknowns.precision[nuisances.free[:, None], nuisances.free].clone()
    columns = [torch.zeros_like(pair) for _ in nuisances.free]
    for energy, mine in enumerate(_by_free(nuisances, theta)):
        amplitude, _, weight = _weighed(experiment, pair, energy)
        kinds = _derivatives(experiment, pair, amplitude, energy)
        flat = kinds.flatten(1)
        information += mine.T @ (flat * weight.flatten() @ flat.T).double().cpu() @ mine
        pull = 2 * experiment.exposure[energy] * weight * amplitude
        ratio = experiment.ratio(energy).conj()
        for column, of_kind in zip(columns, mine.T, strict=True):
            if bool(of_kind.any()):
                change = pull * sum(float(factor) * kind for factor, kind in zip(of_kind, kinds, strict=True))
                column[0] += change
                column[1] += ratio * change
    gathered = torch.stack([onto_unknowns(column) for column in columns])
    return Border(information, torch.linalg.inv(information), gathered)


def downhill(
    nuisances: Nuisances, experiment: Experiment, pair: Complex[Tensor, "2 *q"], theta: Float[Tensor, "nuisance"]
) -> Float[Tensor, "free"]:
    r"""Downhill gradient of minus the log-likelihood by the nuisances, their prior included.

    .. math:: \sum w N_k (n - \mu) - P\theta
    """
    slope = -(nuisances.unknowns.precision @ theta)[nuisances.free]
    for energy, mine in enumerate(_by_free(nuisances, theta)):
        amplitude, expected, weight = _weighed(experiment, pair, energy)
        misfit = (weight * (experiment.counts[energy] - expected)).flatten()
        slope += mine.T @ (_derivatives(experiment, pair, amplitude, energy).flatten(1) @ misfit).double().cpu()
    return slope


def _by_free(nuisances: Nuisances, theta: Float[Tensor, "nuisance"]) -> Float[Tensor, "energy kind free"]:
    """Derivatives of ln G, f', f'' and ln beta of every energy by what is free."""
    return nuisances.unknowns.on_channels(nuisances.measurement, theta)[:, :, nuisances.free].movedim(1, 0)


def _weighed(experiment: Experiment, pair: Tensor, energy: int) -> tuple[Tensor, Tensor, Tensor]:
    """Amplitude, expected photons, and the inverse of their variance where the energy was measured."""
    amplitude, expected = expected_photons(experiment, pair, energy)
    return amplitude, expected, measured(experiment, energy, 1 / experiment.noise.variance(expected))


def _derivatives(experiment: Experiment, pair: Tensor, amplitude: Tensor, energy: int) -> Float[Tensor, "kind *q"]:
    """Derivatives of the expected photons of one energy by ln G, f', f'' and ln beta."""
    tau = experiment.exposure[energy]
    by_f_prime, by_f_double_prime = intensity_slopes(amplitude, pair[1])
    photons = tau * (amplitude.real.square() + amplitude.imag.square())
    background = torch.zeros_like(photons) if experiment.background is None else experiment.background[energy]
    return torch.stack([photons, tau * by_f_prime, tau * by_f_double_prime, background])
