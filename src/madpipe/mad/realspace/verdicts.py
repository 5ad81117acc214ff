"""Checks of an object: a number, its limit, whether it passes, and what it means."""

import math

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from madpipe.base.verdict import Verdict, verdict, verdicts_in
from madpipe.mad import limits
from madpipe.mad.records import RealSpace, Stack, Truth
from madpipe.physics.alignment import Alignment, align, twin
from madpipe.physics.phasing import count_vortices, interior

_DEEP = 5.0  # voxels below the surface at which the core-shell profile ends


def check_object(found: RealSpace, stack: Stack, other: RealSpace | None = None) -> dict[str, Verdict]:
    """Check an object against its stack's truth where there is one, and against physics everywhere.

    Parameters
    ----------
    found:
        Its own verdicts (of the retrieval) are kept.
    other:
        The same object by another route.
    """
    checks = verdicts_in(found.verdicts)
    # a lattice that jumps by half a spacing between voxels has vortices of its own
    most = 0.0 if stack.truth is None else _vortices(stack.truth)
    checks["vortices"] = verdict(
        _vortices(found), most, True, "squares of voxels inside around which the phase winds; the truth's are the limit"
    )
    checks["support"] = _support(found.support > 0)
    if (found.support > 0).any():
        mean = float(found.composition[found.support > 0].mean())
        checks["share"] = verdict(
            max(-mean, mean - 1),
            limits.SHARE_BEYOND,
            True,
            "how far the resonant atoms' share, on average, lies outside of 0 to 1, where no particle has it",
        )
    if stack.truth is not None:
        checks |= _against_truth(found, stack)
    if other is not None:
        checks["routes"] = compare_routes(found, other)
    return checks


def _support(inside: np.ndarray) -> Verdict:
    """A particle fills so little of the frame that its autocorrelation lies in it; a support that does not is none."""
    most = limits.OVERSAMPLING**-inside.ndim
    words = (
        f"share of the frame in the support; of more, sampled less than {limits.OVERSAMPLING:g} times, none is found"
    )
    return verdict(inside.mean(), most, True, words)


def _vortices(item: RealSpace | Truth) -> float:
    """Vortices of the density of all atoms, a voxel or more below the surface."""
    total, support = torch.as_tensor(item.rho_resonant + item.rho_normal), torch.as_tensor(item.support > 0)
    return float(count_vortices(total, interior(support, support.ndim), support.ndim))


def compare_routes(first: RealSpace, second: RealSpace) -> Verdict:
    """Compare two routes: correlation of the densities of all atoms, after alignment."""
    one, two = (
        torch.as_tensor(item.rho_resonant + item.rho_normal) * torch.as_tensor(item.support) for item in (first, second)
    )
    return verdict(align(two, one).correlation, limits.ROUTES, False, "correlation of the densities by the two routes")


def on_truth(found: RealSpace, stack: Stack) -> tuple[Alignment, np.ndarray, np.ndarray]:
    """Move an object onto its stack's truth, which no intensity fixes: density and support, composition and its error.

    Support, composition and error move by whole voxels. The twin is taken where it fits better, but only if the
    retrieval could not tell the hand.
    """
    truth, support = stack.truth, torch.as_tensor(found.support > 0)
    reference = torch.as_tensor((truth.rho_resonant + truth.rho_normal) * truth.support)
    density = torch.as_tensor(found.rho_resonant + found.rho_normal) * support
    hand = verdicts_in(found.verdicts).get("hand")
    hand_known = hand is None or hand.passed
    placed = align(density, reference, support, allow_twin=not hand_known)
    move = [int(value) for value in placed.shift.round()]
    images = (torch.as_tensor(array) for array in (found.composition, found.composition_errors))
    turned = (twin(image, image.ndim) if placed.twinned else image for image in images)
    composition, errors = (image.roll(move, tuple(range(image.ndim))).numpy() for image in turned)
    return placed, composition, errors


def _against_truth(found: RealSpace, stack: Stack) -> dict[str, Verdict]:
    """Checks that need the truth, with the image moved onto it."""
    truth = stack.truth
    placed, composition, errors = on_truth(found, stack)
    inside, true = placed.support.numpy(), truth.support > 0
    both = inside & true
    depth = distance_transform_edt(true)
    checks = {
        "correlation": verdict(
            placed.correlation, limits.CORRELATION, False, "correlation of the density of all atoms with the truth"
        ),
        "support_overlap": verdict(
            both.sum() / (inside | true).sum(),
            limits.SUPPORT_OVERLAP,
            False,
            "intersection over union of the support and the true one",
        ),
        "volume": verdict(
            abs(inside.sum() / true.sum() - 1), limits.VOLUME, True, "volume over the true one, less 1, unsigned"
        ),
    }
    if both.any():
        checks["profile"] = verdict(
            _profile_difference(composition, truth.composition, depth, both),
            limits.COMPOSITION_PROFILE,
            True,
            "rms difference of the composition from the truth, averaged at equal depth below the surface",
        )
        checks |= _control(composition[both], errors[both], truth.composition[both])
        core = both & (depth >= min(_DEEP, 0.7 * float(depth.max())))
        expected, came = truth.composition[core].mean(), composition[core].mean()
        checks["core_composition"] = verdict(
            abs(came - expected),
            limits.CORE_COMPOSITION,
            True,
            f"core: {came:.3f} resonant atoms where {expected:.3f} are expected; difference",
        )
    return checks


def _control(found: np.ndarray, errors: np.ndarray, true: np.ndarray) -> dict[str, Verdict]:
    """A particle of one kind of atoms: the other kind is nowhere, within its errors."""
    if not (np.all(true == 1) or np.all(true == 0)):
        return {}
    deviation = float(np.sqrt(np.mean(((found - true) / np.maximum(errors, 1e-30)) ** 2)))
    return {"control": verdict(deviation, limits.ABSENT_ATOMS, True, "rms share of absent atoms over its stated error")}


def _profile_difference(found: np.ndarray, truth: np.ndarray, depth: np.ndarray, both: np.ndarray) -> float:
    """Rms over whole voxels of depth of the difference of the mean compositions."""
    shell = np.minimum(depth[both], _DEEP).astype(int)
    count = np.bincount(shell)
    filled = count > 0
    off = np.bincount(shell, (found - truth)[both])[filled] / count[filled]
    return math.sqrt(float(np.mean(off**2)))
