"""Curves of several records on one axis of q, where each is measured at its own points only."""

from collections.abc import Sequence

import numpy as np

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError


def together(records: Sequence[Curves]) -> Curves:
    """Join records of different q.

    Parameters
    ----------
    records:
        One or more.

    Returns
    -------
    :
        All points, sorted by q; sigma is infinite where a curve was not measured.

    Raises
    ------
    InputError
        No record.
    """
    if not records:
        raise InputError("a common fit needs at least one record of curves; none came; give some.")
    order = np.argsort(np.concatenate([one.q for one in records]), kind="stable")
    count, size = sum(len(one.intensity) for one in records), len(order)
    intensity, sigma = np.zeros((count, size)), np.full((count, size), np.inf)
    row = column = 0
    for one in records:
        place = slice(row, row + len(one.intensity)), slice(column, column + len(one.q))
        intensity[place], sigma[place] = one.intensity, one.sigma
        row, column = place[0].stop, place[1].stop
    notes = [line for one in records for line in (one.warnings or "").split("\n") if line]
    return Curves(
        q=np.concatenate([one.q for one in records])[order],
        intensity=intensity[:, order],
        sigma=sigma[:, order],
        absolute=min(one.absolute for one in records),
        names="\n".join(one.names for one in records),
        title=" + ".join(one.title for one in records),
        dq=_joined(records, "dq", order),
        slit_length=_joined(records, "slit_length", order),
        slit_width=_joined(records, "slit_width", order),
        warnings=warned.kept("\n".join(notes) or None),
    )


def _joined(records: Sequence[Curves], name: str, order: np.ndarray) -> np.ndarray | None:
    """One kind of resolution of all points; 0 where a record has none."""
    own = [getattr(one, name) for one in records]
    if all(one is None for one in own):
        return None
    filled = [np.zeros(len(record.q)) if one is None else one for record, one in zip(records, own, strict=True)]
    joined: np.ndarray = np.concatenate(filled)[order]
    return joined
