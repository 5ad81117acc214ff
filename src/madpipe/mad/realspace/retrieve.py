"""Real space: densities of the resonant and of the other atoms by three routes, composition, displacement, checks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from skimage.restoration import unwrap_phase
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.base.runtime import device, log
from madpipe.base.verdict import Verdict, text_of, verdict
from madpipe.base.warned import keeping, warn
from madpipe.mad import limits
from madpipe.mad.config import FitConfig, NuisanceConfig, Refinable, RetrieveConfig
from madpipe.mad.fit.fit import own_errors
from madpipe.mad.fit.refine import refine_nuisances
from madpipe.mad.measured.axes import require_even_axes
from madpipe.mad.measured.checks import screened
from madpipe.mad.realspace.imaging import Solution, fitted_signal, mean_signal, retrieve_signal
from madpipe.mad.realspace.joint import Joint, retrieve_jointly
from madpipe.mad.realspace.joint.coarse import first_guess
from madpipe.mad.realspace.joint.model import experiment_of
from madpipe.mad.realspace.joint.nuisances import nuisances_of
from madpipe.mad.realspace.joint.residual import Residual
from madpipe.mad.realspace.lone import without_isolated
from madpipe.mad.realspace.separation import (
    Factors,
    Separation,
    linked_separation,
    momentum_transfer_of,
    scattering_factors,
)
from madpipe.mad.realspace.table_doubt import factor_error
from madpipe.mad.realspace.verdicts import check_object
from madpipe.mad.records import LOWER_BOUNDS, STANDARD, Fit, Nuisance, RealSpace, Stack
from madpipe.physics import phasing
from madpipe.physics.alignment import align, twin
from madpipe.physics.fourier import diffract, image

Route = Literal["linked", "separate", "joint"]


_TRIES = 3  # joint searches, each from a first image of its own, of which one explains the counts as a rule


@dataclass(frozen=True)
class _Image:
    """What a route found."""

    resonant: Complex[Tensor, "*space"]  # scattering factors held at their values at the Bragg peak [sqrt(photon)]
    normal: Complex[Tensor, "*space"]
    support: Bool[Tensor, "*space"]
    composition: Float[Tensor, "*space"]
    composition_errors: Float[Tensor, "*space"]
    checks: dict[str, Verdict]  # that only the route itself can make
    nuisance: Nuisance | None = None
    spread: float | None = None  # of the composition about its mean, as it was believed


@keeping
def retrieve(
    fit: Fit | None,
    stack: Stack,
    config: RetrieveConfig,
    generator: torch.Generator,
    route: Route = "joint",
    partner: str | None = None,
    refine: Sequence[Refinable] = (),
    known: NuisanceConfig | None = None,
) -> RealSpace:
    r"""Image the resonant and the other atoms.

    Joint: both densities are searched on a common support, such that the counts of all energies are most likely
    (:mod:`madpipe.mad.realspace.joint`); no fit is needed. Linked: one signal is phased (the mean intensity,
    :math:`G = F_T + \bar\rho F_A`, or :math:`F_T`); F_A and F_N follow from the fit's :math:`F_A / G` on its origin and
    hand, :math:`\phi_A = \phi_T - \Delta\phi`. Of the two twins the one is taken whose resonant atoms lie in the
    support with a real share of the density. Separate: the moduli :math:`|F_A|` and :math:`|F_N|` are phased each on
    their own and aligned afterwards; no :math:`\Delta\phi` enters.

    Parameters
    ----------
    fit, stack:
        The answer of a fit or network, and the stack it belongs to (2-D or 3-D, on regular q axes).
    config, generator:
        Settings; starts and error draws come from the generator.
    partner:
        Symbol of the non-resonant element; unknown, a simulation's own is taken, else the resonant element's f0: then
        shares are of electrons, not of atoms.
    refine:
        Nuisances that the joint route refines with the densities; the other routes take the fit's.
    known:
        Priors of nuisances, f', f'' among them; the defaults where none come.

    Raises
    ------
    InputError
        A list of reflections; axes that are not regular; no signal above the noise; a route that needs a fit without
        one; a nuisance with nothing to act on; a partner that :func:`scattering_factors` refuses.
    """
    voxel_size = _voxel_size(stack)
    factors = scattering_factors(stack, partner)  # before anything takes time
    stack = screened(without_isolated(stack))
    known = known or NuisanceConfig()
    if route == "joint":
        found = _joint(stack, config, generator, factors, refine, known)
        refined = found.nuisance
    elif fit is None:
        raise InputError(f"the {route} route needs a fit; none came; give fit.h5, or take the joint route.")
    else:
        fit = own_errors(stack, fit)  # points are redrawn and averaged as if independent
        routed = {"linked": _linked, "separate": _separate}[route](fit, stack, config, generator, factors)
        found = _from_separation(*routed, config, generator)
        refined = fit.nuisance
    record = _record(found, stack, voxel_size, route, factors)
    atoms = torch.stack([found.resonant / factors.resonant, found.normal / factors.normal]).to(torch.complex64)
    return replace(
        record,
        verdicts=text_of(check_object(record, stack)),
        resonant_factor_errors=factor_error(stack, experiment_of(stack, factors), atoms, known, refined),
    )


def _joint(
    stack: Stack,
    config: RetrieveConfig,
    generator: torch.Generator,
    factors: Factors,
    refine: Sequence[Refinable],
    known: NuisanceConfig,
) -> _Image:
    """A first image of the mean intensity, a cold start from it, the joint search; again where chi-square is bad."""
    experiment = experiment_of(stack, factors, device())
    nuisances, seen, common = None, experiment, 0.0
    if refine:
        start = refine_nuisances(stack, refine, FitConfig(nuisance=known))
        nuisances = nuisances_of(stack, refine, known, start)
        seen = nuisances.applied(experiment, nuisances.theta)
        common = start.f_resonant_relative_error or 0.0
    signal, tried = mean_signal(stack).to(device()), list[Joint]()
    while len(tried) < _TRIES and not (tried and tried[-1].residual.chi2 <= tried[-1].residual.most_chi2):
        if tried:
            log.info("joint: chi2 %.3g of this object is not noise alone: another start", tried[-1].residual.chi2)
        guess = first_guess(seen, signal, config, generator)
        tried.append(retrieve_jointly(experiment, guess, config.joint, generator, nuisances))
    found = min(tried, key=lambda one: one.residual.chi2)
    checks = {
        "hand": verdict(
            found.hand,
            limits.LIKELIER_HAND,
            False,
            "ln of how much likelier this hand makes the counts than its twin, beliefs included",
        ),
        "r_factor": _r_factor(found.residual),
        "chi2": verdict(
            found.residual.chi2,
            found.residual.most_chi2,
            True,
            "chi2 per degree of freedom: 1 where noise is all that is left, more where the equation's own error shows",
        ),
        "converged": verdict(found.last_step, config.joint.tolerance, True, "last step of the search [standard error]"),
    }
    record = None if found.nuisances is None else found.nuisances.record(stack, found.sums)
    composition, errors = found.composition.cpu().double(), found.composition_errors.cpu().double()
    if record is not None and "dispersion" not in refine:
        # what scales all resonant atoms alike, in a total that intensities fix; the per-point refinement's where that
        # is larger: single precision finds information where there is none. With f', f'' refined it is mostly their
        # prior's, which no intensity sees, and stands apart (factor_error)
        errors = torch.hypot(errors, composition * max(common, record.f_resonant_relative_error))
    resonant, normal = (part.cpu().to(torch.complex128) for part in found.atoms)
    return _Image(
        resonant * factors.resonant,
        normal * factors.normal,
        found.support.cpu(),
        composition,
        errors,
        checks,
        record,
        found.spread,
    )


def _r_factor(left: Residual) -> Verdict:
    """R over that of noise: above a limit the object does not explain the counts, far below 1 it explains too much."""
    ratio, words = left.r_over_noise, f"R over its noise floor: {left.r:.4f} over {left.r_noise:.4f}"
    if ratio < left.least:
        words = (
            f"{words}; less than an object can reach by its unknowns and by chance: the counts' noise is not Poisson's"
        )
        return verdict(ratio, left.least, False, words)
    return verdict(ratio, limits.OBJECT_R_OVER_NOISE, True, words)


def _from_separation(
    separation: Separation, solution: Solution, hand: float, config: RetrieveConfig, generator: torch.Generator
) -> _Image:
    """Composition and its errors of a route that separates phased structure factors."""
    return _Image(
        separation.resonant,
        separation.normal,
        solution.support,
        separation.composition() * solution.support,
        separation.composition_errors(config.draws, generator, solution.support) * solution.support,
        _engine_checks(solution, hand),
    )


def _linked(
    fit: Fit, stack: Stack, config: RetrieveConfig, generator: torch.Generator, factors: Factors
) -> tuple[Separation, Solution, float]:
    """Phase one signal and separate the elements with both hands; keep the better hand."""
    good = np.asarray(stack.good.all(axis=0))
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
        separation = linked_separation(fit, stack, factor, signal.error, hand.support, mean, factors)
        around = phasing.dilate(hand.support, 1)  # a rim cut off either hand would blur their difference
        tried.append((separation.inconsistency(around), separation, hand))
    (best, separation, hand), (worst, _, _) = sorted(tried, key=lambda item: item[0])
    return separation, hand, worst / max(best, 1e-12)


def _separate(
    fit: Fit, stack: Stack, config: RetrieveConfig, generator: torch.Generator, factors: Factors
) -> tuple[Separation, Solution, float]:
    """Phase |F_A| and |F_N| apart and align the weaker image to the stronger."""
    good = np.asarray(stack.good.all(axis=0))
    moduli = ((fit.f_resonant, fit.f_resonant_errors), (fit.f_normal, fit.f_normal_errors))
    parts = []
    for label, (modulus, error) in zip(("|F_A|", "|F_N|"), moduli, strict=True):
        signal = fitted_signal(modulus, error, good, config.float_above)
        parts.append((retrieve_signal(signal, config, generator, label), signal))
    (resonant, signal_a), (normal, signal_n) = parts
    moved = align(normal.density, resonant.density, normal.support)
    support = resonant.support | moved.support
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
    require_even_axes(stack)
    axes = [np.asarray(getattr(stack, name), dtype=float) for name in stack.axes]
    return np.array([2 * math.pi / (len(axis) * np.diff(axis).mean()) for axis in axes])


def _engine_checks(solution: Solution, hand: float) -> dict[str, Verdict]:
    """Checks that only the retrieval itself can make."""
    everywhere = torch.ones_like(solution.transfer, dtype=torch.bool)
    resolution = phasing.resolution(solution.transfer, everywhere, limits.TRANSFER)
    checks = {
        "fourier_error": verdict(
            solution.fourier_error, limits.FOURIER_ERROR, True, "relative misfit of the image to the measured moduli"
        ),
        "free_error": verdict(
            solution.free_error, limits.FREE_ERROR, True, "the same for the points held out of the iterations"
        ),
        "transfer_resolution": verdict(
            resolution,
            limits.RESOLUTION,
            False,
            f"q, as a share of the frame's edge, to which the averaged solutions agree (PRTF {limits.TRANSFER:g})",
        ),
    }
    if math.isfinite(hand):
        checks["hand"] = verdict(
            hand,
            limits.TWIN_INCONSISTENCY,
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


def _bragg_length(stack: Stack) -> float:
    """Length of the Bragg vector, of the stack or from its f0; of 1, said so, where neither gives it [1/angstrom]."""
    try:
        q = momentum_transfer_of(stack).broadcast_to(stack.shape)
        length = float(q[tuple(size // 2 for size in stack.shape)])
    except InputError:
        length = 0.0
    if length > 0:
        return length
    warn("neither q_bragg nor f0 gives |Q|: the displacement stands for Q.u in radian, not in angstrom; give q_bragg")
    return 1.0


def _record(found: _Image, stack: Stack, voxel_size: np.ndarray, route: Route, factors: Factors) -> RealSpace:
    """Put densities, composition with its error, and displacement into the file's record."""
    resonant, normal, inside = found.resonant.numpy(), found.normal.numpy(), found.support.numpy()
    return RealSpace(
        rho_resonant=resonant,
        rho_normal=normal,
        support=inside.astype(np.uint8),
        composition=found.composition.numpy(),
        composition_errors=found.composition_errors.numpy(),
        displacement=displacement_from_phase(resonant + normal, inside, _bragg_length(stack)),
        voxel_size=voxel_size,
        route=route,
        verdicts=text_of(found.checks),
        amplitude_resonant=np.abs(resonant),
        phase_resonant=np.angle(resonant),
        amplitude_normal=np.abs(normal),
        phase_normal=np.angle(normal),
        q_bragg=stack.q_bragg,
        partner=factors.partner,
        composition_of="atoms" if factors.partner else "electrons",
        # what the weights of points and the network smooth away is in no error that a point states
        composition_errors_are=STANDARD if route == "joint" else LOWER_BOUNDS,
        nuisance=found.nuisance,
        believed_spread=found.spread,
    )
