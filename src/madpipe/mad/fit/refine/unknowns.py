"""The nuisances as one vector, their prior, and how they enter a measurement.

The vector holds, for every energy, ln G, f' less the table's, f'' less the table's and ln beta, then the energy
offset. What is not refined stays at its prior's mean.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.mad.config import NuisanceConfig
from madpipe.mad.fit.refine.dispersion import Curve, curve_of, dispersion_covariance, own_values
from madpipe.mad.measurement import Measurement
from madpipe.mad.records import Stack

NAMES = ("scale", "offset", "dispersion", "background")
LEAST = 0.05  # f'' stays above this, so that it keeps its sign [electron]
_HALF_STEP = 0.25  # of the difference that gives a table's slope: its nodes are some eV apart near an edge [eV]
_FAR_LOGARITHM, _FAR_CORRECTION, _FAR_OFFSET = 0.3, 3.0, 2.0  # of a step: of ln G or ln beta; electron; eV
_TABLES = ("Chantler", "absorption spectrum")  # how the names of those begin that a prior can rest on
_FREE = "to be refined"  # in the name of a table whose numbers are a start and no more


@dataclass(frozen=True)
class Unknowns:
    """Which nuisances are free, and what is known of them before the fit; all have mean 0."""

    energies: int
    curve: Curve  # f', f'' at an energy offset, refined deviations not included
    precision: Float[Tensor, "unknown unknown"]  # inverse prior covariance; 0 where there is no prior
    width: Float[Tensor, "unknown"]  # prior's standard error, in the scale's gauge; infinite where there is no prior
    free: Bool[Tensor, "unknown"]
    names: tuple[str, ...]

    def slice_of(self, name: str) -> slice:
        """Places of one nuisance: scale, f_prime, f_double_prime, background or offset."""
        kind = ("scale", "f_prime", "f_double_prime", "background", "offset").index(name)
        return slice(kind * self.energies, (kind + 1) * self.energies if kind < 4 else None)

    @property
    def farthest(self) -> Float[Tensor, "unknown"]:
        """How far one step may go: farther, the model of the curvature says nothing."""
        result = torch.full_like(self.width, _FAR_LOGARITHM)
        result[self.energies : 3 * self.energies], result[-1] = _FAR_CORRECTION, _FAR_OFFSET
        return result

    @property
    def has_prior(self) -> bool:
        """Whether f', f'' have a prior; without one the last energy sets the gauge."""
        return bool(torch.isfinite(self.width[self.slice_of("f_prime")]).all())

    def dispersion(self, theta: Float[Tensor, "unknown"]) -> Float[Tensor, "2 energy"]:
        """f', f'' of every energy [electron]."""
        deviations = torch.stack([theta[self.slice_of(name)] for name in ("f_prime", "f_double_prime")])
        return self.curve(float(theta[-1])) + deviations

    def allowed(self, theta: Float[Tensor, "unknown"]) -> Float[Tensor, "unknown"]:
        """Raise free f'' to their least value."""
        place, theta = self.slice_of("f_double_prime"), theta.clone()
        low = self.dispersion(theta)[1] < LEAST
        theta[place] += torch.where(low & self.free[place], LEAST - self.dispersion(theta)[1], 0.0)
        return theta

    def at_least(self, theta: Float[Tensor, "unknown"]) -> Bool[Tensor, "unknown"]:
        """Which unknowns are f'' at their least value."""
        place, found = self.slice_of("f_double_prime"), torch.zeros_like(self.free)
        found[place] = self.dispersion(theta)[1] <= LEAST * (1 + 1e-9)
        return found & self.free

    def applied(self, measurement: Measurement, theta: Float[Tensor, "unknown"]) -> Measurement:
        """Put the nuisances into a measurement made with none; a Friedel mate keeps the sign of its f''."""
        of_channel = measurement.energy_of_channel
        f_prime, f_double_prime = self.dispersion(theta)[:, of_channel]
        scale, background = (theta[self.slice_of(name)].exp()[of_channel] for name in ("scale", "background"))
        before = measurement.background
        return replace(
            measurement,
            exposure=measurement.exposure * scale,
            background=None if before is None else before * background[:, None],
            f_prime=f_prime,
            f_double_prime=f_double_prime * signs(measurement),
        )

    def dispersion_by(self, theta: Float[Tensor, "unknown"]) -> Float[Tensor, "2 energy unknown"]:
        """Derivatives of f', f'' by the unknowns."""
        result = torch.zeros(2, self.energies, len(theta), dtype=theta.dtype)
        for row, name in enumerate(("f_prime", "f_double_prime")):
            result[row, :, self.slice_of(name)] = torch.eye(self.energies, dtype=theta.dtype)
        if bool(self.free[-1]):
            ahead, behind = (self.curve(float(theta[-1]) + step) for step in (_HALF_STEP, -_HALF_STEP))
            result[..., -1] = (ahead - behind) / (2 * _HALF_STEP)
        return result

    def on_channels(
        self, measurement: Measurement, theta: Float[Tensor, "unknown"]
    ) -> Float[Tensor, "kind channel unknown"]:
        """Derivatives of the channels' ln G, f', signed f'' and ln beta by the unknowns."""
        of_channel = measurement.energy_of_channel
        each = torch.eye(len(theta), dtype=theta.dtype)
        scale, background = (each[self.slice_of(name)][of_channel] for name in ("scale", "background"))
        f_prime, f_double_prime = self.dispersion_by(theta)[:, of_channel]
        return torch.stack([scale, f_prime, f_double_prime * signs(measurement)[:, None], background])

    def less(self, held: Bool[Tensor, "unknown"]) -> "Unknowns":
        """Hold some more of them at their prior's mean."""
        return replace(self, free=self.free & ~held)


