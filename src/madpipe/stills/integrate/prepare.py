"""From an image to the boxes of the spots that its crystal can show."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.base.errors import InputError
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.integrate.image_model import Scene
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.reflections.boxes import ALL_MASKED, SATURATED, Boxes, cut, joined
from madpipe.stills.reflections.domains import shapes_of
from madpipe.stills.reflections.model import predicted, squared_radius
from madpipe.stills.reflections.movement import strains_of

_SEEN = 0.7  # share of the pixels of a spot's core that must be good


@dataclass(frozen=True)
class Still:
    """One image, ready to be fitted: its spots' boxes and the geometry it was told."""

    name: str
    scene: Scene
    boxes: Boxes
    ln_monitor: float  # logarithm of the monitor, which the prior of ln G is about
    left_out: dict[str, int]  # spots that are not used, by reason


def prepared(
    name: str,
    images: list[Float[np.ndarray, "row column"]],
    masks: list[Bool[np.ndarray, "row column"]],
    beam: Beam,
    panels: list[Panel],
    crystal: Crystal,
    hkl: Int[np.ndarray, "reflection 3"],
    config: IntegrateConfig,
    ln_monitor: float = 0.0,
) -> Still:
    """Predict an image's spots and cut their boxes.

    Parameters
    ----------
    name:
        Of the image, for messages and tables.
    images, masks:
        Counts [photon] and good pixels of each panel.
    beam, panels, crystal:
        Geometry as told.
    hkl:
        From :func:`madpipe.stills.reflections.model.indices_within`, to the resolution of the settings.
    config:
        Boxes and the least partiality.
    ln_monitor:
        Of the pulse or exposure.

    Raises
    ------
    InputError
        R0 or bandwidth that are none, too few spots, or images and panels that do not go together.
    """
    _check_shapes(name, images, panels)
    mosaic, bandwidth = config.priors.mosaic_radius.value, beam.bandwidth
    if not mosaic > 0 or bandwidth < 0:
        raise InputError(
            f"R0 needs to be above 0 and a bandwidth not below it; {mosaic:g} 1/angstrom and {bandwidth:g} came; state "
            "the crystals' mosaicity."
        )
    if config.fit_bandwidth and not bandwidth:
        bandwidth = config.priors.bandwidth.value
    farthest_d2 = np.sum((hkl @ crystal.reciprocal.T) ** 2, axis=1).max(initial=0.0)
    widest = squared_radius(mosaic, bandwidth, beam.wavelength, np.array([farthest_d2]))[0]
    farthest = float(np.sqrt(-widest * np.log(config.least_partiality)))
    spots = predicted(beam, panels, crystal, hkl, farthest)
    own = squared_radius(mosaic, bandwidth, beam.wavelength, spots.inverse_d2)
    spots = spots.those(spots.excitation**2 < -own * np.log(config.least_partiality))
    spots = spots.those(np.argsort(spots.panel, kind="stable"))
    top = np.inf if config.saturation is None else config.saturation
    parts = [
        cut(image, mask, spots.xy[spots.panel == n], config.half_box, config.core, top, config.window)
        for n, (image, mask) in enumerate(zip(images, masks, strict=True))
    ]
    boxes = joined(parts)
    reasons = _unusable(boxes, spots.xy, config.core)
    kept = ~np.any(list(reasons.values()), axis=0)
    if kept.sum() < config.least_spots:
        raise InputError(
            f"{name}: an image needs {config.least_spots} spots that can be measured; {int(kept.sum())} of "
            f"{len(kept)} predicted ones can; check its crystal, R0 and mask."
        )
    strains = strains_of(crystal) if config.fit_strain else np.zeros((0, 3, 3))
    scene = Scene(beam, panels, spots.those(kept), strains, shapes_of(crystal))
    return Still(name, scene, boxes.those(kept), ln_monitor, {why: int(many.sum()) for why, many in reasons.items()})


def _check_shapes(name: str, images: list[np.ndarray], panels: list[Panel]) -> None:
    """Refuse images that are not those of the panels."""
    came, required = [image.shape for image in images], [panel.shape for panel in panels]
    if came != required:
        raise InputError(f"{name}: panels of {required} pixels need images of that size; {came} came; check geometry.")


def _unusable(boxes: Boxes, xy: Float[np.ndarray, "spot 2"], core: float) -> dict[str, np.ndarray]:
    """Spots that cannot be measured, by reason."""
    columns, rows = boxes.offsets(xy)
    near = columns[:, None, :] ** 2 + rows[:, :, None] ** 2 < core**2
    share = np.sum(near & boxes.good, axis=(1, 2)) / np.maximum(near.sum(axis=(1, 2)), 1)
    masked = (boxes.flags & ALL_MASKED) > 0
    saturated = ((boxes.flags & SATURATED) > 0) & ~masked
    return {"saturated": saturated, "masked": masked, "too little seen": (share < _SEEN) & ~masked & ~saturated}
