r"""All images together, every intensity integrated out: one likelihood of what a pass over the pixels has measured.

A spot gives photons :math:`J \sim N(S I_h, \sigma^2)`, and its place. An image by itself takes what the others say of
its reflections for known: its errors are then too small, and what all images do together creeps, be it their scales or
the widths that make all partialities. So all parameters are found in one search, of

.. math:: -\ln L = -\sum_h \ln \int p(I_h) \prod_k N(J_k; S_k I_h, \sigma_k)\, dI_h + \text{places} + \text{priors}.

Wilson's law is integrated so. A reference, whose scatter may follow no normal law, enters by its mean m and variance V
alone: the squares of J - S m with the covariance :math:`\sigma^2 + S S' V` of the search's start (quasi-likelihood).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from madpipe.physics.arrowhead import Arrowhead, Covariance, minimise
from madpipe.stills.integrate.image_model import MOSAICITY, SHARED, TAIL, Spots, Views
from madpipe.stills.integrate.intensities import Belief, Word, log_evidence, posterior
from madpipe.stills.integrate.passes import Glance
from madpipe.stills.integrate.prepare import Still
from madpipe.stills.integrate.priors import Beliefs, with_priors

MOST_NUMBERS = 4000  # parameters, beyond which their matrix takes longer than the passes
_NOTHING = 1e-100  # precision of an intensity that no spot tells
_Matrix = Float[np.ndarray, "number number"]


@dataclass(frozen=True)
class Photons:
    """Photons of all spots with their slopes, as measurements of intensities."""

    unique: Int[np.ndarray, "spot"]  # number of the intensity
    factor: Float[np.ndarray, "spot"]  # S; 0 where the spot is left out
    photons: Float[np.ndarray, "spot"]  # J
    sigma: Float[np.ndarray, "spot"]  # of J, the model's error included [photon]
    by_factor: sparse.csr_array  # slopes of ln S, (spot, number)
    by_photons: sparse.csr_array  # slopes of J, which depends on where a spot is looked for, and how wide

    def word(self, count: int) -> Word:
        """What they say of each intensity."""
        weight = 1 / self.sigma**2
        precision = np.bincount(self.unique, self.factor**2 * weight, count)
        return Word(precision, np.bincount(self.unique, self.factor * self.photons * weight, count))


@dataclass(frozen=True)
class Part:
    """Minus a logarithm of a likelihood, its slope, and its information."""

    value: float
    slope: Float[np.ndarray, "number"]
    information: _Matrix


def wilson_part(told: Photons, belief: Belief) -> Part:
    r"""Of photons where intensities follow Wilson's law.

    The slope is exact, :math:`\sum [(J - S \langle I \rangle)\, y - S (J \langle I \rangle - S \langle I^2 \rangle)\,
    x] / \sigma^2`, with x and y the slopes of ln S and J. The information is that of the spots' agreement about the
    posterior mean, and that of their level against the law's mean and variance: what a normal law would have.
    """
    word = told.word(len(belief.mean))
    mean, variance = posterior(belief, word)
    here, spread, weight = mean[told.unique], variance[told.unique], (told.factor > 0) / told.sigma**2
    slope = told.by_photons.T @ (weight * (told.photons - told.factor * here))
    slope -= told.by_factor.T @ (weight * told.factor * (told.photons * here - told.factor * (here**2 + spread)))
    value = 0.5 * float(np.sum(weight * told.photons**2)) - float(log_evidence(belief, word).sum())
    known = np.maximum(word.precision, _NOTHING)
    agreement = _information(told, here, told.factor, 1 / known)
    groups = _groups(told, belief.mean[told.unique], told.factor)
    level = groups.T @ _scaled(groups, 1 / known**2 / (belief.variance + 1 / known))
    return Part(value, slope, agreement + level.toarray())


def reference_part(told: Photons, belief: Belief, start: Float[np.ndarray, "spot"]) -> Part:
    """Of photons where intensities have a mean and a variance, as the module says.

    Parameters
    ----------
    told, belief:
        Photons and beliefs.
    start:
        S of each spot that the covariance is made with.
    """
    here, weight = belief.mean[told.unique], 1 / told.sigma**2
    known = np.bincount(told.unique, start**2 * weight, len(belief.mean))
    common = 1 / (1 / belief.variance + known)
    apart = (told.photons - told.factor * here) * (start > 0)
    pulled = np.bincount(told.unique, start * apart * weight, len(belief.mean))
    value = 0.5 * float(np.sum(weight * apart**2) - np.sum(common * pulled**2))
    left = weight * (apart - start * (common * pulled)[told.unique])
    slope = told.by_photons.T @ (left * (start > 0)) - told.by_factor.T @ (left * told.factor * here)
    return Part(value, slope, _information(told, here, start, common))


def _rows(told: Photons, mean: Float[np.ndarray, "spot"]) -> sparse.csr_array:
    """Slopes of S I - J of each spot that is used."""
    used = (told.factor > 0).astype(float)
    return sparse.csr_array(_scaled(told.by_factor, told.factor * mean) - _scaled(told.by_photons, used))


def _groups(told: Photons, mean: Float[np.ndarray, "spot"], start: Float[np.ndarray, "spot"]) -> sparse.csr_array:
    """Sum of S / sigma^2 times these over the spots of each intensity."""
    spots, count = np.arange(len(told.unique)), int(told.unique.max(initial=0)) + 1
    sums = sparse.csr_array((start / told.sigma**2, (told.unique, spots)), shape=(count, len(spots)))
    return sparse.csr_array(sums @ _rows(told, mean))


def _information(told: Photons, mean: np.ndarray, start: np.ndarray, common: Float[np.ndarray, "unique"]) -> _Matrix:
    """Sum of the squares of the rows, less what each intensity takes for itself."""
    rows, groups = _rows(told, mean), _groups(told, mean, start)
    own = rows.T @ _scaled(rows, 1 / told.sigma**2)
    found: np.ndarray = (own - groups.T @ _scaled(groups, common[: groups.shape[0]])).toarray()
    return found


@dataclass(frozen=True)
class Shares:
    """Errors of own parameters about the images' mean, weighted by 1 / error^2, and of that mean."""

    relative: Float[np.ndarray, "image own"]
    common: Float[np.ndarray, "own"]


