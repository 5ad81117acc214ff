"""What split counts say of a network's answer, shell by shell: as scores, as a check and in words."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from madpipe.base import metrics
from madpipe.base.verdict import Verdict, verdict
from madpipe.mad import limits
from madpipe.mad.records import JUDGED, Fit, Split, Stack
from madpipe.mad.scores.coverage import shell_in_words
from madpipe.mad.scores.records import SplitScore, SplitScores

_FEWEST_ENERGIES = 4  # of a point that the halves can judge: three unknowns and one to spare
_IN_WORDS = {"F_T": "|F_T|", "F_A": "F_A", "F_N": "F_N"}  # the latter two complex


def split_scores(split: Split, fit: Fit | None = None, stack: Stack | None = None) -> SplitScores:
    """Turn a record of squared errors into scores by quantity and shell.

    Parameters
    ----------
    split:
        The record.
    fit, stack:
        The answer to all counts and its stack: where this holds a truth, the true error stands beside the others.
    """
    shells = [(float(low), float(high)) for low, high in split.photons]
    true: list[list[float | None]] = [[None] * len(JUDGED) for _ in shells]
    if fit is not None and stack is not None and stack.truth is not None:
        true = _true_rms(fit, stack, shells)
    rows = [
        _score(split, shell, column, true[shell][column])
        for column in range(len(JUDGED))
        for shell in range(len(shells))
    ]
    usual = metrics.finite(float(split.usual))
    return SplitScores(tuple(rows), float(split.r_unseen), float(split.r_unseen_noise), usual)


def _score(split: Split, shell: int, column: int, true: float | None) -> SplitScore:
    """One quantity in one shell."""
    squared, error = split.squared_error[shell, column], split.squared_error_errors[shell, column]
    rms, upwards = root_of(float(squared), float(error))
    low, high = split.photons[shell]
    return SplitScore(
        quantity=JUDGED[column],
        shell_low=float(low),
        shell_high=metrics.finite(high),
        points=int(split.points[shell]),
        widened=float(split.widened[shell]),
        rms_error=rms,
        rms_error_standard_error=upwards,
        stated_rms=math.sqrt(split.stated[shell, column]),
        fit_rms=math.sqrt(split.of_fit[shell, column]),
        true_rms_error=true,
    )


def root_of(squared: float, error: float) -> tuple[float, float]:
    r"""Root of an estimated squared error, 0 where the estimate is negative, and its standard error upwards.

    .. math:: r = \sqrt{\max(s, 0)}, \qquad e = \sqrt{\max(s, 0) + \sigma_s} - r

    For :math:`\sigma_s \ll s` that is :math:`\sigma_s / 2r`; for :math:`s \le 0` it is :math:`\sqrt{\sigma_s}`.
    """
    root = math.sqrt(max(squared, 0.0))
    return root, math.sqrt(max(squared, 0.0) + error) - root


def true_squares(fit: Fit, stack: Stack) -> Float[np.ndarray, "3 *point"]:
    """Squared errors of an answer against the truth, in the order of JUDGED [photon].

    F_A and F_N are complex numbers in the gauge that makes F_T real, as no intensity knows a common phase.
    """
    truth = stack.truth
    turned = truth.f_resonant * np.exp(-1j * np.angle(truth.f_total))
    resonant = fit.f_resonant * np.exp(-1j * fit.delta_phi)
    normal = fit.f_normal * np.exp(1j * (fit.delta_phi_na - fit.delta_phi))
    size = np.abs(truth.f_total)
    return np.stack(
        [np.square(fit.f_total - size), np.abs(resonant - turned) ** 2, np.abs(normal - (size - turned)) ** 2]
    )


def _true_rms(fit: Fit, stack: Stack, shells: Sequence[tuple[float, float]]) -> list[list[float | None]]:
    """Rms error of the answer to all counts, by shell and quantity; None where a shell has no point."""
    squares = true_squares(fit, stack)
    half = stack.truth.expected.mean(axis=0) / 2
    judged = stack.good.sum(axis=0) >= _FEWEST_ENERGIES
    inside = [squares[:, judged & (half >= low) & (half < high)] for low, high in shells]
    return [[metrics.finite(metrics.root_mean_square(np.sqrt(one))[0]) for one in points] for points in inside]


def factor_of(row: SplitScore) -> float:
    r"""Factor between stated and found rms error that two standard errors of the latter leave, to either side [1].

    .. math:: \max\left(\frac{\sqrt{r^2 - 2\sigma}}{s}, \frac{s}{\sqrt{r^2 + 2\sigma}}\right), \qquad
        \sigma = (r + e)^2 - r^2

    with :math:`r` found, :math:`e` its standard error upwards (:func:`root_of`) and :math:`s` stated.
    """
    square = row.rms_error**2
    spread = limits.STATED_SIGMAS * ((row.rms_error + row.rms_error_standard_error) ** 2 - square)
    least, most = math.sqrt(max(square - spread, 0.0)), math.sqrt(square + spread)
    if not row.stated_rms > 0 or not most > 0:
        return math.inf
    return max(least / row.stated_rms, row.stated_rms / most)


def worst_row(scores: SplitScores) -> SplitScore | None:
    """Quantity and shell in which stated and found errors are farthest apart, of those of enough points and photons."""
    return max(filter(is_judged, scores.rows), key=factor_of, default=None)


def is_judged(row: SplitScore) -> bool:
    """Whether a shell has points and photons enough: where photons are few, the errors found are too large."""
    return row.points >= limits.CELL and row.shell_low >= limits.SPLIT_FROM


def split_verdict(scores: SplitScores) -> Verdict | None:
    """Whether the answer states the errors that split counts find; None where no shell can be judged."""
    row = worst_row(scores)
    if row is None:
        return None
    meaning = f"worst shell, {_rms_in_words(row)}: factor between the two that {limits.STATED_SIGMAS:g} errors leave"
    return verdict(factor_of(row), limits.STATED_BY_SPLIT, True, meaning)


def _rms_in_words(row: SplitScore) -> str:
    """What is stated and found in one shell."""
    found = metrics.with_error(row.rms_error, row.rms_error_standard_error)
    return (
        f"rms error of {_IN_WORDS[row.quantity]} at {shell_in_words(row)} photons {found} sqrt(photon) by split counts "
        f"(stated {row.stated_rms:.3g}, a fit's {row.fit_rms:.3g})"
    )


def in_words(scores: SplitScores) -> str:
    """Say in a line how far the network is trusted, how wrong it is where it states worst, and R on unseen counts."""
    row = worst_row(scores)
    parts = [_widening_in_words(scores), *([_rms_in_words(row)] if row is not None else [])]
    return "; ".join([*parts, f"R on unseen counts {scores.r_unseen:.3g} (noise {scores.r_unseen_noise:.3g})"])


def _widening_in_words(scores: SplitScores) -> str:
    """How much the predictions were widened, and by how much that is more than on the training's particles."""
    factors = {(row.shell_low, row.shell_high): row.widened for row in scores.rows}.values()
    aside = sum(factor >= limits.SET_ASIDE for factor in factors)
    most = max((factor for factor in factors if factor < limits.SET_ASIDE), default=1.0)
    words = [f"widened up to {most:.2g} times"] if most > 1 else []
    if aside:
        words.append(f"set aside in {aside} of {len(factors)} shells of photons, where the counts alone answer")
    if not words:
        return "no prediction had to be widened"
    if scores.usual is not None:
        words.append(f"as {100 * scores.usual:.2g} % of particles like the training's need or more")
    return f"the network knew less here than it stated: predictions {', '.join(words)}"
