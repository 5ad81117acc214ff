"""Which further constraint would narrow a wide band: each is tried with the present answer's value of it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from madpipe.kinetics.decompose.bands import Band, Factors, find_bands
from madpipe.kinetics.decompose.component import Component

_WORTH_IT = 0.8  # of the width: a constraint that leaves more is not named
_Concentrations = Float[np.ndarray, "frame component"]


def best_constraint(
    factors: Factors,
    q: Float[np.ndarray, " q"],
    components: tuple[Component, ...],
    band: Band,
    closure: bool,
) -> str:
    """Name the constraint that narrows the widest component's share most, and to what; "" where none does."""
    widest = int(np.argmax(band.width()))
    now = float(band.width()[widest])
    best, found = now * _WORTH_IT, ""
    for name, tried, with_closure in _candidates(components, band, closure):
        one = find_bands(factors, q, tried, band.middle, with_closure, blocks=0, only=widest)
        width = float(one.width()[widest])
        if one.outside <= 0.5 and width < best:
            best, found = width, f"{name} would narrow it from {now:.2f} to about {width:.2f}"
    return found


def _candidates(
    components: tuple[Component, ...], band: Band, closure: bool
) -> Iterator[tuple[str, tuple[Component, ...], bool]]:
    """Constraints that are not there yet: name, components with it, and whether with closure."""
    c, frames = band.middle, len(band.middle)
    if not closure:
        yield "closure (nothing comes or goes)", components, True
    else:
        for name, frame in (("the composition of the first frame", 0), ("that of the last frame", frames - 1)):
            yield name, _with_known(components, c, frame), closure
    if not all(one.unimodal for one in components):
        yield "one maximum of each concentration", tuple(replace(one, unimodal=True) for one in components), closure
    for k, one in enumerate(components):
        if one.known_profile is None:
            known = replace(one, known_profile=band.curves[0, k])
            yield f"a measured curve of {one.name}", (*components[:k], known, *components[k + 1 :]), closure


def _with_known(components: tuple[Component, ...], c: _Concentrations, frame: int) -> tuple[Component, ...]:
    """Take the present composition of a frame as known."""
    changed = []
    for k, one in enumerate(components):
        known = np.full(len(c), np.nan) if one.known_concentration is None else one.known_concentration.copy()
        known[frame] = c[frame, k]
        changed.append(replace(one, known_concentration=known))
    return tuple(changed)
