"""Where the fit of still images starts."""

import gemmi
import numpy as np
from jaxtyping import Float, Int

from madpipe.base.errors import InputError
from madpipe.stills.integrate.image_model import spots_at
from madpipe.stills.integrate.intensities import asymmetric_of
from madpipe.stills.integrate.prepare import Still

_LEAST_OVERLAP = 20  # reflections that images and reference must share
_BRIGHTEST = 30  # spots of an image whose moments give the first width
_PER_SHELL = 200  # reflections whose mean is that of a shell


def matched_reference(
    unique: Int[np.ndarray, "unique 3"],
    space_group: str,
    hkl: Int[np.ndarray, "reference 3"] | None,
    intensity: Float[np.ndarray, "reference"] | None,
) -> Float[np.ndarray, "unique"]:
    """Reference intensity of each unique reflection, the mean of its equivalents; NaN where there is none.

    Intensities that are not above 0 say nothing of a relative error, and count as none.

    Raises
    ------
    InputError
        Fewer than 20 in common.
    """
    found = np.full(len(unique), np.nan)
    if hkl is None or intensity is None:
        return found
    asu, _ = asymmetric_of(hkl, space_group)
    good = np.isfinite(intensity) & (intensity > 0)
    both = np.concatenate([unique, asu[good]])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.reshape(-1)
    of_reference, of_unique = number[len(unique) :], number[: len(unique)]
    count = np.bincount(of_reference, minlength=number.max() + 1)
    total = np.bincount(of_reference, intensity[good], number.max() + 1)
    have = count[of_unique] > 0
    found[have] = total[of_unique][have] / count[of_unique][have]
    if have.sum() < _LEAST_OVERLAP:
        raise InputError(
            f"a reference needs {_LEAST_OVERLAP} reflections in common with the images; {int(have.sum())} of "
            f"{len(unique)} are; check its cell, space group and resolution."
        )
    return found


def shell_means(
    inverse_d2: Float[np.ndarray, "unique"], reference: Float[np.ndarray, "unique"], hkl: np.ndarray, space_group: str
) -> Float[np.ndarray, "unique"]:
    """Expected intensity by resolution alone: the reference's mean over neighbours in 1/d^2; 1 without a reference.

    Without one each has its symmetry's factor epsilon.
    """
    known = np.flatnonzero(np.isfinite(reference))
    if not len(known):
        operations = gemmi.SpaceGroup(space_group).operations()
        return np.asarray(operations.epsilon_factor_array(hkl.astype(np.int32)), dtype=float)
    order = known[np.argsort(inverse_d2[known])]
    shells = np.array_split(order, max(1, len(order) // _PER_SHELL))
    middles = np.array([inverse_d2[one].mean() for one in shells])
    means = np.array([reference[one].mean() for one in shells])
    expected: np.ndarray = np.exp(np.interp(inverse_d2, middles, np.log(means)))
    return expected


def first_scale(still: Still, intensity: np.ndarray, own: np.ndarray, shared: np.ndarray) -> float:
    """ln G as a ratio of sums: photons of all boxes over what G = 1 expects of them."""
    expected = np.exp(spots_at(still.scene, own, shared).ln_factor) * intensity
    net = np.sum(still.boxes.good * (still.boxes.counts - still.boxes.background[:, None, None]), axis=(1, 2))
    return float(np.log(max(net.sum(), 1.0) / max(expected.sum(), 1e-300)))


def first_log_width(stills: list[Still]) -> float:
    """ln R1 from the moments of the brightest spots, less that of a pixel, 1/12 an axis."""
    squares = []
    for still in stills:
        boxes, told = still.boxes, still.scene.reflections
        net = boxes.good * (boxes.counts - boxes.background[:, None, None])
        bright = np.argsort(net.sum(axis=(1, 2)))[-_BRIGHTEST:]
        columns, rows = boxes.offsets(told.xy)
        x, y = columns[bright][:, None, :], rows[bright][:, :, None]
        some, photons = net[bright], net[bright].sum(axis=(1, 2))
        metric = told.metric[bright]
        mean_x, mean_y = ((some * one).sum(axis=(1, 2)) / photons for one in (x, y))
        x, y = x - mean_x[:, None, None], y - mean_y[:, None, None]
        moments = [(some * one).sum(axis=(1, 2)) / photons for one in (x * x, x * y, y * y)]
        pixel = 1 / 12
        square = metric[:, 0, 0] * (moments[0] - pixel) + metric[:, 1, 1] * (moments[2] - pixel)
        squares.append(square + 2 * metric[:, 0, 1] * moments[1])
    typical = float(np.median(np.concatenate(squares)))
    floor = float(np.median(stills[0].scene.reflections.metric[:, 0, 0])) * 0.25  # half a pixel
    return 0.5 * float(np.log(max(typical, floor)))
