"""Events while a series is measured: a sequential test after each frame, with a set rate of false alarms."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.kinetics.whitened import Whitened, whiten

BACK = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # frames since a change that are tried, a jump and a kink each
_BEGIN = 8  # frames from which the mean curve and the law before are taken, before the first test
_WINDOW = 200  # frames that the law before is fitted to, at most
_GROUPS = 8  # of neighbouring q: what changes is smooth in q, and its direction is not known beforehand
# Tests per frame as good as independent, of the 20 that overlap: alarms of noise / (frames P(chi2_d > threshold)),
# by `false_alarm_share` over 4e4 frames; 5.6 to 7.0 for 1 to 8 components.
INDEPENDENT = 7.0


@dataclass(frozen=True)
class Alarm:
    """A change that was told while the series ran."""

    told: int  # frame at which
    frame: int  # of the change, as far as it was known then
    kind: str  # step or kink


def alarm_threshold(components: int, rate: float) -> float:
    """Give the gain in squares at which noise gives so many alarms per frame.

    Parameters
    ----------
    components:
        d; a jump, or a kink, at a given frame gains chi-square of d degrees of freedom.
    rate:
        False alarms per frame.
    """
    return float(chi2.isf(rate / INDEPENDENT, components))


def watch(curves: Curves, rate: float = 1e-3) -> list[Alarm]:
    """Run through a series as if it came frame by frame: each answer uses the frames before it alone.

    After an alarm the law begins anew at the change. Beam and buffer are left out: the mean curve of the law's first
    frames, and a constant in q.

    Parameters
    ----------
    curves:
        A series; its noise is taken from the sigmas.
    rate:
        False alarms per frame.

    Raises
    ------
    InputError
        The rate is none, or the series cannot be used.
    """
    if not 0 < rate < 0.1:
        raise InputError(f"online events: need between 0 and 0.1 false alarms a frame; {rate:g} came; 0.001 is usual.")
    whitened = whiten(curves)
    alarms: list[Alarm] = []
    begin, frame = 0, _BEGIN
    scores, sigma = _scores_from(whitened, begin)
    while frame < len(whitened.data):
        first = max(begin, frame + 1 - _WINDOW)
        some = slice(first - begin, frame + 1 - begin)
        found = latest_change(scores[some], sigma[some], alarm_threshold(scores.shape[1], rate))
        if found is None:
            frame += 1
            continue
        back, kind = found
        alarms.append(Alarm(frame, frame + 1 - back, kind))
        begin = frame + 1 - back
        scores, sigma = _scores_from(whitened, begin)
        frame = max(frame + 1, begin + _BEGIN)
    return alarms


def latest_change(
    scores: Float[np.ndarray, "frame component"], sigma: Float[np.ndarray, " frame"], threshold: float
) -> tuple[int, str] | None:
    """Say how many frames ago the law changed, and how, where a change gains more than the threshold.

    The gain of a jump or a kink beside one line for all frames: :math:`|h^T M z|^2 / h^T M h`, M leaving the line out,
    all over the frames' noise.
    """
    frames = len(scores)
    place = np.arange(frames, dtype=float)
    root = 1 / sigma[:, None]
    line = np.linalg.qr(np.stack([np.ones(frames), place], axis=1) * root)[0]
    backs = [back for back in BACK if back <= frames - 4]
    after = place[:, None] - (frames - np.array(backs))
    tried = np.concatenate([after >= 0, np.maximum(after + 1, 0)], axis=1) * root
    tried -= line @ (line.T @ tried)
    left = scores * root - line @ (line.T @ (scores * root))
    gains = np.square(tried.T @ left).sum(axis=1) / np.square(tried).sum(axis=0)
    best = int(gains.argmax())
    if gains[best] <= threshold:
        return None
    return backs[best % len(backs)], "step" if best < len(backs) else "kink"


def false_alarm_share(components: int, threshold: float, frames: int, generator: np.random.Generator) -> float:
    """Measure alarms per frame on noise, over P(chi2_d > threshold): the number of independent tests."""
    noise, still = generator.normal(size=(frames, components)), np.ones(frames)
    alarms, begin, frame = 0, 0, _BEGIN
    while frame < frames:
        some = slice(max(begin, frame + 1 - _WINDOW), frame + 1)
        found = latest_change(noise[some], still[some], threshold)
        if found is None:
            frame += 1
            continue
        alarms, begin = alarms + 1, frame + 1 - found[0]
        frame = max(frame + 1, begin + _BEGIN)
    return alarms / frames / float(chi2.sf(threshold, components))


def _scores_from(
    whitened: Whitened, begin: int
) -> tuple[Float[np.ndarray, "frame component"], Float[np.ndarray, " frame"]]:
    """Sums over neighbouring q of the frames from one on, beam and buffer left out, and the noise of each frame."""
    data = whitened.data[begin:]
    sigma = whitened.sigma_frame[begin:]
    some = slice(0, _BEGIN)
    mean = (data[some] * sigma[some, None]).mean(axis=0)
    groups = np.array_split(np.arange(data.shape[1]), min(_GROUPS, data.shape[1] // 2))
    sums = np.zeros((len(groups), data.shape[1]))
    for row, group in enumerate(groups):
        sums[row, group] = 1.0
    nuisances = np.linalg.qr(np.stack([mean, 1 / whitened.sigma_q], axis=1))[0]
    sums -= (sums @ nuisances) @ nuisances.T
    _, size, directions = np.linalg.svd(sums, full_matrices=False)
    found: np.ndarray = data @ directions[size > 1e-6 * size[0]].T * sigma[:, None]
    return found, sigma
