"""A partiality learned from half of a simulated set, against the Gaussian, on the other half."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.plain import told
from madpipe.base.runtime import generator_for
from madpipe.stills.config import Domain, SimulatedStills
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.network.partiality import (
    Boxes,
    GaussianPartiality,
    LearnedPartiality,
    boxes_of,
    compared,
    learn,
    scales,
)
from madpipe.stills.scores.drawn_set import DrawnSet

_SET = {"images": 8, "size": 384, "photons": 3e5, "reference_error": 0.05}
_KINDS: dict[Domain, SimulatedStills] = {
    "mosaic": SimulatedStills(**_SET, cells=(14.0, 14.2, 28.0), spread=0.2),
    "round": SimulatedStills(**_SET, cells=(7.0, 7.2, 14.4), spread=0.0),
}
_CONFIG = IntegrateConfig(resolution=2.6, shells=1)
_FARTHEST = 2.5  # excitation error that is drawn, in radii R0 of the Gaussian
_POINTS, _BINS, _FEWEST = 51, 11, 5  # of lines; of spots; spots of a bin
_CLEAR = 0.05  # counting error of a bright spot, of its full photons


@dataclass(frozen=True, kw_only=True)
class PartialityRow:
    """One kind of crystals; lines and points are against the excitation error over the Gaussian's R0."""

    kind: str = told("mosaic: a spread much wider than a domain's spots; round: neither mosaicity nor uneven sides")
    images: int = told("held out: neither partiality learned from them")
    spots: int = told("of which ln L is told; the images' scales are from as many others")
    gain: float = told("ln L of the learned partiality less the Gaussian's, per image")
    gain_error: float = told("standard error, from image to image")
    deviance_gaussian: float = told("per spot")
    deviance_learned: float
    at: tuple[float, ...] = told("excitation error over R0, of both lines")
    gaussian: tuple[float, ...] = told("p at the median of 1/d^2")
    learned: tuple[float, ...]
    bins: tuple[float, ...] = told("excitation error over R0, of the points")
    seen: tuple[float, ...] = told("mean of held-out spots' photons over those of full ones by the learned scales")
    seen_errors: tuple[float, ...] = told("standard error from spot to spot")


def learned_partialities(kinds: tuple[Domain, ...], seed: int) -> list[PartialityRow]:
    """Learn both partialities from one half of each set, and compare them on the other.

    Parameters
    ----------
    kinds:
        Of crystals.
    seed:
        Of crystals and noise.
    """
    return [_row(kind, seed) for kind in kinds]


def _row(kind: Domain, seed: int) -> PartialityRow:
    """One kind."""
    made = DrawnSet.of(_KINDS[kind], generator_for(seed, "stills", "partiality", kind))
    fitted = made.fit(_CONFIG, list(made.drawn.told))
    truth = made.drawn.truth
    known = {tuple(hkl): value for hkl, value in zip(truth.hkl.tolist(), truth.intensity, strict=True)}
    intensity = np.array([known.get(tuple(hkl), np.nan) for hkl in fitted.data.unique.hkl.tolist()])
    boxes, half = boxes_of(fitted, intensity), made.sample.images // 2
    mine, rest = boxes.those(boxes.image < half), boxes.those(boxes.image >= half)
    held = replace(rest, image=rest.image - half)
    radius = float(np.exp(fitted.shared[0]))
    gaussian = GaussianPartiality(radius)
    learned = LearnedPartiality(radius, generator_for(seed, "stills", "partiality", "weights"))
    learn(gaussian, mine)
    learn(learned, mine)
    score = compared(gaussian, learned, held)
    middle = held.inverse_d2.median()
    with torch.no_grad():
        width = float((-1 / gaussian(torch.ones(1, dtype=middle.dtype), middle[None])).sqrt())
        at = torch.linspace(0, _FARTHEST, _POINTS, dtype=middle.dtype)
        lines = [one((at * width) ** 2, middle.expand(_POINTS)).exp() for one in (gaussian, learned)]
    bins, seen, errors = _seen(held, learned, width)
    return PartialityRow(
        kind=kind,
        images=score.images,
        spots=score.spots,
        gain=score.gain,
        gain_error=score.gain_error,
        deviance_gaussian=score.deviance_gaussian,
        deviance_learned=score.deviance_learned,
        at=tuple(at.tolist()),
        gaussian=tuple(lines[0].tolist()),
        learned=tuple(lines[1].tolist()),
        bins=tuple(bins.tolist()),
        seen=tuple(seen.tolist()),
        seen_errors=tuple(errors.tolist()),
    )


def _seen(
    held: Boxes, learned: LearnedPartiality, width: float
) -> tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "bin"], Float[np.ndarray, "bin"]]:
    """Photons over those of full reflections, by excitation error: its bins, mean ratio of bright spots, its error."""
    ln_scale, b_factor = scales(learned, held).unbind(1)
    ln_full = ln_scale[held.image] - b_factor[held.image] * held.inverse_d2 / 4 + held.ln_known
    share = (held.good * held.profile).sum(1)
    full = (ln_full.exp() * share).numpy()
    photons = ((held.counts - held.background[:, None]) * held.good).sum(1).numpy()
    variance = (held.counts * held.good).sum(1).numpy()
    clear = np.sqrt(variance) < _CLEAR * full
    edges = np.linspace(0, _FARTHEST, _BINS + 1)
    number = np.digitize(held.excitation2.sqrt().numpy() / width, edges) - 1
    ratio, middle = photons / full, (edges[1:] + edges[:-1]) / 2
    groups = [(at, ratio[clear & (number == one)]) for one, at in enumerate(middle)]
    kept = [(at, one.mean(), one.std(ddof=1) / np.sqrt(len(one))) for at, one in groups if len(one) >= _FEWEST]
    found: np.ndarray = np.array(kept).reshape(-1, 3)
    return found[:, 0], found[:, 1], found[:, 2]
