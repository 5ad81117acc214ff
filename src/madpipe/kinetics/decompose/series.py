"""The part of a series that is decomposed: buffer subtracted, frames and q chosen, weights made."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from madpipe.base import warned
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.kinetics.decompose.rank import Subtraction
from madpipe.kinetics.decompose.settings import DecomposeSettings
from madpipe.kinetics.decompose.weights import SeparableSigma, measured_block, separable_sigma

_FEWEST_FRAMES, _FEWEST_Q = 3, 10
_NOT_SEPARABLE = 0.5  # root mean square of ln sigma over its product


@dataclass(frozen=True)
class Series:
    """What the decomposition works on."""

    q: Float[np.ndarray, " q"]
    intensity: Float[np.ndarray, "frame q"]  # buffer subtracted
    sigma: Float[np.ndarray, "frame q"]
    every_sigma: Float[np.ndarray, "every q"]  # of the buffer's frames too
    chosen: slice  # the frames analysed among those
    subtraction: Subtraction
    weights: SeparableSigma
    frame: Int[np.ndarray, " frame"]  # place in the series as measured
    time: Float[np.ndarray, " frame"] | None
    scale: Float[np.ndarray, " frame"]  # that each frame was multiplied with

    @property
    def block(self) -> Float[np.ndarray, "frame q"]:
        """Weighted data."""
        weighted: Float[np.ndarray, "frame q"] = self.intensity / (self.weights.frame[:, None] * self.weights.q)
        return weighted


def chosen_series(curves: Curves, settings: DecomposeSettings) -> Series:
    """Choose q and frames, subtract the buffer's mean, and factorise the standard deviations.

    Raises
    ------
    InputError
        Too few frames or q, frames outside the series, a sigma that is none, or a series that does not change at all.
    """
    place, q_inside = _measured(curves, settings)
    buffer = _frames(curves, settings.buffer, "buffer")
    wanted = _frames(curves, settings.frames, "frames to analyse") or (0, len(curves.intensity))
    inside = np.flatnonzero((place >= wanted[0]) & (place < wanted[1]))
    if len(inside) < _FEWEST_FRAMES or q_inside.sum() < _FEWEST_Q:
        raise InputError(
            f"series: need at least {_FEWEST_FRAMES} frames of {_FEWEST_Q} measured q; {len(inside)} of "
            f"{int(q_inside.sum())} came; choose more frames or a wider range of q."
        )
    intensity, sigma = (
        curves.intensity[place][:, q_inside].astype(float),
        curves.sigma[place][:, q_inside].astype(float),
    )
    if not (np.isfinite(intensity).all() and (sigma > 0).all()):
        raise InputError(
            "series: need finite intensities and sigmas above zero; others came; leave those points out, or set their "
            "sigma to infinity."
        )
    of_buffer = np.zeros(0, dtype=int) if buffer is None else np.flatnonzero((place >= buffer[0]) & (place < buffer[1]))
    if buffer is not None:
        intensity = intensity - intensity[of_buffer].mean(axis=0)
    chosen = slice(int(inside[0]), int(inside[-1]) + 1)
    if np.ptp(intensity[chosen], axis=0).max() == 0:
        raise InputError("series: needs frames that differ; all are equal; give the series as it was measured.")
    time = None if curves.time is None else curves.time[place][chosen].astype(float)
    scale = _scale(intensity[chosen], place[chosen] if time is None else time, settings.scale_order)
    intensity[chosen], sigma[chosen] = intensity[chosen] * scale[:, None], sigma[chosen] * scale[:, None]
    weights = separable_sigma(sigma[chosen])
    if weights.misfit > _NOT_SEPARABLE:
        warned.warn(
            f"sigmas are no product of a factor per frame and one per q (they are off by {weights.misfit:.0%}): the "
            "weights of the decomposition are approximate; look at how the sigmas were made"
        )
    limits = None if buffer is None else (int(of_buffer[0]), int(of_buffer[-1]) + 1)
    return Series(
        q=curves.q[q_inside].astype(float),
        intensity=intensity[chosen],
        sigma=sigma[chosen],
        every_sigma=sigma,
        chosen=chosen,
        subtraction=Subtraction(limits, settings.subtracted_frames),
        weights=weights,
        frame=place[chosen],
        time=time,
        scale=scale,
    )


def _scale(
    intensity: Float[np.ndarray, "frame q"], axis: Shaped[np.ndarray, " frame"], order: int | None
) -> Float[np.ndarray, " frame"]:
    """Factors that bring the frames' sums over q onto a polynomial in the logarithm of the axis, or of the place."""
    if order is None:
        return np.ones(len(axis))
    x = np.log10(axis) if axis.min() > 0 else np.arange(len(axis), dtype=float)
    total = intensity.sum(axis=1)
    if order >= len(axis) or total.min() <= 0:
        raise InputError(
            f"scale_order: needs sums over q above 0 and fewer orders than frames; sums from {total.min():.4g} and "
            f"order {order} of {len(axis)} frames came; choose q where there is signal, or leave it out."
        )
    x = x - x.mean()
    found: np.ndarray = np.polyval(np.polyfit(x, total, order), x) / total
    return found


def _measured(curves: Curves, settings: DecomposeSettings) -> tuple[Int[np.ndarray, " frame"], np.ndarray]:
    """Frames and q of which everything was measured, within the range of q."""
    q_inside = (curves.q >= settings.q_min) & (curves.q <= (settings.q_max or np.inf))
    if not q_inside.any():
        raise InputError(
            f"q range: needs some of the series' q, {curves.q.min():.4g} to {curves.q.max():.4g} 1/angstrom; "
            f"{settings.q_min:.4g} to {settings.q_max} came; choose others."
        )
    frames, points = measured_block(np.where(q_inside, curves.sigma, np.inf)[:, q_inside])
    if not frames.all():
        warned.warn(f"{int((~frames).sum())} of {len(frames)} frames lack many q and are left out of the decomposition")
    if not points.all():
        warned.warn(f"{int((~points).sum())} of {len(points)} q were not measured in every frame and are left out")
    kept = np.zeros(len(curves.q), dtype=bool)
    kept[np.flatnonzero(q_inside)[points]] = True
    return np.flatnonzero(frames), kept


def _frames(curves: Curves, wanted: tuple[int, int] | None, what: str) -> tuple[int, int] | None:
    """Refuse a range of frames that the series does not have."""
    if wanted is not None and not 0 <= wanted[0] < wanted[1] <= len(curves.intensity):
        raise InputError(
            f"{what}: need first and stop within the {len(curves.intensity)} frames, counted from 0; "
            f"{wanted[0]}:{wanted[1]} came; choose others."
        )
    return wanted
