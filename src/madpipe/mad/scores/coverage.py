"""How often stated intervals hold the truth, over all shells of photons and in the one that is farthest off."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from madpipe.mad.limits import CELL
from madpipe.mad.records import NORMAL_95
from madpipe.mad.scores.records import CoverageScore, HasShell, PooledScore, ShellScore

_Row = TypeVar("_Row", ShellScore, PooledScore)
DUE = {  # share of the points that each interval is to hold
    "coverage_68": math.erf(1 / math.sqrt(2)),
    "coverage_95": math.erf(NORMAL_95 / math.sqrt(2)),
    "zero_consistency": math.erf(NORMAL_95 / math.sqrt(2)),
}
_OF_CELL = ("worst", "worst_standard_error", "worst_shell_low", "worst_shell_high", "worst_points")


def half_width(
    level: float, sigma: Float[np.ndarray, "*point"], half_95: Float[np.ndarray, "*point"]
) -> Float[np.ndarray, "*point"]:
    r"""Half the width of an interval between those that are stated, in the unit of the errors.

    .. math:: h(k) = k \sigma \ (k \le 1), \qquad h(k) = \sigma + \frac{k - 1}{1.96 - 1} (h_{95} - \sigma)

    Parameters
    ----------
    level:
        :math:`k`, standard deviations of a normal error whose interval holds as much; up to 1.96, beyond which
        nothing is stated.
    sigma:
        Half the width of the interval of 68.3 %.
    half_95:
        That of 95 %; of a normal error 1.96 sigma, and :math:`h(k) = k \sigma` throughout.
    """
    if level <= 1:
        return level * sigma
    return sigma + (level - 1) / (NORMAL_95 - 1) * (half_95 - sigma)


def coverage_scores(rows: Sequence[_Row]) -> tuple[CoverageScore, ...]:
    """Sum up the shells of every quantity and interval: the share over all points, and the worst shell.

    Parameters
    ----------
    rows:
        Scores by shell of one answer, or of one set of the test suite.
    """
    return tuple(_summed(rows))


def _summed(rows: Sequence[_Row]) -> Iterator[CoverageScore]:
    """One score for each quantity and interval that any row has."""
    for quantity in dict.fromkeys(row.quantity for row in rows):
        for interval, due in DUE.items():
            known = [row for row in rows if row.quantity == quantity and getattr(row, interval, None) is not None]
            if not known:
                continue
            points = sum(row.points for row in known)
            worst = worst_of(known, interval)
            found = {} if worst is None else _of_cell(worst, interval)
            yield CoverageScore(
                quantity=quantity,
                interval=interval,
                due=due,
                points=points,
                share=sum(getattr(row, interval) * row.points for row in known) / points,
                **{name: found.get(name) for name in _OF_CELL},
            )


def _of_cell(row: ShellScore | PooledScore, interval: str) -> dict[str, Any]:
    """What a summary keeps of its worst shell."""
    error = getattr(row, f"{interval}_standard_error", None)
    return dict(zip(_OF_CELL, (getattr(row, interval), error, row.shell_low, row.shell_high, row.points), strict=True))


def worst_of(rows: Sequence[_Row], interval: str) -> _Row | None:
    """Row of enough points whose share is farthest from what is due; of a control's zero, farthest below it.

    A modulus that is held at zero from one side may lie within its interval in every point, and nothing is wrong.
    """
    known = [row for row in rows if row.points >= CELL and getattr(row, interval, None) is not None]

    def distance(row: _Row) -> float:
        short = DUE[interval] - float(getattr(row, interval))
        return short if interval == "zero_consistency" else abs(short)

    return max(known, key=distance, default=None)


def shell_in_words(row: HasShell) -> str:
    """Limits of a shell in words [photon]."""
    return photons_in_words(row.shell_low, row.shell_high)


def photons_in_words(low: float, high: float | None) -> str:
    """From these photons to those, None or infinity being any number [photon]."""
    if high is None or math.isinf(high):
        return f"{_short(low)} and more"
    return f"{_short(low)}-{_short(high)}"


def _short(value: float) -> str:
    """Write 10000 as 1e4, and small numbers in full."""
    return f"{value:g}" if value < 1e3 else f"{value:.0e}".replace("e+0", "e")
