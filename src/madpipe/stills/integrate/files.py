"""Integration of the images of a file with their crystals and, where there is one, a reference."""

import math
from collections.abc import Sequence

import numpy as np

from madpipe.base.errors import InputError
from madpipe.base.runtime import log, progress
from madpipe.base.warned import keeping, warn
from madpipe.stills.geometry import Crystal, finest
from madpipe.stills.integrate.answer import integrated_of
from madpipe.stills.integrate.degeneracy import cell_against_distance
from madpipe.stills.integrate.fit import fit_stills
from madpipe.stills.integrate.prepare import Still, prepared
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.limits import MODEL_ERROR
from madpipe.stills.measured.images import Images, warn_of_gain
from madpipe.stills.measured.reference import (
    Reference,
    in_asymmetric_unit,
    read_reference,
    require_overlap,
    require_same_crystal,
)
from madpipe.stills.records import Integrated
from madpipe.stills.reflections.model import indices_within

_SAID = 5  # images that are named where many fail


def resolution_of(images: Images, config: IntegrateConfig) -> float:
    """Least d of the reflections that are looked for: as told, but not beyond the detector's corners [angstrom]."""
    corners = min(finest(beam, images.panels) for beam in images.beams)
    return max(corners, config.resolution or 0.0)


def reference_of(path: str | None, images: Images, config: IntegrateConfig) -> Reference | None:
    """Read a reference; a model's intensities to the resolution of the images. None for no file."""
    return read_reference(path, resolution=resolution_of(images, config)) if path else None


@keeping
def integrate_images(
    images: Images,
    crystals: Sequence[Crystal | None],
    config: IntegrateConfig,
    reference: Reference | None = None,
    excitation: float | None = None,
) -> Integrated:
    """Integrate the spots of all images, with their scales, orientations and instrument, in one fit.

    Parameters
    ----------
    images, crystals:
        Of one detector, and the crystal of each image; an image without one, or with too few spots, is left out with a
        line.
    config:
        Method, what is fitted, priors.
    reference:
        Intensities; None: Wilson's law is all that is known of them.
    excitation:
        rms error of excitation that indexing found, which tells R0 (its square is half of R0's) [1/angstrom].

    Raises
    ------
    InputError
        No image can be integrated, crystals of different cells or space groups, or a reference of another crystal.
    """
    known = [(number, one) for number, one in enumerate(crystals) if one is not None]
    if not known:
        raise InputError("integration needs at least one image with a crystal; none has one; index the images first.")
    first = known[0][1]
    if reference is not None:
        require_same_crystal(reference, first)
    _require_one_kind([one for _, one in known])
    settings = config if excitation is None else _with_radius(config, math.sqrt(2) * excitation)
    hkl = indices_within(first, resolution_of(images, config))
    if reference is not None:
        require_overlap(reference, in_asymmetric_unit(hkl, first.space_group))
    stills, used = _all_prepared(images, known, hkl, settings)
    told = (None, None) if reference is None else (reference.indices, reference.intensity)
    try:
        fitted = fit_stills(stills, first.space_group, settings, *told)
        cell_against_distance(fitted)  # warns
        found = integrated_of(fitted, used)
    except np.linalg.LinAlgError as error:
        raise _undetermined(stills) from error
    if not all(np.isfinite(one).all() for one in (found.tables()[1].ln_scale, found.tables()[1].ln_scale_errors)):
        raise _undetermined(stills)
    _tell(found)
    return found


def _tell(found: Integrated) -> None:
    """Say where the answer is not to be trusted as it stands."""
    if not found.settled:
        warn(f"the fit has not settled after {found.passes} passes; give it more (stills.integrate.passes)")
    if found.model_error > MODEL_ERROR:
        warn(
            f"spots differ by {100 * found.model_error:.0f} % from what the model expects, beside counting and the "
            "reference: domains of one size, shape and mosaicity do not fit these crystals; scales and intensities "
            "are worse than stated"
        )


def _undetermined(stills: Sequence[Still]) -> InputError:
    """The fit ran away."""
    return InputError(
        f"integration needs images whose spots determine scales and orientations; those of {len(stills)} images do "
        "not; check the crystals (`stills index`), their mosaicity (`--table`), or give a reference."
    )


def _all_prepared(
    images: Images, known: Sequence[tuple[int, Crystal]], hkl: np.ndarray, config: IntegrateConfig
) -> tuple[list[Still], list[Crystal]]:
    """Boxes of the images that can be measured, with their crystals; the others are told in a line."""
    stills: list[Still] = []
    used: list[Crystal] = []
    failed: list[str] = []
    for number, crystal in progress(known, "cutting boxes"):
        try:
            stills.append(_prepared(images, number, crystal, hkl, config))
            used.append(crystal)
        except InputError as error:
            failed.append(str(error))
    for line in failed:
        log.warning(line)
    if failed:
        others = "" if len(failed) <= _SAID else f" and {len(failed) - _SAID} more"
        warn(f"{len(failed)} of {len(images)} images are left out: {' '.join(failed[:_SAID])}{others}")
    if not stills:
        raise InputError(f"integration needs an image whose spots can be measured; none can: {failed[0]}")
    return stills, used


def _prepared(images: Images, number: int, crystal: Crystal, hkl: np.ndarray, config: IntegrateConfig) -> Still:
    """Boxes of one image; its exposure, where it is known, is its monitor."""
    image, name = images[number], images.sources[number].label
    warn_of_gain(image, name)
    counts = [one.astype(float) for one in image.counts]
    good = [one & ~full for one, full in zip(image.good, image.saturated, strict=True)]
    exposure = images.exposures[number]
    monitor = math.log(exposure) if math.isfinite(exposure) and exposure > 0 else 0.0
    return prepared(name, counts, good, images.beams[number], list(images.panels), crystal, hkl, config, monitor)


def _with_radius(config: IntegrateConfig, radius: float) -> IntegrateConfig:
    """Begin with the R0 that the spots of indexing tell."""
    prior = config.priors.mosaic_radius.model_copy(update={"value": radius})
    return config.model_copy(update={"priors": config.priors.model_copy(update={"mosaic_radius": prior})})


def _require_one_kind(crystals: Sequence[Crystal]) -> None:
    """Refuse images of different crystals."""
    groups = {one.space_group for one in crystals}
    cells = np.array([one.cell for one in crystals])
    off = np.abs(cells / np.median(cells, axis=0) - 1).max()
    if len(groups) > 1 or off > 0.05:
        raise InputError(
            f"integration needs crystals of one kind; space groups {', '.join(sorted(groups))} came, cells up to "
            f"{100 * off:.2g} % apart; give one kind at a time."
        )
