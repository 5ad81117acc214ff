"""Real space: phases from the support, densities of the resonant and of the other atoms, composition, displacement."""

import json
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from skimage.restoration import unwrap_phase
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.runtime import progress
from madpipe.mad.config import RetrieveConfig
from madpipe.mad.elements import Separation, linked_separation, scattering_factors
from madpipe.mad.records import Fit, RealSpace, Stack
from madpipe.mad.verdicts import Verdict, check_object, verdict
from madpipe.physics import phasing
from madpipe.physics.alignment import align, average, twin
from madpipe.physics.fourier import centred, cornered, diffract, image, image_cornered

_FREE_CYCLES = 2  # last cycles, which run without the ceiling so that it leaves no mark
_CLEANING = 5  # error-reduction steps before each shrink-wrap
_SIMILAR_ERROR = 1.25  # solutions within this factor of the least Fourier error may be averaged
_FOURIER_LIMIT = 0.1
_FREE_LIMIT = 0.3
_TRANSFER_LIMIT = 0.5
_HAND_LIMIT = 1.02


@dataclass(frozen=True)
class Signal:
    """A modulus to be phased, on the stack's q grid."""

    modulus: Float[Tensor, "*q"]  # [sqrt(photon)]
    error: Float[Tensor, "*q"]  # [sqrt(photon)]
    known: Bool[Tensor, "*q"]  # imposed; the others float


@dataclass(frozen=True)
class Solution:
    """Average of the best solutions of one signal."""

    density: Complex[Tensor, "*space"]  # [sqrt(photon)]
    support: Bool[Tensor, "*space"]
    fourier_error: float  # of all known points
    free_error: float  # of the points held out of the iterations; of all known points where none was
    transfer: Float[Tensor, "*q"]


def retrieve(
    fit: Fit,
    stack: Stack,
    config: RetrieveConfig,
    generator: torch.Generator,
    route: Literal["linked", "separate"] = "linked",
    partner: str | None = None,
) -> RealSpace:
    r"""Image the resonant and the other atoms.

    Linked: one signal is phased (the mean intensity, :math:`G = F_T + \bar\rho F_A`, or :math:`F_T`); F_A and F_N
    follow from the fit's :math:`F_A / G` on its origin and hand, :math:`\phi_A = \phi_T - \Delta\phi`. Of the two
    twins the one is taken whose resonant atoms lie in the support with a real share of the density. Separate: the
    moduli :math:`|F_A|` and :math:`|F_N|` are phased each on their own and aligned afterwards; no
    :math:`\Delta\phi` enters.

    Parameters
    ----------
    fit, stack:
        The answer of a fit or network, and the stack it belongs to (2-D or 3-D, on regular q axes).
    config, generator:
        Settings; starts and error draws come from the generator.
    partner:
        Symbol of the non-resonant element; unknown, a simulation's own is taken, else the resonant element's f0.

    Raises
    ------
    InputError
        A list of reflections; axes that are not regular; no signal above the noise.
    """
    voxel_size = _voxel_size(stack)
    if route == "linked":
        separation, solution, hand = _linked(fit, stack, config, generator, partner)
    else:
        separation, solution, hand = _separate(fit, stack, config, generator, partner)
    checks = _engine_checks(solution, hand)
    record = _record(separation, solution, stack, voxel_size, route, config, generator)
    record = replace(record, verdicts=json.dumps(checks))
    return replace(record, verdicts=json.dumps(check_object(record, stack)))


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
    phases = 2 * math.pi * torch.rand(config.seeds, *modulus.shape, generator=generator, dtype=torch.float32)
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


def _linked(
    fit: Fit, stack: Stack, config: RetrieveConfig, generator: torch.Generator, partner: str | None
) -> tuple[Separation, Solution, float]:
    """Phase one signal and separate the elements with both hands; keep the better hand."""
    good = stack.good.all(axis=0)
    mean = config.signal == "mean"
    signal = mean_signal(stack) if mean else fitted_signal(fit.f_total, fit.f_total_errors, good, config.float_above)
    solution = retrieve_signal(signal, config, generator, "mean intensity" if mean else "|F_T|")
    ndim = signal.modulus.ndim
    # the twin's structure factor is the conjugate in every point, hence its transfer function is the same
    other = replace(solution, density=twin(solution.density, ndim), support=twin(solution.support, ndim))
    tried = []
    for hand in (solution, other):
        phased = diffract(hand.density, ndim)
        factor = torch.where(signal.known, signal.modulus * phased.sgn(), phased)
        separation = linked_separation(fit, stack, factor, signal.error, hand.support, mean, partner)
        around = phasing.dilate(hand.support, 1)  # a rim cut off either hand would blur their difference
        tried.append((separation.inconsistency(around), separation, hand))
    (best, separation, hand), (worst, _, _) = sorted(tried, key=lambda item: item[0])
    return separation, hand, worst / max(best, 1e-12)


