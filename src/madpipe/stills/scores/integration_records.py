"""What a comparison of methods of integration holds."""

from dataclasses import dataclass

from madpipe.base.plain import told
from madpipe.stills.scores.width_error import WidthError


@dataclass(frozen=True, kw_only=True)
class IntegrationScore:
    """One method; ln G and B are relative to their mean over the images, which no set of images tells."""

    method: str
    ln_scale: tuple[float, ...] = told("found less true of each image")
    ln_scale_errors: tuple[float, ...] = told("stated, less what is common to all images")
    b_factor: tuple[float, ...] = told("the same of Wilson's B", "angstrom^2")
    b_errors: tuple[float, ...] = told("the same", "angstrom^2")
    correlations: tuple[tuple[float, ...], ...] = told("of an image's and the shared numbers")
    cc_true: float | None = told("correlation of merged intensities with the truth, over shell means")
    width: float = told("R1", "1/angstrom")
    seconds: float | None = told("of all images, one thread", "s")


@dataclass(frozen=True, kw_only=True)
class RadiusOfOne:
    """R0 and ln G of one image, by one strength of belief in R0."""

    prior: float | None = told("relative sd of R0's prior, which is what all images tell; none: R0 is free")
    ln_radius: float = told("ln of R0 in 1/angstrom")
    ln_radius_error: float
    ln_scale: float
    ln_scale_error: float
    correlation: float


@dataclass(frozen=True, kw_only=True)
class Degeneracy:
    """What an image tells of R0 and G together."""

    spots: int
    fits: tuple[RadiusOfOne, ...]
    held: tuple[float, ...] = told("R0 that was held", "1/angstrom")
    ln_scale: tuple[float, ...] = told("ln G found with it")


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One spot: centroid less prediction, before and after the fit of the orientation [pixel]."""

    at: tuple[float, float]
    before: tuple[float, float]
    after: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Centroids of an image whose crystal was told wrong."""

    size: int = told("pixels of a side of the detector")
    turned: float = told("what the crystal was told wrong", "degree")
    left: tuple[float, ...] = told("what remained after the fit, about x, y and the beam", "degree")
    errors: tuple[float, ...] = told("stated", "degree")
    shifts: tuple[Shift, ...]


@dataclass(frozen=True, kw_only=True)
class Integration:
    """All of them."""

    images: int
    spots: int
    methods: tuple[IntegrationScore, ...]
    widths: tuple[WidthError, ...]
    degeneracy: Degeneracy
    geometry: Geometry
