"""What the search found, as the record that is kept, and in words."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.fit.exact import share_of_pure
from madpipe.mad.fit.refine.search import State, Sums, free_covariance
from madpipe.mad.fit.refine.unknowns import Unknowns
from madpipe.mad.records import Nuisance, Stack

_KINDS = {
    "scale": ("scale",),
    "offset": ("energy_offset",),
    "dispersion": ("f_prime", "f_double_prime"),
    "background": ("background_scale",),
}
_PLACES = {"energy_offset": "offset", "background_scale": "background"}  # elsewhere the record's name is the place's


def nuisance_record(
    stack: Stack,
    unknowns: Unknowns,
    kept: Unknowns,
    theta: Float[Tensor, "unknown"],
    sums: Sums,
    noise_scale: float,
    share: float | None,
) -> Nuisance:
    """Collect values, errors, priors and correlations.

    Parameters
    ----------
    unknowns, kept:
        What was asked for, and what of it the data determine.
    theta:
        The solution with the rest at the prior's mean.
    sums:
        Of the solution with all of them free: the errors count in what was put back.
    noise_scale, share:
        Measured over stated standard deviation; see :func:`resonant_share`.
    """
    covariance = free_covariance(unknowns, sums)
    spread = covariance.diagonal().clamp(min=0).sqrt()
    common = covariance @ sums.resonant
    theirs = max(float(sums.resonant @ common), 0.0)
    deviation = math.sqrt(max(sums.resonant_variance + theirs, 1e-300))
    correlation = common / (spread * deviation).clamp(min=1e-300)
    return Nuisance(
        **_columns(unknowns, kept, theta, covariance, correlation),
        f_resonant_relative_error=math.sqrt(theirs) / max(sums.resonant_total, 1e-300) / 2,
        resonant_share=share,
        noise_scale=noise_scale,
        gauge=_gauge(stack, unknowns),
        covariance=_by_energy(unknowns, theta, covariance),
        verdicts="\n".join(_verdict(name, unknowns, kept, spread, correlation) for name in unknowns.names),
    )


def _columns(
    unknowns: Unknowns,
    kept: Unknowns,
    theta: Float[Tensor, "unknown"],
    covariance: Float[Tensor, "unknown unknown"],
    correlation: Float[Tensor, "unknown"],
) -> dict[str, Any]:
    """Value and error of every nuisance; prior, correlation and what is determined for those that were refined.

    Errors of f', f'' hold what the offset's error does to them.
    """
    spread, by = covariance.diagonal().clamp(min=0).sqrt(), unknowns.dispersion_by(theta)
    dispersion_errors = ((by @ covariance) * by).sum(-1).clamp(min=0).sqrt()
    dispersion, table = unknowns.dispersion(theta), unknowns.curve(0.0)
    refined = [kind for name in unknowns.names for kind in _KINDS[name]]
    columns: dict[str, Any] = {}
    for name in (kind for kinds in _KINDS.values() for kind in kinds):
        place = unknowns.slice_of(_PLACES.get(name, name))
        value, mean, error = theta[place], torch.zeros_like(theta[place]), spread[place]
        if name.endswith("scale"):
            value, mean, error = value.exp(), torch.ones_like(value), error * value.exp()
        elif name != "energy_offset":
            row = int(name == "f_double_prime")
            value, mean, error = dispersion[row], table[row], dispersion_errors[row]
        found = {"": value, "_errors": error}
        if name in refined:
            found |= {"_correlation": correlation[place], "_determined": kept.free[place]}
        if name in refined and bool(torch.isfinite(unknowns.width[place]).all()):
            found |= {"_prior": mean, "_prior_errors": unknowns.width[place]}
        columns |= {f"{name}{ending}": _plain(name, array) for ending, array in found.items()}
    return columns


def _by_energy(
    unknowns: Unknowns, theta: Float[Tensor, "unknown"], covariance: Float[Tensor, "unknown unknown"]
) -> np.ndarray:
    """Covariance of ln G, f', f'' and ln beta of every energy, the energy offset's part in f', f'' included."""
    each = torch.eye(len(theta), dtype=theta.dtype)
    f_prime, f_double_prime = unknowns.dispersion_by(theta)
    by = torch.cat([each[unknowns.slice_of("scale")], f_prime, f_double_prime, each[unknowns.slice_of("background")]])
    return (by @ covariance @ by.T).cpu().numpy()


def resonant_share(state: State) -> float:
    """Median of |F_A|^2 over that of a pure resonant element as bright as the point."""
    return share_of_pure(state.measurement, state.solution.parameters)


def _plain(name: str, array: Tensor) -> np.ndarray | float | bool:
    """Arrays per energy; plain numbers for the offset."""
    return array[0].item() if name == "energy_offset" else array.cpu().numpy().copy()


def _verdict(
    name: str,
    unknowns: Unknowns,
    kept: Unknowns,
    spread: Float[Tensor, "unknown"],
    correlation: Float[Tensor, "unknown"],
) -> str:
    """One line on one nuisance: how much of it the data determine, and what it means for |F_A|."""
    places = [unknowns.slice_of(_PLACES.get(kind, kind)) for kind in _KINDS[name]]
    free, known, errors, prior, related = (
        torch.cat([values[place] for place in places])
        for values in (unknowns.free, kept.free, spread, unknowns.width, correlation)
    )
    share = (errors / prior)[known]
    words = [f"{name}: the data determine {int(known.sum())} of {int(free.sum())} values"]
    if bool(known.any()) and bool(torch.isfinite(prior[known]).all()):
        words.append(f"to {float(share.median()):.2g} of the prior's width (median)")
    if bool((free & ~known).any()):
        words.append("the others are not determined by the data and are left at the prior")
    if bool(free.any()):
        words.append(f"correlation with |F_A| up to {float(related[free].abs().max()):.2f}")
    return ", ".join(words) + "."


def _gauge(stack: Stack, unknowns: Unknowns) -> str:
    """What no intensity determines, and what was done about it."""
    words = []
    if not unknowns.has_prior:
        words.append(
            f"last energy: f' = {stack.f_prime[-1]:g}, f'' = {stack.f_double_prime[-1]:g} electron held; the sign of "
            "the differences of f' is the stack's"
        )
    elif "dispersion" in unknowns.names:
        words.append("factor, turn and shift common to all f' + i f'' are held by their prior alone")
    if "scale" in unknowns.names:
        words.append("the scales' geometric mean, weighted by the prior, is 1")
    else:
        words.append("relative scales of the energies held at the monitor")
    return "; ".join(words)
