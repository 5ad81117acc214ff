"""The search for all parameters: passes over the pixels, and between them images, widths and intensities."""

import numpy as np
from jaxtyping import Bool

from madpipe.physics.arrowhead import Arrowhead, Covariance, covariance, minimise
from madpipe.stills.integrate.data import Data
from madpipe.stills.integrate.earned import (
    LEAST_SHARE,
    STRONG,
    asked_for,
    begun,
    blocks_of,
    needless,
    with_blocks,
    without_blocks,
)
from madpipe.stills.integrate.first_numbers import first_numbers, free_numbers
from madpipe.stills.integrate.image_model import MOSAICITY, OWN, SHARED, TAIL, Spots, Views
from madpipe.stills.integrate.intensities import Belief, posterior, reference_belief, wilson_belief, without, word_of
from madpipe.stills.integrate.methods import METHODS
from madpipe.stills.integrate.passes import Glance, active_part, all_terms, glance, task_of, with_widths
from madpipe.stills.integrate.priors import NO_PRIOR, Beliefs, beliefs_of
from madpipe.stills.integrate.reference import Calibration, calibration, common_change, flat_means, likely_model_error
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.integrate.together import MOST_NUMBERS, Shares, Together, shares_of_blocks
from madpipe.stills.reflections.profile import Widths, updated

_SETTLED = 0.1  # standard deviations of the largest step, at which the passes end
_EVALUATIONS = 6  # of the spots' equations between two passes
_LEAST_GAIN = 1e-3  # of minus ln L
_FARTHEST = np.array([0.3, 10.0])  # change of all ln G, of all B [angstrom^2]
_LONGEST_TAIL = 1.4  # root of t: beyond 2 p has no area
_NEAR, _ROUGH = 2.0, 2  # standard deviations of the largest step, and passes, from which on numbers are let go
_CAREFUL = 0.5  # share of the new in the intensities that the model's error is of, without a reference to hold them
_BACK = 0.6  # of an outlier's distance, below which it is none any more
_ALONE = 0.5  # share of the belief's variance, above which others say little
_OUT = 1e6  # error of I in units of itself, which takes a spot's photons out