def _separate(
    fit: Fit, stack: Stack, config: RetrieveConfig, generator: torch.Generator, partner: str | None
) -> tuple[Separation, Solution, float]:
    """Phase |F_A| and |F_N| apart and align the weaker image to the stronger."""
    good = stack.good.all(axis=0)
    moduli = ((fit.f_resonant, fit.f_resonant_errors), (fit.f_normal, fit.f_normal_errors))
    parts = []
    for label, (modulus, error) in zip(("|F_A|", "|F_N|"), moduli, strict=True):
        signal = fitted_signal(modulus, error, good, config.float_above)
        parts.append((retrieve_signal(signal, config, generator, label), signal))
    (resonant, signal_a), (normal, signal_n) = parts
    moved = align(normal.density, resonant.density, normal.support)
    support = resonant.support | moved.support
    factors = scattering_factors(stack, partner)
    densities = (resonant.density, moved.density)
    corrected = [
        image(diffract(density, density.ndim) * factors.correction(name), density.ndim)
        for density, name in zip(densities, ("resonant", "normal"), strict=True)
    ]
    errors = tuple(torch.where(part.known, part.error, 0) for part in (signal_a, signal_n))
    separation = Separation(corrected[0], corrected[1], factors, errors[0], errors[1])
    misfits = (max(resonant.fourier_error, normal.fourier_error), max(resonant.free_error, normal.free_error))
    transfer = torch.minimum(resonant.transfer, normal.transfer)
    return separation, Solution(corrected[0] + corrected[1], support, *misfits, transfer), math.nan


def _voxel_size(stack: Stack) -> np.ndarray:
    """Voxel size along each axis, 2 pi / (n dq) [angstrom]."""
    if stack.reflection is not None:
        raise InputError(
            f"phase retrieval needs a 2-D or 3-D grid in q; {stack.name} is a list of reflections; skip this step."
        )
    sizes = []
    for name in stack.axes:
        axis = np.asarray(getattr(stack, name), dtype=float)
        steps = np.diff(axis)
        if not np.allclose(steps, steps.mean(), rtol=1e-3):
            raise InputError(
                f"phase retrieval needs regular q axes; steps of {name} run from {steps.min():.3g} to "
                f"{steps.max():.3g} 1/angstrom; regrid the stack."
            )
        sizes.append(2 * math.pi / (len(axis) * abs(steps.mean())))
    return np.array(sizes)


def _engine_checks(solution: Solution, hand: float) -> dict[str, Verdict]:
    """Checks that only the retrieval itself can make."""
    everywhere = torch.ones_like(solution.transfer, dtype=torch.bool)
    resolution = phasing.resolution(solution.transfer, everywhere, _TRANSFER_LIMIT)
    checks = {
        "fourier_error": verdict(
            solution.fourier_error, _FOURIER_LIMIT, True, "relative misfit of the image to the measured moduli"
        ),
        "free_error": verdict(
            solution.free_error, _FREE_LIMIT, True, "the same for the points held out of the iterations"
        ),
        "transfer_resolution": verdict(
            resolution,
            0.5,
            False,
            "q, as a share of the frame's edge, to which the averaged solutions agree (PRTF 0.5)",
        ),
    }
    if math.isfinite(hand):
        checks["hand"] = verdict(
            hand,
            _HAND_LIMIT,
            False,
            "inconsistency of the resonant atoms in the twin over that in the image; near 1 the hand is undetermined",
        )
    return checks


def displacement_from_phase(density: np.ndarray, support: np.ndarray, bragg_length: float) -> np.ndarray:
    r"""Displacement along the Bragg vector, :math:`u = \arg\rho / |Q|`, unwrapped and of zero mean in the support."""
    if not support.any():
        return np.zeros(density.shape)
    masked = np.ma.masked_array(np.angle(density), mask=~support)
    phase = np.asarray(np.ma.filled(unwrap_phase(masked, rng=0), 0.0))
    phase = np.where(support, phase, 0.0)
    return np.where(support, phase - phase[support].mean(), 0.0) / bragg_length


def _record(
    separation: Separation,
    solution: Solution,
    stack: Stack,
    voxel_size: np.ndarray,
    route: str,
    config: RetrieveConfig,
    generator: torch.Generator,
) -> RealSpace:
    """Put densities, composition with its error, and displacement into the file's record."""
    support = solution.support
    composition = separation.composition() * support
    errors = separation.composition_errors(config.draws, generator, support) * support
    resonant, normal = separation.resonant.numpy(), separation.normal.numpy()
    inside = support.numpy()
    length = 1.0 if stack.q_bragg is None else float(np.linalg.norm(stack.q_bragg))
    return RealSpace(
        rho_resonant=resonant,
        rho_normal=normal,
        support=inside.astype(np.uint8),
        composition=composition.numpy(),
        composition_errors=errors.numpy(),
        displacement=displacement_from_phase(resonant + normal, inside, length),
        voxel_size=voxel_size,
        route=route,
        verdicts="{}",
        amplitude_resonant=np.abs(resonant),
        phase_resonant=np.angle(resonant),
        amplitude_normal=np.abs(normal),
        phase_normal=np.angle(normal),
        q_bragg=stack.q_bragg,
    )
