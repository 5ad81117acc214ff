"""Isolated bright points, which one image cannot explain beside a particle: left out of a retrieval, and said so."""

from dataclasses import replace

import numpy as np

from madpipe.base.warned import warn
from madpipe.mad import limits
from madpipe.mad.measured.isolated import isolated_points
from madpipe.mad.records import Stack

_HOT = np.uint32(0x4)  # bit of the CXI pixel mask
_NAMED = 3  # points that a line names


def without_isolated(stack: Stack) -> Stack:
    """Mask points far above all that surround them, at every energy or at one.

    A hot pixel of 4e9 counts among a particle's 1e6 is most of the likelihood: the support grows over the frame to
    explain it.

    Warns
    -----
    DataWarning
        Index and counts of the points.
    """
    if stack.data_errors is not None:
        return stack
    good: np.ndarray = stack.good
    bad: np.ndarray = np.zeros(good.shape, dtype=bool)
    counts = np.where(good, stack.data, 0).astype(float)
    for number in range(len(counts)):
        for place in isolated_points(counts[number], good[number], limits.HOT_ABOVE):
            bad[number][place] = True
    rest = good & ~bad  # what is too dim at each energy alone
    together: np.ndarray = np.where(rest, counts, 0).sum(0)
    seen: np.ndarray = np.asarray(rest.any(axis=0))
    for place in isolated_points(together, seen, limits.HOT_ABOVE):
        for each in bad:
            each[place] = True
    bad &= good
    if not bad.any():
        return stack
    places, brightest = np.argwhere(bad.any(axis=0)), counts.max(axis=0)
    told = [f"{tuple(place.tolist())}, {brightest[tuple(place)]:.4g} counts" for place in places[:_NAMED]]
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    warn(
        f"points over {limits.HOT_ABOVE:g} times all around them, as no particle that can be retrieved shows them: "
        f"{'; '.join(told)}{more}; left out of the retrieval; mask them if they are hot pixels (convert --mask-hot)"
    )
    mask = (
        np.zeros(stack.data.shape, dtype=np.uint32) if stack.mask is None else np.asarray(stack.mask, dtype=np.uint32)
    )
    return replace(stack, mask=np.where(bad, mask | _HOT, mask))
