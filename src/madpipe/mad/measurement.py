"""A stack as the fit sees it: points with channels. A channel is a photon energy, or an energy and a Friedel sign."""

from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from madpipe.mad.forward import anomalous_factor, design_matrix, dispersion_ratio, in_resonant_gauge, mad_intensity
from madpipe.mad.limits import LEAST_ERROR
from madpipe.mad.noise_law import POISSON, NoiseLaw
from madpipe.mad.records import Fit, Nuisance, Stack
from madpipe.physics.sums import added

LEAST_NOISE = 1e-3  # of the stated errors: data without noise would weigh without limit


@dataclass(frozen=True)
class Measurement:
    r"""Intensities of independent points and how they were measured, component first as in a stack.

    The expectation of a channel is :math:`\mu_k = \tau_k\, a_k \cdot u + b_k`; its variance follows from the noise
    law at the model, never at the observation.
    """

    intensity: Float[Tensor, "channel point"]  # [photon], 0 where not measured
    background: Float[Tensor, "channel point"] | None  # b, expected [photon]; None is none
    good: Bool[Tensor, "channel point"] | None  # measured, not masked; None is everywhere
    exposure: Float[Tensor, "channel"]  # tau, relative
    f_prime: Float[Tensor, "channel"]  # [electron]
    f_double_prime: Float[Tensor, "channel"]  # negative for a Friedel mate [electron]
    f0: Float[Tensor, "point"]  # [electron]
    noise: NoiseLaw
    point_of_entry: Int[Tensor, "entry"]  # which point each of the stack's points belongs to
    energy_of_channel: Int[Tensor, "channel"]

    def design(self) -> Float[Tensor, "channel 4"]:
        """Rows of the linear form in (|F_T|^2, |F_A/f0|^2, ...), exposure included: the same for every point."""
        return design_matrix(anomalous_factor(self.f_prime, self.f_double_prime)) * self.exposure[:, None]

    def channels(self) -> Float[Tensor, "point"]:
        """How many channels of each point were measured."""
        return torch.full_like(self.f0, len(self.exposure)) if self.good is None else self.good.sum(0).to(self.f0)

    def total_exposure(self) -> Float[Tensor, "point"]:
        """Exposure of each point, over its measured channels."""
        if self.good is None:
            return torch.ones_like(self.f0) * added(self.exposure)
        return added(self.good * self.exposure[:, None])

    def measured(self, values: Float[Tensor, "channel point"]) -> Float[Tensor, "channel point"]:
        """Values where a channel was measured, 0 elsewhere."""
        return values if self.good is None else self.good * values

    def net(self) -> Float[Tensor, "channel point"]:
        """Intensity less background, 0 where not measured [photon]."""
        return self.intensity if self.background is None else self.measured(self.intensity - self.background)

    def with_background(self, photons: Float[Tensor, "channel point"]) -> Float[Tensor, "channel point"]:
        """Expected photons of a channel, from those of the point alone."""
        return photons if self.background is None else photons + self.background

    def reduction(self) -> Float[Tensor, "3 point"]:
        """What x, a, b are divided by to give x, p, q, with p + iq = |F_A/f0| exp(i Delta_phi): 1, f0, f0."""
        return torch.stack([torch.ones_like(self.f0), self.f0, self.f0])

    def brightness(self) -> Float[Tensor, "point"]:
        """Mean photons of a channel at unit exposure, one photon more in all so that none is dark."""
        return (added(self.net()).clamp(min=0) + 1) / self.total_exposure().clamp(min=1e-30)

    def pure_resonant(self, brightness: Float[Tensor, "point"]) -> Float[Tensor, "point"]:
        """|F_A/f0|^2 of a pure resonant element as bright as the point: I / |f0 + f' + if''|^2, over the channels."""
        square = (self.f_prime.square() + self.f_double_prime.square()).mean()
        return brightness / (self.f0 * self.f0 + 2 * self.f_prime.mean() * self.f0 + square)

    def least(self, brightness: Float[Tensor, "point"]) -> Float[Tensor, "channel point"]:
        """Expected photons below which a channel weighs no more: one that the model darkens must not decide alone."""
        return self.with_background(1e-3 * brightness * self.exposure[:, None])

    def weights(self, expected: Float[Tensor, "channel point"]) -> Float[Tensor, "channel point"]:
        """Inverse expected variance, background included in the expected photons."""
        return self.measured(1 / self.noise.variance(torch.maximum(expected, self.least(self.brightness()))))

    def to(self, device: torch.device) -> "Measurement":
        """Give the same on a device."""
        held = {part.name: getattr(self, part.name) for part in fields(self)}
        moved: dict[str, Any] = {name: each.to(device) for name, each in held.items() if isinstance(each, Tensor)}
        return replace(self, **moved)

    def part(self, which: slice | Int[Tensor, "kept"]) -> "Measurement":
        """Give some of the points."""
        names = ("intensity", "background", "good", "f0")
        kept = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(self, **{name: values[..., which] for name, values in kept.items()})


