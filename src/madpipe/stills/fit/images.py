"""Misset and mosaic spread of the images of a file."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.base.runtime import progress
from madpipe.base.warned import keeping
from madpipe.physics.rotations import rotation_vector
from madpipe.stills.config import StillsFitConfig
from madpipe.stills.fit.recovery import Recovery, recover
from madpipe.stills.forward import image as expected_image
from madpipe.stills.geometry import Beam, Crystal, Panel, finest
from madpipe.stills.measured.images import Image, Images
from madpipe.stills.measured.reference import read_reference, require_same_crystal
from madpipe.stills.mosaic import SpotKernel, quadrature
from madpipe.stills.records import PixelFits
from madpipe.stills.reflections.model import indices_within, predicted
from madpipe.stills.scene import Background, Scene, StructureFactors
from madpipe.stills.symmetry import group_named

_REACH = 4.0  # widths 1 / (N a) from the Ewald sphere within which a reflection's pixels are fitted
_LEAST_BACKGROUND = 1e-3  # at the start: a factor cannot move 0 [photon/pixel]
_POOR = 1.3  # chi-square per pixel from which on the model does not explain the image
_AMPLITUDE = 100.0  # of every reflection where no reference is given; the scale is found [electron]


@keeping
def fit_images(
    images: Images,
    crystals: Sequence[Crystal | None],
    config: StillsFitConfig,
    factors: StructureFactors | None = None,
) -> PixelFits:
    """Fit the pixels of each image that has a crystal.

    Parameters
    ----------
    images:
        Of a detector of one panel.
    crystals:
        Of each image, None where it has none: its row is NaN.
    config:
        Method, what is free, where the search begins.
    factors:
        Structure factors; None: the same for every reflection.

    Raises
    ------
    InputError
        More than one panel, another number of crystals than images, or no crystal at all.
    """
    if len(images.panels) != 1:
        raise InputError(f"a fit of pixels needs a detector of one panel; {len(images.panels)} came; give one of them.")
    if len(crystals) != len(images):
        raise InputError(
            f"each of {len(images)} images needs its crystal; {len(crystals)} came; give one list of both."
        )
    found: list[Recovery | str] = []
    for number, crystal in enumerate(progress(list(crystals), "fitting images")):
        if crystal is None:
            found.append("no crystal")
            continue
        start = _start(images.beams[number], images.panels[0], crystal, config, factors)
        photons = _measured(images[number], start, config)
        found.append(recover(_scaled(start, photons), photons, config.free, config.method))
    if all(isinstance(one, str) for one in found):
        raise InputError(
            "a fit of pixels needs at least one image with a crystal; none has one; index the images first."
        )
    return _record(images, crystals, found, config)


def factors_of(reference: str | None, crystals: Sequence[Crystal | None]) -> StructureFactors | None:
    """Structure factors from a file of reference intensities or a model, of the crystals' own kind; None for no file.

    Raises
    ------
    InputError
        What the reader refuses, or a reference of another crystal.
    """
    first = next((one for one in crystals if one is not None), None)
    if not reference or first is None:
        return None
    found = read_reference(reference)
    require_same_crystal(found, first)
    amplitudes = np.sqrt(np.maximum(found.intensity, 0.0))
    return StructureFactors.symmetric(found.indices, amplitudes, group_named(found.space_group))


def _start(
    beam: Beam, panel: Panel, crystal: Crystal, config: StillsFitConfig, factors: StructureFactors | None
) -> Scene:
    """Where the search begins, at unit scale."""
    return Scene(
        beam=beam,
        panels=(panel,),
        crystal=crystal,
        cells=np.array(config.cells),
        factors=factors or StructureFactors.flat(_AMPLITUDE),
        scale=1.0,
        shape=config.shape,
        mosaicity=SpotKernel.isotropic() if config.shape == "gauss" else quadrature(),
        spread=math.radians(config.spread),
    )


def _measured(image: Image, scene: Scene, config: StillsFitConfig) -> Float[np.ndarray, "row column"]:
    """Photons of the pixels that are fitted, NaN elsewhere: all of a small image, else squares about spots."""
    photons = np.where(image.good[0] & ~image.saturated[0], image.counts[0], np.nan).astype(float)
    if photons.size <= config.whole:
        return photons
    near, panel = np.zeros(photons.shape, dtype=bool), scene.panels[0]
    width = _REACH / float((scene.cells * np.linalg.norm(scene.crystal.axes, axis=1)).min())
    hkl = indices_within(scene.crystal, finest(scene.beam, [panel]))
    for column, row in predicted(scene.beam, [panel], scene.crystal, hkl, width).xy:
        first, last = int(row) - config.half_box, int(column) - config.half_box
        near[max(0, first) : int(row) + config.half_box + 1, max(0, last) : int(column) + config.half_box + 1] = True
    return np.where(near, photons, np.nan)


def _scaled(scene: Scene, photons: Float[np.ndarray, "row column"]) -> Scene:
    """The start with the image's background and total photons."""
    used = np.isfinite(photons)
    background = max(float(np.median(photons[used])), _LEAST_BACKGROUND)
    bragg = float(expected_image(scene, scene.panels[0])[used].sum())
    above = float((photons[used] - background).sum())
    scale = max(above, 1.0) / bragg if bragg > 0 else 1.0
    return replace(scene, scale=scale, background=Background(background))


def _record(
    images: Images, crystals: Sequence[Crystal | None], found: Sequence[Recovery | str], config: StillsFitConfig
) -> PixelFits:
    """All images as one record, NaN where there is no answer."""
    first = next(one for one in found if isinstance(one, Recovery))
    told = {number: one for number, one in enumerate(crystals) if one is not None}
    group = next(iter(told.values())).space_group

    def each(value: object, of: object) -> np.ndarray:
        return np.array([of(one, k) if isinstance(one, Recovery) else value for k, one in enumerate(found)])  # type: ignore[operator]

    return PixelFits(
        names="\n".join(source.label for source in images.sources),
        method=config.method,
        space_group=group,
        axes=each(np.full((3, 3), np.nan), lambda one, _: one.scene.crystal.axes),
        turn=each(np.full(3, np.nan), lambda one, k: np.degrees(_turn(told[k], one.scene.crystal))),
        spread=each(np.nan, lambda one, _: math.degrees(one.scene.spread)),
        scale=each(np.nan, lambda one, _: one.scene.scale),
        background=each(np.nan, lambda one, _: one.scene.background.constant),
        cells=each(np.full(3, np.nan), lambda one, _: one.scene.cells),
        labels=",".join(first.labels),
        units=",".join(first.units),
        errors=each(np.full(len(first.labels), np.nan), lambda one, _: one.errors),
        pixels=each(0, lambda one, _: one.pixels),
        pearson=each(np.nan, lambda one, _: one.pearson),
        evaluations=each(0, lambda one, _: one.evaluations),
        verdicts="\n".join(one if isinstance(one, str) else _verdict(one) for one in found),
    )


def _turn(told: Crystal, found: Crystal) -> Float[np.ndarray, "3"]:
    """Rotation vector from the told to the found orientation [radian]."""
    return rotation_vector((told.reciprocal @ found.axes).T)


def _verdict(one: Recovery) -> str:
    """How well the image is explained."""
    if one.pearson < _POOR:
        return "good"
    return f"not explained: chi-square per pixel {one.pearson:.2f}, below {_POOR:g} is needed; check shape and cells"