def signs(measurement: Measurement) -> Float[Tensor, "channel"]:
    """+1, or -1 where a channel is a Friedel mate."""
    return torch.where(measurement.f_double_prime < 0, -1.0, 1.0).to(measurement.f_double_prime)


def unknowns_of(stack: Stack, refine: Collection[str], config: NuisanceConfig) -> Unknowns:
    """Set up the nuisances that are asked for, with their priors.

    Raises
    ------
    InputError
        A name that is not known; what :func:`madpipe.mad.fit.refine.dispersion.curve_of` refuses; a background that the
        stack does not have; f', f'' without a prior and without Friedel mates.
    """
    energies = len(stack.energy)
    _check(stack, refine)
    covariance = torch.zeros(4 * energies + 1, 4 * energies + 1, dtype=torch.float64)
    free = torch.zeros(4 * energies + 1, dtype=torch.bool)
    own = own_values(stack)
    unknowns = Unknowns(energies, lambda _: own, covariance, covariance.diagonal(), free, tuple(refine))
    scale, beta = unknowns.slice_of("scale"), unknowns.slice_of("background")
    both = slice(energies, 3 * energies)
    if "scale" in refine:
        sigma = np.full(energies, config.scale_sigma) if stack.monitor_sigma is None else stack.monitor_sigma
        covariance[scale, scale] = torch.diag(torch.tensor(np.maximum(sigma, 1e-6)).square())
        free[scale] = True
    if "offset" in refine:
        unknowns = replace(unknowns, curve=curve_of(stack))
        covariance[-1, -1], free[-1] = config.energy_offset_sigma_ev**2, True
    if "background" in refine:
        covariance[beta, beta] = config.background_sigma**2 * torch.eye(energies, dtype=torch.float64)
        free[beta] = True
    if "dispersion" in refine:
        free[both] = True
        if without_prior(stack):
            free[[2 * energies - 1, 3 * energies - 1]] = False
        else:
            covariance[both, both] = dispersion_covariance(stack, config)
    return _with_prior(replace(unknowns, free=free), covariance)


def without_prior(stack: Stack) -> bool:
    """Whether a stack's f', f'' are a mere start: it says so, and Friedel mates tell f'' from the rest."""
    return _FREE in stack.table and stack.friedel_sign is not None and len(np.unique(stack.friedel_sign)) == 2


def _with_prior(unknowns: Unknowns, covariance: Float[Tensor, "unknown unknown"]) -> Unknowns:
    """Invert the prior's covariance where there is one; the scale's gauge takes its part off the scales' widths."""
    known = (unknowns.free & (covariance.diagonal() > 0)).nonzero()[:, 0]
    precision = torch.zeros_like(covariance)
    precision[known[:, None], known] = torch.linalg.inv(covariance[known[:, None], known])
    width = torch.where(unknowns.free & (covariance.diagonal() == 0), torch.inf, covariance.diagonal().sqrt())
    scale = unknowns.slice_of("scale")
    if "scale" in unknowns.names:
        width[scale] = (width[scale].square() - 1 / precision.diagonal()[scale].sum()).clamp(min=0).sqrt()
    return replace(unknowns, precision=precision, width=width)


def _check(stack: Stack, refine: Collection[str]) -> None:
    """Refuse what is unknown or has nothing to act on."""
    unknown = set(refine) - set(NAMES)
    if unknown:
        raise InputError(f"refine knows {', '.join(NAMES)}; {', '.join(sorted(unknown))} came; leave it out.")
    if "background" in refine and stack.background is None:
        raise InputError("Refining the background's scale needs a background; the stack has none; leave it out.")
    if "dispersion" not in refine or _FREE not in stack.table:
        return
    if not without_prior(stack) and not stack.table.startswith(_TABLES):
        raise InputError(
            "Refining f', f'' from mere start values needs Friedel mates, friedel_sign +1 and -1; the stack has none; "
            "give f', f'' from a table or from a measured spectrum instead."
        )
    if without_prior(stack) and "offset" in refine:
        raise InputError(
            "Refining f', f'' without a prior leaves nothing to an energy offset; both are asked for; leave offset out."
        )
    if without_prior(stack) and stack.f_double_prime[-1] < LEAST:
        raise InputError(
            f"Refining f', f'' needs the last energy's f'' as the unit of all others, at least {LEAST} electron; "
            f"it is {stack.f_double_prime[-1]:g}; give a measured or tabulated one above the edge."
        )
