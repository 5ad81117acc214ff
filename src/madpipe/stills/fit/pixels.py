r"""Fit of an image's pixels: Fisher scoring of the Poisson likelihood, low angles first, from one start or several.

The weights are those expected, 1 / mu, never those observed, 1 / n, which draw weak pixels down. A *floor* b is added
to counts and model alike: it keeps pixels of almost no expected photons from ruling a search that is still far away.
A search starts with the pixels of low q, where a wrong orientation moves spots by less than their width, and grows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from madpipe.physics import marquardt
from madpipe.physics.rotations import rotation_vector
from madpipe.stills.fit.twins import twin
from madpipe.stills.fit.unknowns import Layout
from madpipe.stills.geometry import Crystal, Panel
from madpipe.stills.jacobian import values_with_jacobian
from madpipe.stills.scene import Scene

_Numbers = Float[np.ndarray, "number"]
_Values = Float[np.ndarray, "pixel"]
_Matrix = Float[np.ndarray, "number number"]

RADII = (4.0, 7.0, 11.0, 20.0, 36.0)  # of the first searches, in widths 1 / (N a): 8, 14, 22 pixels of the demo
_FLOOR = 1e-3  # default floor, of the brightest pixel
_GRAIN = 2.0**-20
_TOLERANCE, _ROUGH = 1e-5, 1e-2  # gain relative to the deviance at which a search ends: the last, those before
_SHARE_OF_PHOTON = 1e-9  # deviance per pixel that nothing real can tell from 0
_FIRST_DAMPING = 1e-2
_TWIN = np.radians(30.0)  # farthest orientation that low angles may have taken for this one
_LIKE = np.radians(0.3)  # orientations nearer than that are one candidate
_CANDIDATES, _SHORT = 4, 3  # that go on with all pixels, for so many evaluations
_FEWEST = 30  # pixels of a stage
_FINALISTS = 2  # of them that go to the end
_EXACT = 1e-6  # deviance per photon of data without noise that are explained


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
    def exact(self) -> bool:
        """Whether these are data without noise, explained."""
        return self.deviance < _EXACT * float(self.photons.sum())

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
    """Where a search ended."""

    scene: Scene
    panel: Panel
    deviance: float
    evaluations: int


def evaluated(
    scene: Scene, observed: Observed, layout: Layout, numbers: _Numbers, pixels: Int[np.ndarray, "pixel"]
) -> Tried:
    """Evaluate numbers on some pixels; ``scene`` is the start."""
    there, panel = layout.moved(scene, observed.panel, numbers)
    values, jacobian = values_with_jacobian(there, panel, layout.parameters, pixels)
    return Tried(numbers, values, layout.chained(scene, numbers, jacobian), observed.photons[pixels], observed.floor)


def search(
    starts: Sequence[Scene],
    observed: Observed,
    layout: Layout,
    evaluations: int = 25,
    radii: tuple[float, ...] = RADII,
) -> Search:
    """Search from one start or several: pixels within each radius of q = 0 in turn, then all.

    All starts go through the low angles, where an evaluation costs little. What they found, and its twins
    (:mod:`madpipe.stills.fit.twins`), are put in order by how well they explain the low angles; the first few different
    ones
    go a few steps with all pixels, the best two of them to the end, and the one of least deviance stays.

    Parameters
    ----------
    starts:
        Scenes to begin from, all seen by the panel of ``observed``.
    observed:
        What is fitted.
    layout:
        What varies.
    evaluations:
        At most so many in the last stage, a third of it in each of those before.
    radii:
        In widths 1 / (N a) of a spot; none: all pixels at once, no twins.
    """
    begun = [_grown(start, observed, layout, evaluations, radii) for start in starts]
    begun.sort(key=lambda one: one.deviance)
    run = list(_different(begun, twins=bool(radii)))
    if len(run) > 1:
        run = [_continued(one, layout, observed.measured, _SHORT, _ROUGH) for one in run]
    run.sort(key=lambda one: one.deviance)
    ended: list[_Begun] = []
    for one in run[:_FINALISTS]:
        ended.append(_continued(one, layout, observed.measured, evaluations, _TOLERANCE))
        if ended[-1].exact:
            break
    best = min(ended, key=lambda one: one.deviance)
    used = sum(one.evaluations for one in (*begun, *run, *ended))
    return Search(best.scene, best.observed.panel, best.deviance, used)


@dataclass(frozen=True)
class _Begun:
    """How far a start has come."""

    scene: Scene
    observed: Observed  # its panel as moved
    deviance: float = 0.0  # of the pixels used last
    exact: bool = False
    evaluations: int = 0  # of the last stage, or of all stages of the low angles


def _continued(
    begun: _Begun, layout: Layout, pixels: Int[np.ndarray, "pixel"], evaluations: int, tolerance: float
) -> _Begun:
    """Search on with some pixels, from where it stands."""
    calls: list[None] = []

    def counted(numbers: _Numbers) -> Tried:
        calls.append(None)
        return evaluated(begun.scene, begun.observed, layout, numbers, pixels)

    zero = np.zeros(layout.count)
    found = marquardt.minimise(counted, zero, evaluations, tolerance, layout.farthest, _GRAIN, _FIRST_DAMPING)
    scene, panel = layout.moved(begun.scene, begun.observed.panel, found.numbers)
    return _Begun(scene, replace(begun.observed, panel=panel), found.deviance, found.exact, len(calls))


def _grown(scene: Scene, observed: Observed, layout: Layout, evaluations: int, radii: tuple[float, ...]) -> _Begun:
    """Search with the pixels of each radius in turn."""
    begun, used = _Begun(scene, observed), 0
    for pixels in _stages(scene, observed, radii):
        begun = _continued(begun, layout, pixels, max(2, evaluations // 3), _ROUGH)
        used += begun.evaluations
    return replace(begun, evaluations=used)


def _different(begun: Sequence[_Begun], twins: bool) -> Iterator[_Begun]:
    """Candidates in order, each with its twin behind it, at most so many, none like one before."""
    kept: list[Crystal] = []
    for one in begun:
        other = twin(one.scene.crystal, one.scene.beam.direction, _TWIN) if twins else None
        for crystal in [one.scene.crystal] + ([other] if other else []):
            if len(kept) < _CANDIDATES and all(_angle(crystal, before) > _LIKE for before in kept):
                kept.append(crystal)
                yield replace(one, scene=replace(one.scene, crystal=crystal), evaluations=0)


def _angle(one: Crystal, other: Crystal) -> float:
    """Rotation angle between two orientations [radian]."""
    return float(np.linalg.norm(rotation_vector((one.reciprocal @ other.axes).T)))


def _stages(scene: Scene, observed: Observed, radii: tuple[float, ...]) -> list[Int[np.ndarray, "pixel"]]:
    """Measured pixels within each radius: enough of them to tell, and few enough to be quick."""
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
    return [one for one in found if _FEWEST <= len(one) < len(number) / 2]
