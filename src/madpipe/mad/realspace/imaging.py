"""From a modulus to an image: random starts side by side, shrink-wrap, selection by held-out points, average."""

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.runtime import progress
from madpipe.mad.config import RetrieveConfig
from madpipe.mad.records import Stack
from madpipe.physics import phasing
from madpipe.physics.alignment import average
from madpipe.physics.fourier import centred, cornered, image_cornered

_FREE_CYCLES = 2  # last cycles, which run without the ceiling so that it leaves no mark
_CLEANING = 5  # error-reduction steps before each shrink-wrap
_SIMILAR_ERROR = 1.25  # solutions within this factor of the least Fourier error may be averaged


@dataclass(frozen=True)
class Signal:
    """A modulus to be phased, on the stack's q grid."""

    modulus: Float[Tensor, "*q"]  # [sqrt(photon)]
    error: Float[Tensor, "*q"]  # [sqrt(photon)]
    known: Bool[Tensor, "*q"]  # imposed; the others float

    def to(self, device: torch.device) -> "Signal":
        """Give the same on a device."""
        return Signal(*(getattr(self, part.name).to(device) for part in fields(self)))


@dataclass(frozen=True)
class Solution:
    """Average of the best solutions of one signal."""

    density: Complex[Tensor, "*space"]  # [sqrt(photon)]
    support: Bool[Tensor, "*space"]
    fourier_error: float  # of all known points
    free_error: float  # of the points held out of the iterations; of all known points where none was
    transfer: Float[Tensor, "*q"]


def mean_signal(stack: Stack) -> Signal:
    """Root of the mean intensity over the energies at unit exposure; a point masked at any energy floats.

    Its variance is at least that of one photon, and its error that of a root: 1/2 over the root of the number of
    energies for counts, down to none.
    """
    shape = (-1, *[1] * len(stack.shape))
    exposure = np.ones(len(stack.energy)) if stack.monitor is None else stack.monitor / stack.monitor.mean()
    background = 0.0 if stack.background is None else stack.background
    good = stack.good.all(axis=0)
    counts = np.where(good, stack.data, 0).astype(float)
    spread = counts if stack.data_errors is None else np.where(good, stack.data_errors, 0) ** 2
    mean = ((counts - background) / exposure.reshape(shape)).mean(0)
    variance = (spread / exposure.reshape(shape) ** 2).mean(0) / len(stack.energy)
    deviation = np.sqrt(np.maximum(variance, 1 / len(stack.energy) ** 2))
    modulus = np.sqrt(np.clip(np.where(good, mean, 0), 0, None))
    error = deviation / (2 * np.sqrt(np.maximum(mean, deviation)))
    return Signal(torch.as_tensor(modulus), torch.as_tensor(error), torch.as_tensor(good))


def fitted_signal(modulus: np.ndarray, error: np.ndarray, good: np.ndarray, float_above: float) -> Signal:
    """A modulus of the fit; masked points and points with sigma/|F| above float_above float."""
    finite = np.isfinite(modulus) & np.isfinite(error) & good
    known = finite & (error <= float_above * modulus)
    values, errors = (torch.as_tensor(np.where(finite, array, 0.0)) for array in (modulus, error))
    return Signal(values, errors, torch.as_tensor(known))


def retrieve_signal(signal: Signal, config: RetrieveConfig, generator: torch.Generator, label: str) -> Solution:
    """Phase one modulus: seeds side by side, the better ones through volume-controlled shrink-wraps, the best averaged.

    The start is half the significant autocorrelation, grown by one voxel. Iterations run in complex64: rounding is
    below 1e-5 of an image, counting noise about 1e-2.

    Raises
    ------
    InputError
        No autocorrelation above the noise.
    """
    ndim = signal.modulus.ndim
    clean = torch.where(signal.known, signal.modulus, 0)
    variance = torch.where(signal.known, (2 * clean * signal.error).square(), 0)
    half = phasing.autocorrelation_support(clean.square(), variance)
    if int(half.sum()) < 2**ndim:
        raise InputError(
            f"phase retrieval of {label} needs an autocorrelation above its noise over some voxels; it has "
            f"{int(half.sum())}; measure longer, or retrieve another signal."
        )
    held_out = phasing.draw_held_out(signal.known, config.held_out, _speckle(half), generator)
    density, support = _iterate(signal, half, held_out, config, generator, label)
    return _best(_finished(density, support, signal, held_out, config), config)


def _speckle(body: Bool[Tensor, "*space"]) -> float:
    """Radius of the central speckle [point]: the grid's size over the body's width, where they are nearest."""
    places = torch.nonzero(body)
    widths = places.amax(0) - places.amin(0) + 1
    return max(size / int(width) for size, width in zip(body.shape, widths, strict=True))


