"""The part of a network's answer that says how wrong it is, as split counts tell without a truth."""

from dataclasses import dataclass

import numpy as np

from madpipe.base.store import Groups, entry

_Array = np.ndarray
JUDGED = ("F_T", "F_A", "F_N")  # columns of the squared errors; F_A and F_N as complex numbers, F_T being real


@dataclass(frozen=True)
class Split:
    """Errors of a network's answer to one half of the counts, judged by the other half.

    Every photon goes to one half or the other by chance; both halves are then Poisson counts, independent of each other
    (:mod:`madpipe.mad.network.split`). Rows are shells of photons per point and energy in a half. Squared errors are in
    photons at unit exposure, means over the points of a shell, in the order of :data:`JUDGED`.
    """

    photons: _Array = entry("photons", "photon")  # (shell, 2): least and largest
    points: _Array = entry("points")  # (shell,), both halves together
    widened: _Array = entry("widened")  # (shell,): the prediction's standard deviations were multiplied by this [1]
    squared_error: _Array = entry("squared_error", "photon")  # (shell, 3), of the answer that the widening gives
    squared_error_errors: _Array = entry("squared_error_errors", "photon")  # (shell, 3), standard errors
    uncalibrated: _Array = entry("uncalibrated", "photon")  # (shell, 3): what the answer states before calibration
    stated: _Array = entry("stated", "photon")  # (shell, 3): what it states in the end
    of_fit: _Array = entry("of_fit", "photon")  # (shell, 3): variance of a fit of the half's counts alone
    r_unseen: float = entry("r_unseen")  # sum |n - calculated| over sum n, of the half that the answer has not seen
    r_unseen_noise: float = entry("r_unseen_noise")  # what noise alone makes it
    usual: float = entry("usual")  # share of the calibration's particles that were widened as much or more [1]

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {"": {"NX_class": "NXcollection"}}
