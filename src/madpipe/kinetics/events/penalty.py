"""What an event has to gain: from the rate of false alarms, by chi-square."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import chi2

_MOST = 6  # false events at once that the bound counts


def event_penalty(frames: int, components: int, false_alarms: float) -> float:
    r"""Give the penalty of an event at which noise alone has one with a chance of at most ``false_alarms`` per series.

    m false events gain, at given frames, chi-square of 2 d m degrees of freedom, as each brings a jump and a slope to
    each of d components. The sum over their frames bounds the chance:

    .. math:: \sum_m \binom{T}{m} P(\chi^2_{2 d m} > m \beta) = \alpha

    As neighbouring frames say nearly the same, the true chance is below the bound.

    Parameters
    ----------
    frames, components:
        T, d.
    false_alarms:
        alpha, per series.
    """
    if components == 0:
        return float("inf")
    count = np.arange(1, min(_MOST, frames) + 1)
    ways = gammaln(frames + 1) - gammaln(count + 1) - gammaln(frames - count + 1)

    def excess(penalty: float) -> float:
        chances = ways + chi2.logsf(count * penalty, 2 * components * count)
        return float(np.logaddexp.reduce(chances) - np.log(false_alarms))

    return float(brentq(excess, 1e-3, 1e3 + 20.0 * components))


def curve_penalty(frames: int, components: int, curves: int, false_alarms: float) -> float:
    """Give the penalty of a bent segment: one amplitude for each component, any of so many time constants."""
    if components == 0:
        return float("inf")
    return float(chi2.isf(false_alarms / (frames * curves), components))
