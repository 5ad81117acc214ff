"""What the network sees of a series, whatever the number of its components and their signs."""

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.kinetics.events.find import find_events
from madpipe.kinetics.events.scores import scores_of
from madpipe.kinetics.events.settings import EventsSettings

SCALES = (1, 2, 4, 8, 16, 32)  # frames on either side that are compared
CHANNELS = 3 * len(SCALES) + 2 + 4  # of jumps, kinks, of the beam; place and number of components; the programme's


def features_of(curves: Curves, programme: bool) -> Float[np.ndarray, "channel frame"]:
    """Give the contrasts of a series' scores at several scales, and the answer of the dynamic programme.

    Each contrast is in standard deviations of its noise, its square summed over the components: ln(1 + it).
    """
    scores = scores_of(curves)
    frames, components = scores.values.shape
    data = scores.values * np.sqrt(scores.weights)[:, None]
    total = (scores.beam - 1) * scores.total.mean()
    rows = [np.log1p(_size(data, scale, _jump)) for scale in SCALES]
    rows += [np.log1p(_size(data, scale, _kink)) for scale in SCALES]
    rows += [np.log1p(_size(total[:, None], scale, _jump)) for scale in SCALES]
    place = np.arange(frames)
    rows += [np.log1p(np.minimum(place, frames - 1 - place)) / 4, np.full(frames, components / 4.0)]
    return np.concatenate([np.stack(rows), _programme(curves, frames, programme)]).astype(np.float32)


def _size(data: np.ndarray, scale: int, weights: object) -> np.ndarray:
    """Norm over the components of a contrast, each frame; the ends repeat."""
    row = _jump(scale) if weights is _jump else _kink(scale)
    row = row / np.linalg.norm(row)
    padded = np.pad(data, ((scale, scale - 1), (0, 0)), mode="edge")
    if not data.shape[1]:
        return np.zeros(len(data))
    contrast = np.stack([np.convolve(one, row[::-1], mode="valid") for one in padded.T])
    found: np.ndarray = np.linalg.norm(contrast, axis=0)
    return found


def _jump(scale: int) -> np.ndarray:
    """Frames after less frames before."""
    return np.concatenate([-np.ones(scale), np.ones(scale)])


def _kink(scale: int) -> np.ndarray:
    """Slope after less slope before, blind to lines."""
    place = np.arange(2 * scale) - scale + 0.5
    basis = np.linalg.qr(np.stack([np.ones(2 * scale), place], axis=1))[0]
    bent = np.abs(place)
    found: np.ndarray = bent - basis @ (basis.T @ bent)
    return found if scale > 1 else _jump(scale)


def _programme(curves: Curves, frames: int, wanted: bool) -> np.ndarray:
    """Events of the dynamic programme: step, kink, ln of the gain, and until when each was not evident."""
    rows = np.zeros((4, frames))
    for one in find_events(curves, EventsSettings()).events if wanted else ():
        rows[0 if one.kind == "step" else 1, one.frame] = 1.0
        rows[2, one.frame] = np.log1p(max(one.gain, 0.0)) / 4
        rows[3, one.frame : one.evident + 1] = 1.0
    return rows