def _iterate(
    signal: Signal, half: Tensor, held_out: Tensor, config: RetrieveConfig, generator: torch.Generator, label: str
) -> tuple[Tensor, Tensor]:
    """Iterations on the autocorrelation's support, then cycles of shrink-wrap and iterations; the kept seeds, cornered.

    Held-out points float.
    """
    ndim, step = half.ndim, phasing.STEPS[config.algorithm]
    modulus, error = signal.modulus.float(), signal.error.float()
    moduli = phasing.impose(modulus, signal.known & ~held_out, error)
    drawn = torch.rand(config.seeds, *modulus.shape, generator=generator, dtype=torch.float32)
    phases = 2 * math.pi * drawn.to(modulus.device)
    modulus, held_out, body = (cornered(array, ndim) for array in (modulus, held_out, half))
    envelope, volume = phasing.dilate(body, 3), int(half.sum())
    support = phasing.dilate(body, 1).expand(config.seeds, *modulus.shape)
    density = image_cornered(torch.polar(modulus.expand_as(phases), phases), ndim) * support
    for _ in progress(range(config.iterations), f"{label}: start"):
        density = step(density, moduli, support, config.beta, config.ceiling)
    density = phasing.error_reduction(density, moduli, support)
    kept = phasing.fourier_error(density, modulus, held_out).argsort()[: config.keep]
    density, support = density[kept], support[kept]
    for cycle in progress(range(config.cycles), f"{label}: shrink-wrap"):
        for _ in range(_CLEANING):
            density = phasing.error_reduction(density, moduli, support)
        share = cycle / max(config.cycles - 1, 1)
        target = min(round(volume * _between(config.shrink_volume, share)), int(envelope.sum()))
        support = phasing.shrink_to_volume(density, _between(config.shrink_sigma, share), target, envelope)
        ceiling = config.ceiling if cycle < config.cycles - _FREE_CYCLES else math.inf
        density = density * support
        for _ in range(config.shrink_every):
            density = step(density, moduli, support, config.beta, ceiling)
    density = density * support
    for _ in range(config.refine_iterations):
        density = phasing.error_reduction(density, moduli, support)
    return density, support


def _between(ends: tuple[float, float], share: float) -> float:
    """Value on the way from the first to the last."""
    return ends[0] + (ends[1] - ends[0]) * share


@dataclass(frozen=True)
class _Finished:
    """Seeds after the last iteration, best first."""

    densities: Complex[Tensor, "seed *space"]
    supports: Bool[Tensor, "seed *space"]
    free_errors: Float[Tensor, "seed"]
    fourier_errors: Float[Tensor, "seed"]


def _finished(density: Tensor, support: Tensor, signal: Signal, held_out: Tensor, config: RetrieveConfig) -> _Finished:
    """Order the seeds by the Fourier error of the held-out points, then impose these too for some error reductions."""
    ndim = held_out.ndim
    modulus, known, free = (cornered(array, ndim) for array in (signal.modulus.float(), signal.known, held_out))
    free_errors = phasing.fourier_error(density, modulus, free if free.any() else known)
    order = free_errors.argsort()
    order = order[free_errors[order] <= _SIMILAR_ERROR * free_errors[order[0]]][: config.average]
    density, support = density[order], support[order]
    moduli = phasing.impose(signal.modulus.float(), signal.known, signal.error.float())
    for _ in range(config.refine_iterations):
        density = phasing.error_reduction(density, moduli, support)
    errors = phasing.fourier_error(density, modulus, known)
    return _Finished(centred(density, ndim), centred(support, ndim), free_errors[order], errors)


def _best(found: _Finished, config: RetrieveConfig) -> Solution:
    """Average the solutions, centre the mean, and take the last support from it."""
    mean, aligned = average(found.densities.to(torch.complex128))
    ndim = mean.ndim
    last = phasing.shrink_to_level(mean, config.shrink_sigma[1], config.shrink_level, found.supports[0])
    move = _to_centre(last)
    space = tuple(range(-ndim, 0))
    mean, last, aligned = mean.roll(move, space), last.roll(move, space), aligned.roll(move, space)
    transfer = phasing.transfer_function(aligned)
    return Solution(mean, last, float(found.fourier_errors[0]), float(found.free_errors[0]), transfer)


def _to_centre(support: Tensor) -> list[int]:
    """Whole-voxel shift that brings the support's middle to the origin; it may lie across the border."""
    moves = []
    for axis, size in enumerate(support.shape):
        profile = support.sum([other for other in range(support.ndim) if other != axis]).double()
        angle = 2 * math.pi * torch.arange(size, device=support.device) / size
        middle = torch.atan2((profile * angle.sin()).sum(), (profile * angle.cos()).sum()) * size / (2 * math.pi)
        moves.append(size // 2 - round(float(middle)))
    return moves
