r"""Width of the spots in shells of resolution, by maximum likelihood with an amplitude of its own for each spot.

A width that is 5 % off makes weak spots 5 % too strong and strong ones not at all, which a fit takes for a falling off
with resolution. Its error is therefore carried on (:func:`madpipe.stills.integrate.fit`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from madpipe.stills.reflections.moments import Centre

LARGEST = 3.0  # a shell's width over the median of all
_LOOSE = 0.2  # sd of a shell's ln R1 about that of all, which is all that a shell without photons has
_FARTHEST = 0.3  # change of ln R1 in a step


@dataclass(frozen=True)
class Widths:
    """R1 of each shell."""

    log_width: Float[np.ndarray, "shell"]  # of R1 in 1/angstrom
    variance: Float[np.ndarray, "shell"]  # of ln R1


def shells_of(inverse_d2: Float[np.ndarray, "spot"], count: int) -> tuple[np.ndarray, Float[np.ndarray, "edge"]]:
    """Number of each spot's shell, and the edges in 1/d^2: shells of equal numbers of spots."""
    edges = np.quantile(inverse_d2, np.linspace(0, 1, count + 1))
    return np.clip(np.searchsorted(edges, inverse_d2, side="right") - 1, 0, count - 1), edges


def updated(
    widths: Float[np.ndarray, "shell"],
    shell: Int[np.ndarray, "spot"],
    slope: Float[np.ndarray, "spot 4"],
    information: Float[np.ndarray, "spot 4 4"],
    found: Float[np.ndarray, "spot"] | None = None,
) -> Widths:
    r"""One step of Fisher scoring of ln R1 in each shell, with free amplitudes.

    The amplitude A of each spot is eliminated: with scores g and information F of (A, column, row, ln R1),

    .. math::
        s = g_R - F_{RA} g_A / F_{AA},\qquad i = F_{RR} - F_{RA}^2 / F_{AA}

    sum over a shell to its step. Both are linear in the counts once the expected variances are given, so that weak
    spots give no bias. A shell is drawn towards the mean of all with a standard deviation of 0.2, and held to three
    times their median.

    Parameters
    ----------
    widths:
        ln R1 that the equations were made with.
    shell:
        Of each spot.
    slope, information:
        From :func:`madpipe.stills.integrate.methods.pixel_equations`.
    found:
        Photons J over the model's A: where these are far apart, as without a reference, i times it is the slope of s,
        and a step without it goes too far.
    """
    amplitude = np.maximum(information[:, 0, 0], 1e-300)
    ratio = information[:, 3, 0] / amplitude
    score = np.bincount(shell, slope[:, 3] - ratio * slope[:, 0], len(widths))
    each = information[:, 3, 3] - ratio * information[:, 3, 0]
    known = np.bincount(shell, each, len(widths))
    slopes = known if found is None else np.maximum(np.bincount(shell, each * found, len(widths)), known / 2)
    free = widths + np.clip(score / np.maximum(slopes, 1e-12), -_FARTHEST, _FARTHEST)
    mean = float(np.sum(known * free) / max(known.sum(), 1e-300)) if known.sum() > 0 else float(np.mean(widths))
    total = known + 1 / _LOOSE**2
    log_width = (known * free + mean / _LOOSE**2) / total
    top = np.median(log_width) + np.log(LARGEST)
    return Widths(np.minimum(log_width, top), 1 / total)


def centred(centre: Centre, least_photons: float) -> Float[np.ndarray, "2"]:
    """Median shift of the spots with photons [pixel]; 0 where none has."""
    good = centre.photons > least_photons
    return np.median(centre.shift[good], axis=0) if good.any() else np.zeros(2)
