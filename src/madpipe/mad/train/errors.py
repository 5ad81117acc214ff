"""Error bars of the network: the rms errors that it makes on whole validation frames, by brightness."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from madpipe.mad.loss import Target
from madpipe.mad.network import Unknowns
from madpipe.mad.train.frames import Frames, expose_frames

_EDGES = [0.0, *(10 ** (k / 2) for k in range(-3, 12))]  # |F_T|^2 as answered [photon]; two bins per decade
_LEAST_POSITION = 0.01  # photons; where the bin of no photons at all stands on the logarithmic axis
_LEAST_POINTS = 100  # in a bin, for its rms to be worth keeping
_EXPOSURES = 8  # frames drawn per particle, each with an exposure of its own
_BATCH = 16  # frames at once
_UNDETERMINED = math.pi / math.sqrt(3)  # rms of a phase of which nothing is known [radian]
_PHASES = ("delta_phi", "delta_phi_na")
ErrorTable = tuple[Float[Tensor, "bin"], dict[str, Float[Tensor, "bin"]]]  # |F_T|^2, rms errors by quantity


@torch.no_grad()
def measure_errors(
    network: nn.Module, frames: Frames, photons: tuple[float, float], generator: torch.Generator
) -> ErrorTable:
    r"""Measure what the network gets wrong, as a table over the brightness of a point, \|F_T\|^2 as it answers it.

    Parameters
    ----------
    network:
        Trained.
    frames:
        Whole frames of particles that it was not trained on.
    photons:
        Least and largest mean photons of a frame; exposures are drawn log-uniformly between.

    Returns
    -------
    :
        Mean brightness of each bin [photon], and rms errors by quantity: moduli in units of r, phases in radian.

    Notes
    -----
    The network has no error model of its own, and the Cramer-Rao bound is the error of a fit, not of a network that
    adds a bias and takes in its neighbours. What can be said honestly is how wrong it was on particles drawn like
    the training ones. The table knows the brightness only: within a bin, easy and hard points, particles too, have
    the same error bar. The answer is the better measure of brightness: it has taken in the neighbours, while the
    count of a dark point is zero at a thousandth of a photon and at a tenth alike. Particles differ: an rms over all of
    them is wide for the common ones, where it covers nearer 90 than 68 % of the points, and narrow for the rare ones
    whose resonant atoms sit in thin shells.
    """
    network.eval()
    place = next(network.parameters()).device
    samples = []
    drawn = frames.draw(_EXPOSURES * len(frames.particle.unique()), generator)
    for chosen in drawn.split(_BATCH):
        measured, target = expose_frames(frames.part(chosen), photons, generator)
        answer = Unknowns(*(each.cpu() for each in network(type(measured)(*(each.to(place) for each in measured)))))
        samples.append(_deviations(answer, target))
    names = samples[0].keys()
    return _table({name: torch.cat([sample[name].flatten() for sample in samples]) for name in names})


def _deviations(answer: Unknowns, target: Target) -> dict[str, Float[Tensor, "batch y x"]]:
    """Answer less truth by quantity, in units of r or radian, NaN where there is no truth; and the brightness."""
    scale = answer.scale
    truth = Unknowns(target.f_total / scale, target.f_resonant / scale, target.sine, target.cosine, scale)
    found, true = answer.structure_factors(), truth.structure_factors()
    deviations = {name: found[name] - true[name] for name in found}
    for name, modulus in zip(_PHASES, ("f_resonant", "f_normal"), strict=True):
        wrapped = torch.remainder(deviations[name] + math.pi, 2 * math.pi) - math.pi
        deviations[name] = torch.where(_exists(true, modulus), wrapped, torch.nan)
    return deviations | {"brightness": (answer.f_total * scale).square()}


def _exists(true: dict[str, Tensor], modulus: str) -> Bool[Tensor, "batch y x"]:
    """Points where a phase difference has a meaning: the controls have no F_A or no F_N, but for rounding."""
    smallest = torch.minimum(true["f_resonant"], true[modulus])
    return (smallest > 1e-5 * true["f_total"]) & (true["f_total"] > 0)


def _table(samples: dict[str, Float[Tensor, "point"]]) -> ErrorTable:
    """Rms of the samples in bins of brightness; bins with few points are left out, unless all have few."""
    brightness = samples.pop("brightness").double()
    bins = torch.bucketize(brightness, torch.tensor(_EDGES, dtype=torch.float64), right=True)
    populated, points = bins.unique(return_counts=True)
    kept = populated[points >= min(_LEAST_POINTS, int(points.max()))]
    photons = torch.stack([brightness[bins == each].mean().clamp(min=_LEAST_POSITION) for each in kept])
    return photons, {
        name: torch.stack([_rms(sample[bins == each].double()) for each in kept]) for name, sample in samples.items()
    }


def _rms(deviations: Float[Tensor, "point"]) -> Float[Tensor, ""]:
    """Root mean square of what is no NaN; only phases can be NaN throughout, and then nothing is known of them."""
    known = deviations[deviations.isfinite()]
    return known.square().mean().sqrt() if len(known) else torch.tensor(_UNDETERMINED).to(known)
