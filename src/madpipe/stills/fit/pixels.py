r"""Fit of an image's pixels: Fisher scoring of the Poisson likelihood, low angles first, from one start or several.

The weights are those expected, 1 / mu, never those observed, 1 / n, which draw weak pixels down. A *floor* b is added to
counts and model alike: it keeps pixels of almost no expected photons from ruling a search that is still far away.
A search starts with the pixels of low q, where a wrong orientation moves spots by less than their width, and grows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from madpipe.physics import marquardt
from madpipe.stills.fit.unknowns import Layout
from madpipe.stills.geometry import Panel
from madpipe.stills.jacobian import values_with_jacobian
from madpipe.stills.scene import Scene

_Numbers = Float[np.ndarray, "number"]
_Values = Float[np.ndarray, "pixel"]
_Matrix = Float[np.ndarray, "number number"]

RADII = (4.0, 7.0, 11.0)  # of the first searches, in widths 1 / (N a) of a spot: 8, 14, 22 pixels of the demo
_FLOOR = 1e-3  # default floor, of the brightest pixel
_GRAIN = 2.0**-20
_TOLERANCE, _ROUGH = 1e-5, 1e-2  # gain relative to the deviance at which a search ends: the last, those before
_SHARE_OF_PHOTON = 1e-9  # deviance per pixel that nothing real can tell from 0
_FIRST_DAMPING = 1e-2


@dataclass(frozen=True)
class Observed:
    """What is fitted: counts, or expected photons, of the pixels of one panel."""

    panel: Panel
    photons: _Values  # flat, NaN where nothing was measured
    floor: float  # [photon]

    @classmethod
    def of_image(cls, panel: Panel, image: Float[np.ndarray, "slow fast"], floor: float | None = None) -> "Observed":
        """Observed pixels of an image; the floor is by default a thousandth of the brightest pixel."""
        least = _FLOOR * float(np.nanmax(image)) if floor is None else floor
        return cls(panel, np.ascontiguousarray(image.reshape(-1), dtype=float), least)

    @cached_property
    def measured(self) -> Int[np.ndarray, "pixel"]:
        """Numbers of the pixels that were measured."""
        return np.flatnonzero(np.isfinite(self.photons))


@dataclass(frozen=True)
class Tried:
    """A trial: numbers, expected photons with their derivatives, and what was observed."""

    numbers: _Numbers
    expected: _Values
    jacobian: Float[np.ndarray, "pixel number"]
    photons: _Values
    floor: float

    @cached_property
    def deviance(self) -> float:
        """Poisson's, 2 sum(mu - n + n ln(n / mu)) with the floor in n and mu, and a last bit for what is exact."""
        counted, model = self.photons + self.floor, self.expected + self.floor
        logarithm = np.log(np.where(counted > 0, counted, 1) / np.maximum(model, 1e-300))
        terms = model - counted + counted * logarithm
        return 2 * float(terms.sum()) + _SHARE_OF_PHOTON * len(terms)

    @property
    def variance(self) -> _Values:
        """Expected, with the floor [photon]."""
        return np.maximum(self.expected + self.floor, 1e-12)

    @property
    def slope(self) -> _Numbers:
        """Half the gradient of the deviance."""
        return self.jacobian.T @ ((self.expected - self.photons) / self.variance)

    @property
    def normal(self) -> _Matrix:
        """Fisher information with the floor in the variance."""
        return self.jacobian.T @ (self.jacobian / self.variance[:, None])

    def covariance(self) -> _Matrix:
        """Covariance of the numbers: inverse Fisher information, wider by what the floor wastes (sandwich)."""
        inverse = np.linalg.inv(self.normal)
        real = self.jacobian * (np.sqrt(np.maximum(self.expected, 0)) / self.variance)[:, None]
        return inverse @ (real.T @ real) @ inverse


@dataclass(frozen=True)
class Search:
    """Where one search ended."""

    scene: Scene
    panel: Panel
    tried: Tried
    evaluations: int
    starts: int = 1


def evaluated(
    scene: Scene, observed: Observed, layout: Layout, numbers: _Numbers, pixels: Int[np.ndarray, "pixel"]
) -> Tried:
    """Evaluate numbers on some pixels; ``scene`` is the start."""
    there, panel = layout.moved(scene, observed.panel, numbers)
    values, jacobian = values_with_jacobian(there, panel, layout.parameters, pixels)
    return Tried(numbers, values, layout.chained(scene, numbers, jacobian), observed.photons[pixels], observed.floor)


def search(
    scene: Scene, observed: Observed, layout: Layout, evaluations: int, radii: tuple[float, ...] = RADII
) -> Search:
    """Search from one start: pixels within each radius of q = 0 in turn, then all.

    Parameters
    ----------
    scene:
        Start, its panel being that of ``observed``.
    observed:
        What is fitted.
    layout:
        What varies.
    evaluations:
        At most so many in the last stage, a third of it in each of those before.
    radii:
        In widths 1 / (N a) of a spot; none: all pixels at once.
    """
    numbers, used = np.zeros(layout.count), 0
    stages = [*_stages(scene, observed, radii), observed.measured]
    for stage, pixels in enumerate(stages):
        last = stage == len(stages) - 1
        calls: list[None] = []

        def counted(at: _Numbers, pixels: Int[np.ndarray, "pixel"] = pixels, calls: list[None] = calls) -> Tried:
            calls.append(None)
            return evaluated(scene, observed, layout, at, pixels)

        most = evaluations if last else max(2, evaluations // 3)
        tolerance = _TOLERANCE if last else _ROUGH
        found = marquardt.minimise(counted, numbers, most, tolerance, layout.farthest, _GRAIN, _FIRST_DAMPING)
        numbers, used = found.numbers, used + len(calls)
    there, panel = layout.moved(scene, observed.panel, numbers)
    return Search(there, panel, found, used)


def _stages(scene: Scene, observed: Observed, radii: tuple[float, ...]) -> list[Int[np.ndarray, "pixel"]]:
    """Measured pixels within each radius, without stages that add nothing."""
    if not radii:
        return []
    number = observed.measured
    shape, panel = observed.panel.shape, observed.panel
    middle = np.stack([number % shape[1] + 0.5, number // shape[1] + 0.5], axis=-1)
    at = panel.position(middle)
    unit = at / np.linalg.norm(at, axis=1, keepdims=True)
    q = np.linalg.norm(unit - scene.beam.direction, axis=1) / scene.beam.wavelength
    width = 1 / np.exp(np.mean(np.log(scene.cells * np.linalg.norm(scene.crystal.axes, axis=1))))
    found = [number[q < radius * width] for radius in radii]
    return [one for one in found if 10 * len(radii) < len(one) < len(number)]
