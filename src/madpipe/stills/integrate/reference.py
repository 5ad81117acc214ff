r"""What a reference intensity is worth: the mean and the scatter of the intensities that go with it.

A reference that is the truth times noise does not scatter evenly: those that came out strong are on average too strong.
The mean of I is then no multiple of I_ref, and as strong reflections count more in weak data, far out, a fit that
takes it for one finds a falling off with resolution that is none. So mean and scatter are found from the images, in
bins of z = I_ref / its mean in the shell; both are taken not to depend on resolution otherwise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.stills.integrate.intensities import Word, likely_doubt

_Unique = Float[np.ndarray, "unique"]
_Spots = Float[np.ndarray, "spot"]
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


def common_change(
    mean: _Spots, variance: _Spots, share: _Spots, inverse_d2: _Spots, factor: _Spots, photons: _Spots, sigma: _Spots
) -> tuple[float, float]:
    r"""Change of ln G and B, the same for all images, after which no image asks for more of it.

    Image by image such a change creeps: each follows what the others say of I, which moves with them. With all changing
    by a - b / 4 d^2 the others' mean falls by as much, but for the share of it that is prior belief:

    .. math::
        \sum w\, S m\, \phi\, (J - S m) = \Big(\sum w\, S^2 m^2\, \frac{V}{V_0}\, \phi \phi^T\Big)
        \begin{pmatrix} a \\ b \end{pmatrix},\qquad w = \frac{1}{\sigma_J^2 + S^2 V},\quad \phi = (1, -1 / 4 d^2)

    Parameters
    ----------
    mean, variance:
        m and V of each spot's I by the others and the belief.
    share:
        V over that of the belief alone.
    inverse_d2:
        1/d^2 [1/angstrom^2].
    factor, photons, sigma:
        S, 0 where the spot is left out, J and its error.
    """
    expected = factor * mean
    weight = 1 / (sigma**2 + factor**2 * variance)
    design = np.stack([np.ones(len(mean)), -inverse_d2 / 4], axis=1)
    normal = design.T @ ((weight * expected**2 * share)[:, None] * design)
    slope = design.T @ (weight * expected * (photons - expected))
    step = np.linalg.solve(normal + 1e-9 * np.diag(np.diag(normal)) + 1e-12 * np.eye(2), slope)
    return float(step[0]), float(step[1])