def without_counts(
    f_prime: Float[Tensor, "channel"], f_double_prime: Float[Tensor, "channel"], f0: float, points: int
) -> Measurement:
    """Points not measured yet, all alike: unit exposure, Poisson noise, no background."""
    channels = len(f_prime)
    return Measurement(
        intensity=f_prime.new_zeros(channels, points),
        background=None,
        good=None,
        exposure=torch.ones_like(f_prime),
        f_prime=f_prime,
        f_double_prime=f_double_prime,
        f0=f_prime.new_full((points,), f0),
        noise=POISSON,
        point_of_entry=torch.arange(points),
        energy_of_channel=torch.arange(channels),
    )


def measurement_from_stack(stack: Stack, device: torch.device | None = None) -> Measurement:
    """Arrange a stack as channels and points; Friedel mates of a list become channels of one point."""
    energies = len(stack.energy)
    point, sign, signs = _points_of(stack)
    count = int(point.max()) + 1

    def arranged(array: np.ndarray) -> np.ndarray:
        flat = np.broadcast_to(array, stack.data.shape).reshape(energies, -1)
        if stack.friedel_sign is None:
            return flat
        table = np.zeros((len(signs), energies, count), dtype=flat.dtype)
        table[sign, :, point] = flat.T
        return table.reshape(-1, count)

    good = arranged(stack.good)
    f0 = np.zeros(count)
    f0[point] = np.broadcast_to(stack.f0, stack.shape).ravel()
    exposure = np.ones(energies) if stack.monitor is None else stack.monitor

    def tensor(array: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.tensor(array, device=device, dtype=dtype)

    return Measurement(
        intensity=tensor(np.where(good, arranged(stack.data), 0)),
        background=None if stack.background is None else tensor(arranged(stack.background)),
        good=None if good.all() else tensor(good, torch.bool),
        exposure=tensor(np.tile(exposure, len(signs))),
        f_prime=tensor(np.tile(stack.f_prime, len(signs))),
        f_double_prime=tensor(np.concatenate([mate * stack.f_double_prime for mate in signs])),
        f0=tensor(f0),
        noise=POISSON if stack.data_errors is None else error_model(stack),
        point_of_entry=tensor(point, torch.int64),
        energy_of_channel=tensor(np.tile(np.arange(energies), len(signs)), torch.int64),
    )


def error_model(stack: Stack) -> NoiseLaw:
    r"""Fit the stated errors with :math:`\sigma^2 = c_0 + c_2 \mu^2`, so that weights follow the model's intensity.

    Weights straight from errors that grow with the observed intensity favour the observations that came out low.
    Least squares on the logarithm of :math:`\sigma^2`, both terms >= 0.
    """
    errors = cast("np.ndarray", stack.data_errors)
    good = stack.good & (errors >= LEAST_ERROR)
    intensity, sigma = np.maximum(stack.data[good], 0.0), errors[good]
    constant, quadratic = np.quantile(sigma, 0.02) ** 2, np.median(sigma / np.maximum(intensity, sigma)) ** 2
    for _ in range(50):  # iteratively reweighted: relative errors of sigma^2 count alike
        weight = 1 / (constant + quadratic * intensity**2)
        rows = np.stack([weight, weight * intensity**2], axis=1)
        solution = np.linalg.lstsq(rows, weight * sigma**2, rcond=None)[0]
        constant, quadratic = np.maximum(solution, [1e-3 * constant, 0.0])
    return NoiseLaw(float(constant), 0.0, float(quadratic))


def _background(stack: Stack) -> np.ndarray:
    """Expected background, zero where the stack has none."""
    return np.zeros(stack.data.shape) if stack.background is None else stack.background


def _points_of(stack: Stack) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """For every entry of the stack: its point, and the index of its Friedel sign among those that occur."""
    entries = int(np.prod(stack.shape))
    if stack.friedel_sign is None:
        return np.arange(entries), np.zeros(entries, dtype=int), (1,)
    sign = np.where(np.asarray(stack.friedel_sign) > 0, 0, 1)
    if stack.miller_indices is None:
        return np.arange(entries), sign, (1, -1)
    point = np.unique(stack.miller_indices, axis=0, return_inverse=True)[1].ravel()
    return point, sign, (1, -1)


def calculated_photons(stack: Stack, fit: Fit) -> np.ndarray:
    """Photons that an answer predicts in every entry of its stack, exposure and background included."""
    stack = with_nuisance(stack, fit.nuisance)
    per_energy = (len(stack.energy),) + (1,) * len(stack.shape)
    sign = 1.0 if stack.friedel_sign is None else np.sign(stack.friedel_sign)
    ratio = dispersion_ratio(
        torch.as_tensor(np.broadcast_to(np.reshape(stack.f_prime, per_energy), stack.data.shape).copy()),
        torch.as_tensor(np.broadcast_to(np.reshape(stack.f_double_prime, per_energy) * sign, stack.data.shape).copy()),
        torch.as_tensor(np.broadcast_to(np.asarray(stack.f0, dtype=float), stack.shape).copy()),
    )
    f_total = in_resonant_gauge(torch.as_tensor(fit.f_total), torch.as_tensor(fit.delta_phi))
    intensity = mad_intensity(f_total, torch.as_tensor(fit.f_resonant).to(torch.complex128), ratio).numpy()
    exposure = np.ones(len(stack.energy)) if stack.monitor is None else stack.monitor
    return intensity * exposure.reshape(per_energy) + _background(stack)


def bijvoet_pairs(stack: Stack) -> np.ndarray:
    """Entries of I(+) and I(-) of every reflection that has both at every energy, (pair, 2)."""
    if stack.friedel_sign is None or stack.miller_indices is None:
        return np.zeros((0, 2), dtype=int)
    complete = np.flatnonzero(stack.good.all(axis=0))
    sign, indices = np.asarray(stack.friedel_sign)[complete], np.asarray(stack.miller_indices)[complete]
    plus = {tuple(hkl): entry for hkl, entry in zip(indices[sign > 0].tolist(), complete[sign > 0], strict=True)}
    minus = {tuple(hkl): entry for hkl, entry in zip(indices[sign < 0].tolist(), complete[sign < 0], strict=True)}
    return np.array([(plus[hkl], minus[hkl]) for hkl in plus if hkl in minus], dtype=int).reshape(-1, 2)


def condition_number(stack: Stack, nuisance: Nuisance | None = None) -> float:
    """Condition number of the design matrix with columns of unit norm: what the energies can determine at all.

    With refined f', f'' from a nuisance in place of the stack's; infinite where the channels are too much alike.
    """
    measurement = measurement_from_stack(with_nuisance(stack, nuisance))
    ratio = dispersion_ratio(measurement.f_prime, measurement.f_double_prime, measurement.f0.median())
    matrix = design_matrix(ratio)
    return float(torch.linalg.cond(matrix / matrix.norm(dim=0)))


def with_nuisance(stack: Stack, nuisance: Nuisance | None) -> Stack:
    """Put a nuisance's f', f'', scales and noise scale into its stack, where there is one."""
    if nuisance is None:
        return stack
    errors, background = stack.data_errors, stack.background
    per_energy = (len(stack.energy),) + (1,) * len(stack.shape)
    if background is not None and nuisance.background_scale is not None:
        background = background * nuisance.background_scale.reshape(per_energy)
    return replace(
        stack,
        f_prime=nuisance.f_prime,
        f_double_prime=nuisance.f_double_prime,
        monitor=nuisance.scale if stack.monitor is None else stack.monitor * nuisance.scale,
        background=background,
        data_errors=None if errors is None else errors * max(nuisance.noise_scale, LEAST_NOISE),
    )
