"""Gaussian beliefs about the parameters as part of what the fit makes least."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from madpipe.physics.arrowhead import Arrowhead
from madpipe.stills.integrate.image_model import OWN, SHARED
from madpipe.stills.integrate.settings import IntegrateConfig, Prior
from madpipe.stills.reflections.domains import SHAPES

NO_PRIOR = 1e9  # standard deviation of a prior that is off


@dataclass(frozen=True)
class Beliefs:
    """Means and standard deviations of all parameters, in the fit's units."""

    own_mean: Float[np.ndarray, "image own"]
    own_sd: Float[np.ndarray, "own"]
    shared_mean: Float[np.ndarray, "shared"]  # of R0 and bandwidth themselves, where the parameter is a logarithm
    shared_sd: Float[np.ndarray, "shared"]
    of_logarithm: Bool[np.ndarray, "shared"]  # parameters whose exponential has the prior


def beliefs_of(
    config: IntegrateConfig,
    ln_monitors: Float[np.ndarray, "image"],
    strains: int,
    distance: float,
    log_widths: Float[np.ndarray, "shell"],
) -> Beliefs:
    """Collect the settings' priors.

    Parameters
    ----------
    config:
        Priors, angles in degrees, distance relative.
    ln_monitors:
        About which each ln G lies.
    strains:
        Number of the cell's.
    distance:
        Of the detector [mm].
    log_widths:
        ln R1 at the start.
    """
    priors = config.priors
    turn = [np.radians(_mean(priors.orientation))] * 3, [np.radians(_sd(priors.orientation))] * 3
    own = [_mean(priors.ln_scale), _mean(priors.b_factor), *turn[0], *[_mean(priors.strain)] * strains]
    own_mean = np.tile(own, (len(ln_monitors), 1))
    own_mean[:, 0] += ln_monitors
    own_sd = [_sd(priors.ln_scale), _sd(priors.b_factor), *turn[1], *[_sd(priors.strain)] * strains]
    scales = (1.0, 1.0, 1.0, 1.0, distance, np.pi / 180, np.pi / 180, np.pi / 180, 1.0, *[1.0] * len(SHAPES))
    shared = [priors.mosaic_radius, priors.bandwidth, priors.centre, priors.centre, priors.distance]
    shared += [priors.tilt, priors.tilt, priors.mosaicity, priors.tail, *[priors.shape] * len(SHAPES)]
    mean = [_mean(one) * scale for one, scale in zip(shared, scales, strict=True)]
    sd = [_sd(one) * scale for one, scale in zip(shared, scales, strict=True)]
    of_logarithm = np.zeros(len(SHARED) + len(log_widths), dtype=bool)
    of_logarithm[:2] = True
    return Beliefs(
        own_mean,
        np.array(own_sd),
        np.concatenate([mean, log_widths + _mean(priors.ln_width)]),
        np.concatenate([sd, np.full(len(log_widths), _sd(priors.ln_width))]),
        of_logarithm,
    )


def _mean(prior: Prior) -> float:
    return prior.value


def _sd(prior: Prior) -> float:
    return prior.sd if prior.used else NO_PRIOR


def with_priors(
    value: float, data: Arrowhead, beliefs: Beliefs, own: np.ndarray, shared: np.ndarray
) -> tuple[float, Arrowhead]:
    """Add half the squares of the deviations from the beliefs, with slopes and second derivatives.

    Parameters
    ----------
    value, data:
        Of the images: minus ln L and its arrowhead in all parameters.
    beliefs:
        From :func:`beliefs_of`.
    own, shared:
        Where.
    """
    apart = (own - beliefs.own_mean) / beliefs.own_sd
    seen = np.where(beliefs.of_logarithm, np.exp(np.where(beliefs.of_logarithm, shared, 0.0)), shared)
    slope = np.where(beliefs.of_logarithm, seen, 1.0) / beliefs.shared_sd
    apart_shared = (seen - beliefs.shared_mean) / beliefs.shared_sd
    total = value + 0.5 * float(np.sum(apart**2) + np.sum(apart_shared**2))
    return total, Arrowhead(
        data.own + np.diag(1 / beliefs.own_sd**2),
        data.mixed,
        data.shared + np.diag(slope**2),
        data.own_slope + apart / beliefs.own_sd,
        data.shared_slope + apart_shared * slope,
    )


def names_of(strains: int, shells: int) -> tuple[list[str], list[str]]:
    """Names of an image's own parameters and of the shared ones."""
    own = [*OWN, *(f"strain_{n + 1}" for n in range(strains))]
    return own, [*SHARED, *(f"ln_width_{n + 1}" for n in range(shells))]