def shares_of(weight: Float[np.ndarray, "image own"], with_mean: Float[np.ndarray, "image own"]) -> Shares:
    r"""What is an image's own and what all have in common.

    .. math:: \sigma_k'^2 = C_{kk} - 2 (C w)_k + w C w,\qquad w_k \propto 1 / C_{kk}

    Parameters
    ----------
    weight, with_mean:
        1 / C_kk, and C w, of each own parameter.
    """
    common = np.sum(with_mean * weight, axis=0) / weight.sum(axis=0)
    return Shares(np.sqrt(np.maximum(1 / weight - 2 * with_mean + common, 0.0)), np.sqrt(common))


def shares_of_blocks(errors: Covariance) -> Shares:
    r"""The same of blocks that only shared parameters join: :math:`C_{kl} = M_k S^{-1} M_l`, M with the shared ones."""
    weight = 1 / np.einsum("kii->ki", errors.own)
    share = weight / weight.sum(axis=0)
    reached = errors.mixed @ np.linalg.inv(errors.shared)
    whole = np.einsum("kip,ip->ki", reached, np.einsum("ki,kip->ip", share, errors.mixed))
    alone = 1 / weight - np.einsum("kip,kip->ki", reached, errors.mixed)
    return shares_of(weight, whole + share * alone)


