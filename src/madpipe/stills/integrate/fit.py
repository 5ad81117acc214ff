"""The fit of all images: passes over the pixels, and between them the parameters, the widths and the intensities."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from madpipe.physics.arrowhead import Arrowhead, Covariance, covariance, minimise
from madpipe.stills.integrate.data import Data, data_of
from madpipe.stills.integrate.image_model import OWN, SHARED
from madpipe.stills.integrate.intensities import (
    Belief,
    Word,
    posterior,
    reference_belief,
    wilson_belief,
    without,
    word_of,
)
from madpipe.stills.integrate.methods import METHODS, Method
from madpipe.stills.integrate.passes import Glance, active_part, all_terms, glance, task_of, with_widths
from madpipe.stills.integrate.prepare import Still
from madpipe.stills.integrate.priors import Beliefs, beliefs_of
from madpipe.stills.integrate.reference import Calibration, calibration, common_change, flat_means, likely_model_error
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.integrate.start import first_log_width, first_scale
from madpipe.stills.integrate.together import MOST_IMAGES, Measured, joint_change
from madpipe.stills.reflections.profile import Widths, updated

_SETTLED = 0.1  # standard deviations of the largest step, at which the passes end
_EVALUATIONS = 6  # of the spots' equations between two passes
_LEAST_GAIN = 1e-3  # of minus ln L
_FARTHEST = np.array([0.3, 10.0])  # change of all ln G, of all B [angstrom^2]
_CAREFUL = 0.25  # share of the new in the intensities that the model's error is of, without a reference to hold them
_BACK = 0.6  # of an outlier's distance, below which it is none any more
_ALONE = 0.5  # share of the belief's variance, above which others say little
_OUT = 1e6  # error of I in units of itself, which takes a spot's photons out


@dataclass(frozen=True)
class Fitted:
    """Where the fit ended."""

    data: Data
    name: str  # of the method
    own: Float[np.ndarray, "image own"]
    shared: Float[np.ndarray, "shared"]
    own_active: Bool[np.ndarray, "own"]
    shared_active: Bool[np.ndarray, "shared"]
    covariance: Covariance  # of the active parameters, with the widths' part
    widths: Widths
    glances: list[Glance]
    belief: Belief
    word: Word
    calibration: Calibration
    model_error: float  # relative, of a spot's expected photons
    outliers: Bool[np.ndarray, "spot"]
    passes: int
    settled: bool
    shares: bool  # whether images know what the others say of their reflections

    @property
    def intensities(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each unique reflection's intensity given all."""
        mean, variance = posterior(self.belief, self.word)
        return mean, np.sqrt(variance)


def fit_stills(
    stills: list[Still],
    space_group: str,
    config: IntegrateConfig,
    reference_hkl: Int[np.ndarray, "reference 3"] | None = None,
    reference: Float[np.ndarray, "reference"] | None = None,
) -> Fitted:
    """Fit scale, falling off and orientation of every image, what they share, and the intensities.

    Parameters
    ----------
    stills:
        From :func:`madpipe.stills.integrate.prepare.prepared`.
    space_group:
        gemmi's name.
    config:
        Method, parameters, priors.
    reference_hkl, reference:
        Known intensities; without them Wilson's distribution is the prior.

    Raises
    ------
    InputError
        No image; no reflection in common with the reference.
    """
    data = data_of(stills, space_group, config, reference_hkl, reference)
    return _Search(data, config).result()


