"""Misset and mosaic spread of one image, by any of the methods of :data:`METHODS`, with standard errors."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from madpipe.base.errors import InputError
from madpipe.physics.rotations import rotation
from madpipe.stills.fit.adam import adam
from madpipe.stills.fit.pixels import Observed, Search, evaluated, search
from madpipe.stills.fit.unknowns import UNKNOWNS, Layout
from madpipe.stills.scene import Scene

BOX = 10.0  # half side of the box of rotation vectors that starts are spread over [degree]
STARTS = 8
_LONG = 1000  # iterations of a long Adam
_MOST = 25  # evaluations of a search's last stage

Method = Callable[[Scene, Observed, Layout], Search]


@dataclass(frozen=True)
class Recovery:
    """What a method found in an image."""

    method: str
    scene: Scene  # at the end
    labels: tuple[str, ...]  # of the numbers
    units: tuple[str, ...]
    covariance: Float[np.ndarray, "number number"]  # about the end: rotations there are small ones from the end
    deviance: float
    pearson: float  # chi-square per pixel
    evaluations: int
    pixels: int  # that were fitted
    seconds: float

    @property
    def errors(self) -> Float[np.ndarray, "number"]:
        """Standard errors."""
        return np.sqrt(np.diag(self.covariance))


def starts_in_box(scene: Scene, count: int = STARTS, box: float = BOX) -> list[Scene]:
    """Give the scene itself, and others turned by the points of Halton's sequence in a box [degree].

    No dice: the same starts each time.
    """
    points = [[_mirrored(number, base) for base in (2, 3, 5)] for number in range(1, count)]
    turned = [scene.crystal.turned(rotation(np.radians(box) * (2 * np.array(point) - 1))) for point in points]
    return [scene, *(replace(scene, crystal=crystal) for crystal in turned)]


def _mirrored(number: int, base: int) -> float:
    """Halton's number: the digits of a whole number behind the point, in reverse order."""
    found, unit = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        unit /= base
        found += digit * unit
    return found


METHODS: dict[str, Method] = {
    "adam": adam,
    "adam-long": lambda scene, observed, layout: adam(scene, observed, layout, _LONG),
    "marquardt": lambda scene, observed, layout: search([scene], observed, layout, _MOST, ()),
    "low-angles": lambda scene, observed, layout: search([scene], observed, layout, _MOST),
    "starts": lambda scene, observed, layout: search(starts_in_box(scene), observed, layout, _MOST),
}


def recover(
    scene: Scene,
    image: Float[np.ndarray, "slow fast"],
    names: tuple[str, ...] = ("misset", "spread"),
    method: str = "low-angles",
    floor: float | None = None,
) -> Recovery:
    """Find orientation, mosaic spread and what else is named from the pixels of the scene's first panel.

    Parameters
    ----------
    scene:
        Start. Its spread must not be 0, where no derivative says in which direction to go.
    image:
        Counts or expected photons; NaN where nothing was measured.
    names:
        Of :data:`madpipe.stills.fit.unknowns.UNKNOWNS`.
    method:
        Of :data:`METHODS`.
    floor:
        See :mod:`madpipe.stills.fit.pixels`; None: a thousandth of the brightest pixel.

    Raises
    ------
    InputError
        Unknown names or method, an image of another shape, without photons, or negative.
    """
    _check(scene, image, names, method)
    layout, observed = Layout(names), Observed.of_image(scene.panels[0], image, floor)
    begin = time.perf_counter()
    found = METHODS[method](scene, observed, layout)
    seconds = time.perf_counter() - begin
    ended = evaluated(
        found.scene, replace(observed, panel=found.panel), layout, np.zeros(layout.count), observed.measured
    )
    units = tuple(UNKNOWNS[name].units for name, at in layout.slices.items() for _ in range(at.start, at.stop))
    return Recovery(
        method=method,
        scene=replace(found.scene, panels=(found.panel, *scene.panels[1:])),
        labels=tuple(layout.labels),
        units=units,
        covariance=ended.covariance(),
        deviance=ended.deviance,
        pearson=float(np.mean((ended.photons - ended.expected) ** 2 / ended.variance)),
        evaluations=found.evaluations,
        pixels=len(observed.measured),
        seconds=seconds,
    )


def _check(scene: Scene, image: Float[np.ndarray, "slow fast"], names: tuple[str, ...], method: str) -> None:
    """Refuse what no fit can use."""
    unknown = [name for name in names if name not in UNKNOWNS]
    if unknown or not names:
        raise InputError(f"fit: some of {', '.join(UNKNOWNS)} are required; got {', '.join(names)}; correct the names")
    if method not in METHODS:
        raise InputError(f"fit: one of {', '.join(METHODS)} is required as method; got '{method}'; choose one of them")
    if image.shape != scene.panels[0].shape:
        raise InputError(
            f"fit: an image of {scene.panels[0].shape} pixels, the panel's, is required; got {image.shape}; "
            "give image and geometry of one detector"
        )
    measured = image[np.isfinite(image)]
    if not measured.size or measured.max() <= 0 or measured.min() < 0:
        raise InputError(
            f"fit: photons of 0 or more, some above 0, are required; got {measured.min(initial=0):g} to "
            f"{measured.max(initial=0):g} in {measured.size} measured pixels; mask bad pixels as NaN"
        )
    if "spread" in names and not scene.spread > 0:
        raise InputError("fit: a start of the spread above 0 is required; got 0 degree; begin with 0.2")