@dataclass(frozen=True)
class Together:
    """What a pass found of all images, as one function of the parameters that are free."""

    stills: list[Still]
    glances: list[Glance]
    shells: list[Int[np.ndarray, "_"]]
    unique: Int[np.ndarray, "spot"]
    used: Bool[np.ndarray, "spot"]
    sigma: Float[np.ndarray, "spot"]  # of J, the model's error included
    belief: Belief
    beliefs: Beliefs
    own: Float[np.ndarray, "image own"]  # of the pass
    shared: Float[np.ndarray, "shared"]
    own_free: Bool[np.ndarray, "own"]
    shared_free: Bool[np.ndarray, "shared"]
    views: Views

    def found(self, evaluations: int, least_gain: float) -> tuple[np.ndarray, np.ndarray, Covariance]:
        """Own and shared parameters where minus ln L is least, and their covariance with all widths held."""
        start = np.concatenate([self.own[:, self.own_free].ravel(), self.shared[self.shared_free]])
        told = self._as_arrowhead, np.zeros((1, 0)), start
        best = minimise(*told, evaluations=evaluations, least_gain=least_gain)
        if best.evaluations == evaluations and np.array_equal(best.shared, start):  # each step went too far
            best = minimise(*told, evaluations=3 * evaluations, least_gain=least_gain, damping=1.0)
        errors = self._arranged(np.linalg.inv(best.normal.shared))
        return *self._taken_apart(best.shared), errors

    def covariance(
        self, own: np.ndarray, shared: np.ndarray, widths: Float[np.ndarray, "shell"] | None
    ) -> tuple[Covariance, Shares]:
        """Of the free parameters at some values: blocks of images and what they share; and what images have in common.

        Parameters
        ----------
        own, shared:
            Where.
        widths:
            Variances of ln R1 that are found by themselves, or None: what they make of the others is added.
        """
        every = self.shared_free.copy()
        if widths is not None:
            every[len(SHARED) :] = True
        both = self.part_with(own, shared, every).information
        count = self.own_free.sum() * len(own)
        free = np.concatenate([np.ones(count, dtype=bool), self.shared_free[every]])
        inverse = np.linalg.inv(both[np.ix_(free, free)])
        if widths is not None:
            steps = inverse @ both[np.ix_(free, ~free)]
            inverse = inverse + (steps * widths) @ steps.T
        each = inverse[:count, :count].reshape(len(own), -1, len(own), count // len(own))
        alike = np.einsum("kili->kli", each)
        weight = 1 / np.einsum("kki->ki", alike)
        return self._arranged(inverse), shares_of(weight, np.einsum("kli,li->ki", alike, weight / weight.sum(axis=0)))

    def part_with(self, own: np.ndarray, shared: np.ndarray, free: Bool[np.ndarray, "shared"]) -> Part:
        """As :meth:`part`, with other shared parameters free."""
        return Together(**{**vars(self), "shared_free": free}).part(own, shared)

    def _arranged(self, inverse: Float[np.ndarray, "number number"]) -> Covariance:
        """Blocks of images and what they share of a whole covariance."""
        blocks, size = len(self.own), int(self.own_free.sum())
        count = blocks * size
        own = np.stack([inverse[k * size : (k + 1) * size, k * size : (k + 1) * size] for k in range(blocks)])
        return Covariance(own, inverse[:count, count:].reshape(blocks, size, -1), inverse[count:, count:])

    def part(self, own: np.ndarray, shared: np.ndarray) -> Part:
        """Minus ln L with its slope and information, of photons, places and priors."""
        places = [self.views.at(image, self.stills[image].scene, one, shared) for image, one in enumerate(own)]
        told, near = self._told(places, shared)
        if self.belief.wilson:
            photons = wilson_part(told, self.belief)
        else:
            start = np.concatenate([one.factor for one in self.glances]) * self.used
            photons = reference_part(told, self.belief, start)
        prior, slope = self._priors(own, shared), photons.slope + near.slope
        return Part(
            photons.value + near.value + prior.value,
            slope + prior.slope,
            photons.information + near.information + prior.information + np.diag(self._bent(slope, shared)),
        )

    def _bent(self, slope: Float[np.ndarray, "number"], shared: np.ndarray) -> Float[np.ndarray, "number"]:
        """Second derivatives of numbers that enter as their squares: f(u^2) has 2 f' beside the information."""
        bent, place = np.zeros(len(slope)), len(slope) - int(self.shared_free.sum())
        for index in (MOSAICITY, TAIL):
            if self.shared_free[index] and shared[index]:
                here = place + int(self.shared_free[:index].sum())
                bent[here] = max(slope[here] / shared[index], 0.0)
        return bent

    def _as_arrowhead(self, own: np.ndarray, numbers: np.ndarray) -> tuple[float, Arrowhead]:
        """The whole as an arrowhead without blocks."""
        part, count = self.part(*self._taken_apart(numbers)), len(numbers)
        empty = np.zeros((1, 0, 0)), np.zeros((1, 0, count)), np.zeros((1, 0))
        return part.value, Arrowhead(empty[0], empty[1], part.information, empty[2], part.slope)

    def _taken_apart(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All own and shared parameters of the free ones."""
        own, shared = self.own.copy(), self.shared.copy()
        count = len(own) * int(self.own_free.sum())
        own[:, self.own_free] = numbers[:count].reshape(len(own), -1)
        shared[self.shared_free] = numbers[count:]
        return own, shared

    def _told(self, places: list[Spots], shared: np.ndarray) -> tuple[Photons, Part]:
        """Photons as they are seen from here, and what places and widths say, amounts left free."""
        total = len(self.own) * int(self.own_free.sum()) + int(self.shared_free.sum())
        value, slope, information = 0.0, np.zeros(total), np.zeros((total, total))
        by_factor, by_photons, photons, every = [], [], [], []
        for image, (one, at) in enumerate(zip(self.glances, places, strict=True)):
            columns, by = self._slopes(image, at)
            whole = one.equations.information
            amount = np.maximum(whole[:, 0, 0], 1e-300)
            leverage = whole[:, 1:, 0] / amount[:, None]
            apart = self._apart(image, at, shared)
            photons.append(one.amount + one.equations.slope[:, 0] / amount - np.sum(leverage * apart, axis=1))
            near = whole[:, 1:, 1:] - leverage[:, :, None] * whole[:, None, 0, 1:]
            pull = one.equations.slope[:, 1:] - leverage * one.equations.slope[:, :1]
            moved = np.einsum("sij,sj->si", near, apart)
            value += float(np.sum(apart * (moved / 2 - pull)))
            slope[columns] += np.einsum("sip,si->p", by[:, 1:], moved - pull)
            flat = by[:, 1:].reshape(-1, len(columns))
            information[np.ix_(columns, columns)] += flat.T @ (near @ by[:, 1:]).reshape(-1, len(columns))
            every.append(columns)
            by_factor.append(by[:, 0])
            by_photons.append(-np.einsum("si,sip->sp", leverage, by[:, 1:]))
        factor = np.exp(np.minimum(np.concatenate([one.ln_factor for one in places]), 50.0)) * self.used
        rows = (_spread(one, every, total) for one in (by_factor, by_photons))
        told = Photons(self.unique, factor, np.concatenate(photons), self.sigma, *rows)
        return told, Part(value, slope, information)

    def _apart(self, image: int, at: Spots, shared: np.ndarray) -> Float[np.ndarray, "spot 3"]:
        """Place and ln R1 less those of the pass."""
        shell = len(SHARED) + self.shells[image]
        wider = shared[shell] - self.shared[shell]
        return np.concatenate([at.xy - self.glances[image].spots.xy, wider[:, None]], axis=1)

    def _slopes(self, image: int, at: Spots) -> tuple[Int[np.ndarray, "_"], Float[np.ndarray, "spot 4 _"]]:
        """Columns of an image's numbers, and slopes of its spots' (ln S, column, row, ln R1) by them."""
        size, count = int(self.own_free.sum()), len(at.xy)
        by_shared = np.zeros((count, 4, len(self.shared)))
        by_shared[:, :3] = at.by_shared
        by_shared[np.arange(count), 3, len(SHARED) + self.shells[image]] = 1.0
        by_own = np.concatenate([at.by_own, np.zeros((count, 1, self.own.shape[1]))], axis=1)
        by = np.concatenate([by_own[:, :, self.own_free], by_shared[:, :, self.shared_free]], axis=2)
        first = len(self.own) * size
        shared_columns = np.arange(first, first + int(self.shared_free.sum()))
        return np.concatenate([np.arange(image * size, (image + 1) * size), shared_columns]), by

    def _priors(self, own: np.ndarray, shared: np.ndarray) -> Part:
        """Of all numbers that are free."""
        count, mine, all_ = *own.shape, len(shared)
        shapes = ((count, mine, mine), (count, mine, all_), (all_, all_), (count, mine), (all_,))
        value, found = with_priors(0.0, Arrowhead(*(np.zeros(one) for one in shapes)), self.beliefs, own, shared)
        each = np.einsum("kii->ki", found.own)[:, self.own_free].ravel()
        precision = np.concatenate([each, np.diag(found.shared)[self.shared_free]])
        slope = np.concatenate([found.own_slope[:, self.own_free].ravel(), found.shared_slope[self.shared_free]])
        return Part(value, slope, np.diag(precision))


def _spread(
    values: list[Float[np.ndarray, "_ some"]], columns: list[Int[np.ndarray, "some"]], total: int
) -> sparse.csr_array:
    """A few rising columns of a wide matrix, which differ from image to image."""
    rows = np.repeat(columns, [len(one) for one in values], axis=0)
    ends = np.arange(len(rows) + 1) * rows.shape[1]
    return sparse.csr_array((np.concatenate(values).ravel(), rows.ravel(), ends), shape=(len(rows), total))


def _scaled(matrix: sparse.csr_array, factor: Float[np.ndarray, "spot"]) -> sparse.csr_array:
    """Each row times a number."""
    data = matrix.data * np.repeat(factor, np.diff(matrix.indptr))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