class _Search:
    """State of a fit between its passes."""

    def __init__(self, data: Data, config: IntegrateConfig) -> None:
        self.data, self.config, self.method = data, config, METHODS[config.method]
        self.calibration = Calibration(np.zeros(1), np.ones(1), np.full(1, config.doubt))
        self.belief = self._first_belief()
        self.own, self.shared = self._start()
        self.own_active, self.shared_active = _active(config, self.method, self.own.shape[1], len(self.shared))
        self.beliefs = self._beliefs()
        self.intensity = self.belief.mean[data.unique.of_spot]
        self.typical = self.belief.mean
        self.outliers = np.zeros(len(data.unique.of_spot), dtype=bool)
        shells = len(self.shared) - len(SHARED)
        self.widths = Widths(self.shared[len(SHARED) :], np.full(shells, config.priors.ln_width.sd**2))
        self.settled, self.made, self.model_error, self.common = False, 0, 0.0, np.zeros((len(self.own), 2))

    def result(self) -> Fitted:
        """Go over the pixels until nothing moves, then once more for the answer."""
        while self.made < self.config.passes and not self.settled:
            self._pass(search=True)
        self._pass(search=False)
        return self._fitted()

    def _first_belief(self) -> Belief:
        data = self.data
        if np.isfinite(data.reference).any():
            return self._reference_belief(self.calibration)
        return wilson_belief(data.expected, data.centric)

    def _reference_belief(self, known: Calibration) -> Belief:
        """Gaussian about the reference; of a reflection that it lacks Wilson's mean and variance."""
        data = self.data
        lacking = ~np.isfinite(data.reference)
        reference = np.where(lacking, data.expected, data.reference)
        ratio, doubt = known.at(np.log(reference / data.expected))
        believed = reference_belief(reference * ratio, doubt, data.centric)
        other = wilson_belief(data.expected, data.centric)
        mean = np.where(lacking, other.mean, believed.mean)
        return Belief(mean, np.where(lacking, other.variance, believed.variance), False, data.centric)

    def _start(self) -> tuple[np.ndarray, np.ndarray]:
        data, config = self.data, self.config
        strains = max(len(still.scene.strains) for still in data.stills)
        own, shared = np.zeros((len(data.stills), len(OWN) + strains)), np.zeros(len(SHARED) + len(data.edges) - 1)
        shared[0] = np.log(config.priors.mosaic_radius.value)
        bandwidth = data.stills[0].scene.beam.bandwidth or (
            config.priors.bandwidth.value if config.fit_bandwidth else 0.0
        )
        shared[1] = np.log(bandwidth) if bandwidth else -np.inf
        own[:, 1] = config.priors.b_factor.value
        for image, (still, piece) in enumerate(zip(data.stills, data.pieces, strict=True)):
            own[image, 0] = first_scale(still, self.belief.mean[data.unique.of_spot[piece]], own[image], shared)
        shared[len(SHARED) :] = np.log(config.width) if config.width else first_log_width(data.stills)
        return own, shared

    def _beliefs(self) -> Beliefs:
        stills = self.data.stills
        first = stills[0].scene
        distance = float(abs(first.panels[0].origin @ first.beam.direction))
        monitors = np.array([still.ln_monitor for still in stills])
        strains = self.own.shape[1] - len(OWN)
        return beliefs_of(self.config, monitors, strains, distance, self.shared[len(SHARED) :])

    def _pass(self, search: bool) -> None:
        data, of_spot = self.data, self.data.unique.of_spot
        self.glances = [
            glance(still, self.method, one, self.shared, shell, self.intensity[piece])
            for still, one, shell, piece in zip(data.stills, self.own, data.shells, data.pieces, strict=True)
        ]
        self.made += 1
        factor = np.concatenate([one.factor for one in self.glances]) * ~self.outliers
        photons, sigma = (np.concatenate([getattr(one, name) for one in self.glances]) for name in ("photons", "sigma"))
        total = np.concatenate([one.factor for one in self.glances])
        sigma = np.hypot(sigma, self.model_error * total * self.typical[of_spot])
        self.word = word_of(of_spot, factor, photons, sigma, len(data.reference))
        self._calibrate()
        if search:
            factor = self._common(factor, photons, sigma)
        part = _CAREFUL if self.belief.wilson else 1.0
        self.typical = (1 - part) * self.typical + part * posterior(self.belief, self.word)[0]
        mean, variance = self._others(factor, photons, sigma)
        if self.config.fit_model_error and self.made > 1:
            self._judge_model(mean, variance, factor, photons)
        self._tasks(mean, variance, photons, sigma)
        if self.method.free_width:
            self._widths()
        if search:
            self.intensity = mean
            self._step()

    def _calibrate(self) -> None:
        """Find what the reference is worth, once the scales are roughly known."""
        data, config = self.data, self.config
        if not self.method.doubts:
            return
        if self.belief.wilson:
            if self.made > 1:
                self.belief = wilson_belief(flat_means(data.expected, data.inverse_d2, self.word), data.centric)
            return
        start = float(np.median(self.calibration.doubt))
        several = config.calibrate_reference and self.made > 1
        self.calibration = calibration(data.reference, data.expected, self.word, start, config.fit_doubt, several)
        self.belief = self._reference_belief(self.calibration)

    def _common(self, factor: np.ndarray, photons: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Change all scales together; the factors after it."""
        if not self._shares():
            return factor
        data, known, count = self.data, self.beliefs, len(self.own)
        image = np.repeat(np.arange(count), [len(one) for one in data.shells])
        by_d2 = data.inverse_d2[data.unique.of_spot]
        slope = (known.own_mean[:, :2] - self.own[:, :2]) / known.own_sd[:2] ** 2
        if self._is_joint():
            told = Measured(image, data.unique.of_spot, factor, photons, sigma, by_d2, count)
            change = joint_change(told, self.belief, 1 / known.own_sd[:2] ** 2, slope)
        else:
            before = self.belief.mean, self.belief.variance, data.inverse_d2, self.word
            alike = common_change(*before, count / known.own_sd[:2] ** 2, slope.sum(axis=0))
            change = np.tile(alike, (count, 1))
        self.common = np.clip(change, -_FARTHEST, _FARTHEST)
        self.own = self.own.copy()
        self.own[:, :2] += self.common
        changed: np.ndarray = factor * np.exp(self.common[image, 0] - self.common[image, 1] * by_d2 / 4)
        self.word = word_of(data.unique.of_spot, changed, photons, sigma, len(data.reference))
        return changed

    def _shares(self) -> bool:
        """Whether images know what the others say of their reflections."""
        return self.method.doubts and self.config.share_intensities

    def _is_joint(self) -> bool:
        """Whether the scales of all images are found together, not image by image."""
        return self._shares() and len(self.own) <= MOST_IMAGES and not self.belief.wilson

    def _judge_model(self, mean: np.ndarray, variance: np.ndarray, factor: np.ndarray, photons: np.ndarray) -> None:
        """Find the error of expected photons beside counting."""
        if not self._shares():
            return
        counting = np.concatenate([one.sigma for one in self.glances])
        share = variance / self.belief.variance[self.data.unique.of_spot]
        found = likely_model_error(mean, variance, share, factor, photons, counting)
        self.model_error = (self.model_error + found) / 2 if self.made > 2 else found  # two answers may feed each other

    def _others(self, factor: np.ndarray, photons: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of each spot's intensity by all other images and the belief."""
        number = self.data.unique.of_spot
        here = Belief(
            self.belief.mean[number], self.belief.variance[number], self.belief.wilson, self.belief.centric[number]
        )
        if not self._shares():
            return here.mean, here.variance * self.method.doubts
        return posterior(here, without(self.word, number, factor, photons, sigma))

    def _tasks(self, mean: np.ndarray, variance: np.ndarray, photons: np.ndarray, sigma: np.ndarray) -> None:
        total = np.concatenate([one.factor for one in self.glances])
        apart = np.abs(photons - total * mean) / np.sqrt(sigma**2 + total**2 * variance)
        if self.made > 2:
            self.outliers = self._outliers(apart, variance)
        variance = variance + (self.model_error * self.typical[self.data.unique.of_spot]) ** 2
        variance = np.where(self.outliers, (_OUT * np.maximum(np.abs(mean), 1e-6)) ** 2, variance)
        self.tasks = [
            task_of(still, found, shell, self.shared, mean[piece], variance[piece])
            for still, found, shell, piece in zip(
                self.data.stills, self.glances, self.data.shells, self.data.pieces, strict=True
            )
        ]

    def _widths(self) -> None:
        slope, information = (
            np.concatenate([getattr(one.pixels, name) for one in self.glances]) for name in ("slope", "information")
        )
        amount = np.concatenate([one.amount for one in self.glances])
        found = 1 + slope[:, 0] / np.maximum(information[:, 0, 0] * amount, 1e-300) * (amount > 0)
        shells = np.concatenate(self.data.shells)
        self.widths = updated(self.shared[len(SHARED) :], shells, slope, information, found)

    def _terms(self, own: np.ndarray, shared: np.ndarray) -> tuple[float, Arrowhead]:
        """Minus ln L and its equations, at values of the active parameters."""
        all_own, all_shared = self.own.copy(), self.shared.copy()
        all_own[:, self.own_active], all_shared[self.shared_active] = own, shared
        value, normal = all_terms(self.tasks, self.beliefs, all_own, all_shared)
        return value, active_part(normal, self.own_active, self.shared_active)

    def _outliers(self, apart: np.ndarray, variance: np.ndarray) -> Bool[np.ndarray, "spot"]:
        """Mark spots that are too far off; once out, one must come clearly nearer to be in again.

        Else a strong one goes out and in by turns, and all scales with it. Wilson's distribution alone makes no
        outlier: its tail is not a Gaussian's.
        """
        limit = np.where(self.outliers, _BACK * self.config.outlier, self.config.outlier)
        alone = variance > _ALONE * self.belief.variance[self.data.unique.of_spot]
        out: np.ndarray = (apart > limit) & ~(self.belief.wilson & alone)
        return out

    def _step(self) -> None:
        start = self.own[:, self.own_active], self.shared[self.shared_active]
        found = minimise(self._terms, *start, evaluations=_EVALUATIONS, least_gain=_LEAST_GAIN)
        errors = covariance(found.normal)
        own_errors = np.sqrt(np.einsum("kii->ki", errors.own))
        step = found.own - start[0]
        if self._is_joint():
            step[:, :2] = 0.0  # all of it is _common's
        elif self._shares():
            step[:, :2] -= step[:, :2].mean(axis=0)
        moved = np.maximum(np.abs(step), np.pad(np.abs(self.common), ((0, 0), (0, step.shape[1] - 2)))) / own_errors
        moved_shared = np.abs(found.shared - start[1]) / np.sqrt(np.diag(errors.shared))
        self.own, self.shared = self.own.copy(), self.shared.copy()
        self.own[:, self.own_active], self.shared[self.shared_active] = start[0] + step, found.shared
        largest = max(moved.max(initial=0.0), moved_shared.max(initial=0.0))
        if self.method.free_width:
            change = np.abs(self.widths.log_width - self.shared[len(SHARED) :]) / np.sqrt(self.widths.variance)
            largest = max(largest, float(change.max()))
            self.shared[len(SHARED) :] = self.widths.log_width
        self.settled = bool(largest < _SETTLED)

    def _fitted(self) -> Fitted:
        _, normal = all_terms(self.tasks, self.beliefs, self.own, self.shared)
        active = active_part(normal, self.own_active, self.shared_active)
        errors = covariance(active)
        widths = self.widths
        if self.method.free_width:
            errors = with_widths(errors, normal, active, self.own_active, self.shared_active, widths.variance)
        else:
            place = np.flatnonzero(np.flatnonzero(self.shared_active) >= len(SHARED))
            widths = Widths(self.shared[len(SHARED) :], np.diag(errors.shared)[place])
        return Fitted(
            self.data, self.config.method, self.own, self.shared, self.own_active, self.shared_active, errors, widths,
            self.glances, self.belief, self.word, self.calibration, self.model_error, self.outliers, self.made,
            self.settled, self._shares(),
        )  # fmt: skip


def _active(
    config: IntegrateConfig, method: Method, own: int, shared: int
) -> tuple[Bool[np.ndarray, "own"], Bool[np.ndarray, "shared"]]:
    """Which parameters are fitted."""
    of_image = np.array([True, True, *[config.fit_orientation] * 3, *[config.fit_strain] * (own - len(OWN))])
    of_all = np.zeros(shared, dtype=bool)
    of_all[0], of_all[1] = config.fit_mosaic_radius, config.fit_bandwidth
    for name in config.movements:
        of_all[SHARED.index(name)] = True
    of_all[len(SHARED) :] = not method.free_width
    return of_image, of_all
