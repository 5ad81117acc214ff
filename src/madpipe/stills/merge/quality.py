"""How far merged intensities can be trusted: CC1/2, CC*, R_split, CC to a reference and what chance gives, by shell."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.base.metrics import correlation
from madpipe.stills.merge.merged import Merged

_Unique = Float[np.ndarray, "unique"]
_LEAST_HALF = 0.3  # CC1/2 of the last shell that counts
_FEWEST = 10  # pairs of a shell whose CC1/2 is judged


@dataclass(frozen=True)
class Quality:
    """Figures of a set of reflections; NaN where there are too few."""

    lowest: float  # d [angstrom]
    highest: float
    reflections: int  # measured
    measurements: int
    pairs: int  # measured in both halves
    i_over_sigma: float  # mean
    cc_half: float
    cc_star: float
    r_split: float
    cc_reference: float
    cc_chance: float  # sd of it with the reference shuffled within shells
    cc_chance_mean: float


@dataclass(frozen=True)
class Limit:
    """Resolution up to which the data count, and the rule that set it."""

    resolution: float  # d [angstrom]
    rule: str


def cc_star(cc_half: float) -> float:
    """Correlation with the true intensities that CC1/2 implies, sqrt(2 CC / (1 + CC)); NaN below 0.

    References
    ----------
    Karplus, Diederichs, Science 336, 1030 (2012).
    """
    return math.sqrt(2 * cc_half / (1 + cc_half)) if cc_half >= 0 else math.nan


def r_split(one: _Unique, other: _Unique) -> float:
    r"""Disagreement of halves, :math:`2^{-1/2} \sum |I_1 - I_2| / (\frac12 \sum (I_1 + I_2))`; NaN for sums below 0.

    References
    ----------
    White et al., J. Appl. Cryst. 45, 335 (2012).
    """
    total = float(np.sum(one + other)) / 2
    return float(np.sum(np.abs(one - other))) / math.sqrt(2) / total if total > 0 else math.nan


def relative_to_shells(values: _Unique, mean_of: _Unique, inverse_d2: _Unique, count: int = 10) -> _Unique:
    """Intensities over the mean of their shell, so that the fall with resolution correlates nothing.

    Parameters
    ----------
    values:
        To be divided.
    mean_of:
        Whose means count.
    inverse_d2:
        1/d^2 [1/angstrom^2].
    count:
        Shells, of equal numbers of reflections.
    """
    result = np.array(values, dtype=float)
    for part in np.array_split(np.argsort(inverse_d2), count):
        if len(part):
            mean = float(np.mean(mean_of[part]))
            result[part] = result[part] / mean if mean > 0 else np.nan
    return result


def shuffled_in_shells(
    reference: _Unique, inverse_d2: _Unique, generator: np.random.Generator, size: int = 50
) -> _Unique:
    """A reference whose intensities have changed places within narrow shells: the null of any bias to it."""
    result = np.array(reference, dtype=float)
    known = np.flatnonzero(np.isfinite(reference))
    order = known[np.argsort(inverse_d2[known])]
    for part in np.array_split(order, max(1, len(order) // size)):
        result[part] = reference[generator.permutation(part)]
    return result


def quality(
    merged: Merged,
    halves: tuple[Merged, Merged] | None,
    inverse_d2: _Unique,
    reference: _Unique,
    generator: np.random.Generator,
    chosen: np.ndarray | None = None,
    shells: int = 10,
    shuffles: int = 20,
) -> Quality:
    """Figures over some reflections; intensities are taken relative to their shells' means.

    Parameters
    ----------
    merged, halves:
        From :func:`madpipe.stills.merge.merged.merge`; None where there is but one image.
    inverse_d2, reference:
        Of each unique reflection; NaN where there is no reference.
    generator:
        For the shuffled references.
    chosen:
        Which reflections; None for all.
    shells:
        Within which means are taken.
    shuffles:
        Number of shuffled references.
    """
    use = (merged.number > 0) & (np.ones(len(inverse_d2), dtype=bool) if chosen is None else chosen)
    both = use & (halves[0].number > 0) & (halves[1].number > 0) if halves else np.zeros_like(use)
    half, split = math.nan, math.nan
    if halves and both.sum() >= _FEWEST:
        one, other = halves[0].mean[both], halves[1].mean[both]
        middle = (one + other) / 2
        flat = [relative_to_shells(values, middle, inverse_d2[both], shells) for values in (one, other)]
        half, split = correlation(*flat), r_split(one, other)
    known = use & np.isfinite(reference)
    to_reference, chance = math.nan, np.array([math.nan])
    if known.sum() > 2:
        flat_mean = relative_to_shells(merged.mean[known], merged.mean[known], inverse_d2[known], shells)
        flat_reference = relative_to_shells(reference[known], reference[known], inverse_d2[known], shells)
        to_reference = correlation(flat_mean, flat_reference)
        null = [shuffled_in_shells(flat_reference, inverse_d2[known], generator) for _ in range(shuffles)]
        chance = np.array([correlation(flat_mean, one) for one in null])
    d = 1 / np.sqrt(inverse_d2[use]) if use.any() else np.array([math.nan])
    ratio = float(np.mean(merged.mean[use] / merged.sigma[use])) if use.any() else math.nan
    return Quality(
        float(d.max()), float(d.min()), int(use.sum()), int(merged.number[use].sum()), int(both.sum()), ratio,
        half, cc_star(half), split, to_reference, float(chance.std()), float(chance.mean()),
    )  # fmt: skip


def by_shell(
    merged: Merged,
    halves: tuple[Merged, Merged] | None,
    inverse_d2: _Unique,
    reference: _Unique,
    generator: np.random.Generator,
    count: int = 10,
) -> list[Quality]:
    """Figures of shells of equal numbers of measured reflections, from low resolution to high."""
    order = np.flatnonzero(merged.number > 0)
    order = order[np.argsort(inverse_d2[order])]
    found = []
    for part in np.array_split(order, count):
        chosen = np.zeros(len(inverse_d2), dtype=bool)
        chosen[part] = True
        if len(part):
            found.append(quality(merged, halves, inverse_d2, reference, generator, chosen, shells=1))
    return found


def resolution_limit(shells: list[Quality]) -> Limit:
    """Highest resolution of the shells that come before the first whose CC1/2 falls below 0.3.

    Shells with fewer than 10 pairs of halves are judged by I / sigma of 1 instead; the rule says so.
    """
    last, halved, judged = math.nan, 0, 0
    for shell in shells:
        enough = shell.pairs >= _FEWEST
        passed = shell.cc_half >= _LEAST_HALF if enough else shell.i_over_sigma >= 1
        if not passed:
            break
        last, halved, judged = shell.highest, halved + enough, judged + 1
    rule = f"CC1/2 >= {_LEAST_HALF:g} in each shell up to it"
    if judged > halved:
        rule += f"; {judged - halved} of {judged} shells have fewer than {_FEWEST} pairs and passed by <I/sigma> >= 1"
    return Limit(last, rule if judged else f"no shell has CC1/2 >= {_LEAST_HALF:g}")