class Search:
    """State of a fit between its passes."""

    def __init__(self, data: Data, config: IntegrateConfig) -> None:
        self.data, self.config, self.method = data, config, METHODS[config.method]
        self.calibration = Calibration(np.zeros(1), np.ones(1), np.full(1, config.doubt))
        self.belief = self._first_belief()
        self.own, self.shared = first_numbers(data, self.belief, config)
        self.own_active, self.shared_active = free_numbers(config, self.method, self.own.shape[1], len(self.shared))
        self.none = self.shared.copy()  # of what is not taken up
        allowed = np.array([one.any() for one in data.stills[0].scene.shapes])
        self.taken = blocks_of(config, allowed) if self.method.doubts else []  # other methods know no evidence
        self.waiting: list[np.ndarray] = []  # let go
        self.proved = 0  # of those taken, at the end of the list, that have come back
        self.views = Views()
        self.glances: list[Glance] = []
        self.beliefs = self._beliefs()
        if self.taken:
            self.shared_active = with_blocks(self.shared_active, self.taken)
            self.shared = begun(self.shared, self.beliefs.shared_sd, self.taken)
        self.intensity = self.belief.mean[data.unique.of_spot]
        self.typical = self.belief.mean
        self.weighed = self.intensity  # photons that the model's error is of
        self.outliers = np.zeros(len(data.unique.of_spot), dtype=bool)
        shells = len(self.shared) - len(SHARED)
        self.widths = Widths(self.shared[len(SHARED) :], np.full(shells, config.priors.ln_width.sd**2))
        self.settled, self.made, self.model_error = False, 0, 0.0

    def go(self) -> None:
        """Go over the pixels until nothing moves, then once more for the answer."""
        while self.made < self.config.passes and not self.settled:
            self._pass(search=True)
        self._pass(search=False)

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
            glance(still, self.method, at, self.shared, shell, self.intensity[piece])
            for still, at, shell, piece in zip(data.stills, self._places(), data.shells, data.pieces, strict=True)
        ]
        self.made += 1
        factor = np.concatenate([one.factor for one in self.glances]) * ~self.outliers
        photons, sigma = (np.concatenate([getattr(one, name) for one in self.glances]) for name in ("photons", "sigma"))
        total = np.concatenate([one.factor for one in self.glances])
        here = total * self.typical[of_spot]
        self.weighed = here if self.made < 3 else np.sqrt(np.abs(self.weighed * here))  # else weights and widths swing
        sigma = self.sigma = np.hypot(sigma, self.model_error * self.weighed)
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
        """Change the parameters of all images together; the factors after it."""
        before = self.own, self.shared
        if self._is_joint():
            own, shared, self.near = self._together(sigma).found(_EVALUATIONS, _LEAST_GAIN)
            self.own, self.shared = own, self._held(shared)
        elif self._shares():
            change = np.clip(self._alike(), -_FARTHEST, _FARTHEST)
            self.own = self.own.copy()
            self.own[:, :2] += change
        self.moved = self.own - before[0], _change(before[1], self.shared)
        changed: np.ndarray = np.exp(np.concatenate([one.ln_factor for one in self._places()])) * (factor > 0)
        self.word = word_of(self.data.unique.of_spot, changed, photons, sigma, len(self.data.reference))
        return changed

    def _places(self) -> list[Spots]:
        """Spots of all images where the parameters have them."""
        scenes = [still.scene for still in self.data.stills]
        return [self.views.at(*one, self.shared) for one in zip(range(len(scenes)), scenes, self.own, strict=True)]

    def _alike(self) -> np.ndarray:
        """One change of ln G and B for all images."""
        known, count, data = self.beliefs, len(self.own), self.data
        slope = (known.own_mean[:, :2] - self.own[:, :2]) / known.own_sd[:2] ** 2
        told = self.belief.mean, self.belief.variance, data.inverse_d2, self.word
        return common_change(*told, count / known.own_sd[:2] ** 2, slope.sum(axis=0))

    def _together(self, sigma: np.ndarray) -> Together:
        """All images as one function."""
        data = self.data
        return Together(
            data.stills, self.glances, data.shells, data.unique.of_spot, ~self.outliers, sigma, self.belief,
            self.beliefs, self.own, self.shared, self.own_active, self.shared_active, self.views,
        )  # fmt: skip

    def _held(self, shared: np.ndarray) -> np.ndarray:
        """Shared parameters within their limits: a logarithm of what is nearly none says nothing of how near."""
        logarithm = self.beliefs.of_logarithm & self.shared_active & (self.beliefs.shared_sd < NO_PRIOR)
        least, most = np.full(len(shared), -np.inf), np.full(len(shared), np.inf)
        least[logarithm] = np.log(LEAST_SHARE * self.beliefs.shared_sd[logarithm])
        least[[MOSAICITY, TAIL]], most[TAIL] = 0.0, _LONGEST_TAIL
        held: np.ndarray = np.clip(np.where(least == 0, np.abs(shared), shared), least, most)
        return held

    def _shares(self) -> bool:
        """Whether images know what the others say of their reflections."""
        return self.method.doubts and self.config.share_intensities

    def _is_joint(self) -> bool:
        """Whether all images are fitted together, not image by image."""
        numbers = len(self.own) * int(self.own_active.sum()) + int(self.shared_active.sum())
        return self._shares() and numbers <= MOST_NUMBERS

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
        """Change each image by itself, unless all were changed together; widths; see whether anything moved."""
        own_step, shared_step = self.moved
        if not self._is_joint():
            own_step, shared_step = self._one_by_one(own_step)
        errors = self.near if self._is_joint() else self.covariance()[0]
        moved = np.abs(own_step[:, self.own_active]) / np.sqrt(np.einsum("kii->ki", errors.own))
        moved_shared = np.abs(shared_step[self.shared_active]) / np.sqrt(np.diag(errors.shared))
        largest = max(moved.max(initial=0.0), moved_shared.max(initial=0.0))
        widths = self.widths.log_width if self.method.free_width else self.shared[len(SHARED) :]
        if self.method.free_width:
            change = np.abs(widths - self.shared[len(SHARED) :]) / np.sqrt(self.widths.variance)
            largest = max(largest, float(change.max()))
        self.settled = bool(largest < _SETTLED)
        if self.made > _ROUGH and largest < _NEAR and (self._lets_go(errors) or (self.settled and self._takes_up())):
            self.settled = False
        self.shared = np.concatenate([self.shared[: len(SHARED)], widths])

    def _lets_go(self, errors: Covariance) -> bool:
        """Set to none what is not worth its freedom."""
        free, precision = np.flatnonzero(self.shared_active), 1 / self.beliefs.shared_sd**2
        doubtful = self.taken[: len(self.taken) - self.proved]
        gone = needless(doubtful, _change(self.none, self.shared), errors.shared, free, precision)
        self.shared, self.shared_active = self.shared.copy(), self.shared_active.copy()
        for block in gone:
            self.shared[block], self.shared_active[block] = self.none[block], False
        self.taken = [one for one in self.taken if not any(one is block for block in gone)]
        self.waiting += gone
        return bool(gone)

    def _takes_up(self) -> bool:
        """Free again the block that images ask for most of those let go."""
        if not self.waiting:
            return False
        shared, free = begun(self.shared, self.beliefs.shared_sd, self.waiting), self.shared_active
        free = with_blocks(free, self.waiting)
        if self._is_joint():
            part = self._together(self.sigma).part_with(self.own, shared, free)
            slope, information = part.slope, part.information
        else:
            normal = all_terms(self.tasks, self.beliefs, self.own, shared)[1]
            slope, information = without_blocks(active_part(normal, self.own_active, free))
        places = np.concatenate([np.full(len(slope) - int(free.sum()), -1), np.flatnonzero(free)])
        worth = asked_for(slope, information, places, self.waiting, 1 / self.beliefs.shared_sd**2)
        best = int(np.argmax(worth))
        if worth[best] <= STRONG:
            return False
        self.taken.append(self.waiting.pop(best))
        self.proved += 1
        self.shared = begun(self.shared, self.beliefs.shared_sd, self.taken)
        self.shared_active = with_blocks(self.shared_active, self.taken)
        return True

    def _one_by_one(self, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fit images to what the others say; the largest steps of own parameters, and those of shared ones."""
        start = self.own[:, self.own_active], self.shared[self.shared_active]
        found = minimise(self._terms, *start, evaluations=_EVALUATIONS, least_gain=_LEAST_GAIN)
        step, before = np.zeros(self.own.shape), self.shared
        step[:, self.own_active] = found.own - start[0]
        if self._shares():
            step[:, :2] -= step[:, :2].mean(axis=0)
        self.own, self.shared = self.own + step, self.shared.copy()
        self.shared[self.shared_active] = found.shared
        self.shared = self._held(self.shared)
        return np.maximum(np.abs(step), np.abs(common)), _change(before, self.shared)

    def covariance(self) -> tuple[Covariance, Shares]:
        """Of what is fitted, with what the widths' errors make of it; and what images have in common."""
        widths = self.widths.variance if self.method.free_width else None
        if self._is_joint():
            return self._together(self.sigma).covariance(self.own, self.shared, widths)
        _, normal = all_terms(self.tasks, self.beliefs, self.own, self.shared)
        active = active_part(normal, self.own_active, self.shared_active)
        errors = covariance(active)
        if widths is not None:
            errors = with_widths(errors, normal, active, self.own_active, self.shared_active, widths)
        return errors, shares_of_blocks(errors)

    def _terms(self, own: np.ndarray, shared: np.ndarray) -> tuple[float, Arrowhead]:
        """Minus ln L and its equations, at values of the active parameters."""
        all_own, all_shared = self.own.copy(), self.shared.copy()
        all_own[:, self.own_active], all_shared[self.shared_active] = own, shared
        value, normal = all_terms(self.tasks, self.beliefs, all_own, all_shared)
        return value, active_part(normal, self.own_active, self.shared_active)


def _change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Difference, also of what is none and stays so."""
    return np.where(after == before, 0.0, after) - np.where(after == before, 0.0, before)
