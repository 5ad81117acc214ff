r"""What a reference intensity is worth: the mean and the scatter of the intensities that go with it.

A reference that is the truth times noise does not scatter evenly: those that came out strong are on average too strong.
The mean of I is then no multiple of I_ref, and as strong reflections count more in weak data, far out, a fit that
takes it for one finds a falling off with resolution that is none. So mean and scatter are found from the images, in
bins of z = I_ref / its mean in the shell; both are taken not to depend on resolution otherwise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from madpipe.stills.integrate.intensities import Word, likely_doubt

_Unique = Float[np.ndarray, "unique"]
_Spots = Float[np.ndarray, "spot"]
_KNOWN, _PAIRS = 0.25, 100  # share of the belief's variance that is left, and spots, for the model's error
_PER_SHELL, _LEAST_MEAN = 100, 0.05  # reflections of a shell; its mean over the shells' median, at least
_EDGES = (0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.98, 1.0)  # of the bins, as shares of the reflections
_FEWEST = 2000  # reflections, below which there is one bin
_LOOSE = 0.3  # sd of a bin's ratio about 1, and of its ln tau about that of all, before the images


@dataclass(frozen=True)
class Calibration:
    """Mean of I over I_ref, and relative scatter about it, at values of ln z."""

    ln_z: Float[np.ndarray, "bin"]
    ratio: Float[np.ndarray, "bin"]  # 1 on average over the reference's intensity
    doubt: Float[np.ndarray, "bin"]  # tau

    def at(self, ln_z: _Unique) -> tuple[_Unique, _Unique]:
        """Ratio and tau between the bins; beyond the last the ratio goes on as a line, tau stays."""
        ratio = np.interp(ln_z, self.ln_z, self.ratio)
        if len(self.ln_z) > 1:
            beyond = np.maximum(ln_z - self.ln_z[-1], 0.0)
            last = (self.ratio[-1] - self.ratio[-2]) / (self.ln_z[-1] - self.ln_z[-2])
            ratio = np.maximum(ratio + last * beyond, self.ratio[-1] / 3)
        return ratio, np.interp(ln_z, self.ln_z, self.doubt)


def calibration(
    reference: _Unique, expected: _Unique, word: Word, start: float, fit_doubt: bool, several: bool
) -> Calibration:
    r"""Find ratio and tau of each bin.

    .. math::
        c = \frac{\sum w\, I_{ref}\, x + 1 / s^2}{\sum w\, I_{ref}^2 + 1 / s^2},\qquad
        w = 1 / (v + \tau^2 I_{ref}^2)

    with the images' x and v, drawn towards 1 with s = 0.3, then tau by marginal likelihood, drawn towards that of all:
    in a bin of weak reflections the likelihood alone may be largest at 0.

    Parameters
    ----------
    reference, expected:
        I_ref, NaN where there is none, and its mean in the shell.
    word:
        Of the images.
    start:
        tau so far.
    fit_doubt, several:
        Whether tau is found; whether in bins, each with a ratio, or as one number.
    """
    use = np.flatnonzero(np.isfinite(reference) & (word.precision > 0))
    ln_z = np.log(reference[use] / expected[use])
    several = several and len(use) >= _FEWEST
    if fit_doubt:
        start = likely_doubt(reference[use], _those(word, use), start)
    if not several:
        return Calibration(np.zeros(1), np.ones(1), np.full(1, start))
    inner = np.array(_EDGES[1:-1]) * len(use)
    parts = np.split(np.argsort(ln_z), inner.astype(int))
    found = [_bin(reference[use[part]], _those(word, use[part]), start, fit_doubt) for part in parts]
    ratio, doubt = np.array(found).T
    total = [float(np.sum(reference[use[part]] / expected[use[part]])) for part in parts]
    middles = np.array([ln_z[part].mean() for part in parts])
    return Calibration(middles, ratio * np.sum(total) / np.sum(ratio * total), doubt)


def _bin(reference: np.ndarray, word: Word, start: float, fit_doubt: bool) -> tuple[float, float]:
    """Ratio and tau of a bin."""
    weight, x, belief = (
        1 / (1 / word.precision + (start * reference) ** 2),
        word.weighted / word.precision,
        1 / _LOOSE**2,
    )
    ratio = float((np.sum(weight * reference * x) + belief) / (np.sum(weight * reference**2) + belief))
    ratio = max(ratio, 0.1)
    return ratio, likely_doubt(ratio * reference, word, start, _LOOSE) if fit_doubt else start


def _those(word: Word, chosen: np.ndarray) -> Word:
    return Word(word.precision[chosen], word.weighted[chosen])


def flat_means(epsilon: _Unique, inverse_d2: _Unique, word: Word) -> _Unique:
    """Mean intensity by resolution for Wilson's distribution, as far as it is no exponential of 1/d^2.

    Protein and solvent make it a curve. Its level and slope are those of ln G and B, and are taken out; shells have 100
    reflections, and between them it runs straight.

    Parameters
    ----------
    epsilon:
        Symmetry's factor of each reflection.
    inverse_d2:
        1/d^2 [1/angstrom^2].
    word:
        Of the images.
    """
    told = np.flatnonzero(word.precision > 0)
    order = told[np.argsort(inverse_d2[told])]
    if len(order) < 3 * _PER_SHELL:
        return epsilon
    shells = np.array_split(order, len(order) // _PER_SHELL)
    middles = np.array([inverse_d2[one].mean() for one in shells])
    means = [np.mean(word.weighted[one] / word.precision[one] / epsilon[one]) for one in shells]
    logarithms = np.log(np.maximum(means, _LEAST_MEAN * np.median(means)))
    level, slope = np.linalg.lstsq(np.stack([np.ones(len(shells)), middles], axis=1), logarithms, rcond=None)[0]
    flat: np.ndarray = epsilon * np.exp(np.interp(inverse_d2, middles, logarithms - level - slope * middles))
    return flat


def likely_model_error(
    mean: _Spots, variance: _Spots, share: _Spots, factor: _Spots, photons: _Spots, sigma: _Spots
) -> float:
    r"""Relative error e of the model's A beside counting: what spots differ from what other images say of them.

    By marginal likelihood of :math:`J - S m`, of variance :math:`\sigma_J^2 + S^2 V + e^2 S^2 m^2`, over spots of which
    the others say more than the belief does (V below a quarter of that alone); 0 where there are fewer than 100.

    Parameters
    ----------
    mean, variance:
        m and V of each spot's I by the others and the belief.
    share:
        V over that of the belief alone.
    factor, photons, sigma:
        S, 0 where the spot is left out, J and its error from counting.
    """
    use = (share < _KNOWN) & (factor > 0)
    if use.sum() < _PAIRS:
        return 0.0
    expected2 = (factor[use] * mean[use]) ** 2
    known = sigma[use] ** 2 + factor[use] ** 2 * variance[use]
    apart2 = (photons[use] - factor[use] * mean[use]) ** 2

    def deviance(log_error: float) -> float:
        total = known + np.exp(2 * log_error) * expected2
        return float(np.sum(np.log(total) + apart2 / total))

    found = np.exp(minimize_scalar(deviance, bounds=(np.log(1e-3), np.log(2.0)), method="bounded").x)
    return float(found) if found > 2e-3 else 0.0


def common_change(
    mean: _Unique,
    variance: _Unique,
    inverse_d2: _Unique,
    word: Word,
    prior_precision: Float[np.ndarray, "2"],
    prior_slope: Float[np.ndarray, "2"],
) -> Float[np.ndarray, "2"]:
    r"""Change of ln G and B, the same for all images, that brings their intensities to what was believed of them.

    One weighted step of :math:`x \approx m\, (1 + a - b / 4 d^2)`, of variance v + V, over unique reflections. Image by
    image such a change creeps, as each follows what the others say of I, and a small bias of theirs adds up; so images
    change by what they differ in, and this is what they change by together.

    Parameters
    ----------
    mean, variance:
        m and V, before the images.
    inverse_d2:
        1/d^2 [1/angstrom^2].
    word:
        Of the images: x and v.
    prior_precision, prior_slope:
        Of ln G and B, summed over the images: second derivatives, and slopes towards the priors' means.
    """
    use = (word.precision > 0) & (mean > 0)
    weight = 1 / (1 / word.precision[use] + variance[use])
    design = mean[use, None] * np.stack([np.ones(int(use.sum())), -inverse_d2[use] / 4], axis=1)
    apart = word.weighted[use] / word.precision[use] - mean[use]
    normal = design.T @ (weight[:, None] * design) + np.diag(prior_precision)
    step: np.ndarray = np.linalg.solve(normal, design.T @ (weight * apart) + prior_slope)
    return step
