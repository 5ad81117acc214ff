"""What all figures of the study share: names with units, central slices and their extents."""

import numpy as np

from madpipe.base import metrics
from madpipe.base.plotting import LOOKS, edges_from_axis
from madpipe.mad.records import Stack

FIT_LOOK, NETWORK_LOOK = LOOKS[0], LOOKS[1]
ANGSTROM_PER_NM = 10.0
MODULUS_UNIT = r"photon$^{1/2}$"
SYMBOLS = {
    "F_T": r"$|F_\mathrm{T}|$",
    "F_A": r"$|F_\mathrm{A}|$",
    "delta_phi": r"$\Delta\varphi$",
    "F_N": r"$|F_\mathrm{N}|$",
}
IN_WORDS = {"F_T": "|F_T|", "F_A": "|F_A|", "delta_phi": "Delta phi", "F_N": "|F_N|"}
FIELDS = {"F_T": "f_total", "F_A": "f_resonant", "delta_phi": "delta_phi", "F_N": "f_normal"}
LARGEST_PHASE_ERROR = 1.0  # radian; a phase whose standard error is larger is not shown


def is_list(stack: Stack) -> bool:
    """Tell a list of reflections from a frame or volume."""
    return stack.reflection is not None


def central_slice(values: np.ndarray, ndim: int) -> np.ndarray:
    """Plane through the origin across the first of the last ndim axes; a frame is its own."""
    return np.take(values, values.shape[-3] // 2, axis=-3) if ndim == 3 else values


def slice_words(stack: Stack) -> str:
    """Say which plane of a volume is shown."""
    return "central slices (q_z = 0, z = 0)" if len(stack.shape) == 3 else "the whole frame"


def q_extent(stack: Stack) -> tuple[float, float, float, float]:
    """Edges of the (qy, qx) plane [1/nm]."""
    return *edges_from_axis(stack.qx * ANGSTROM_PER_NM), *edges_from_axis(stack.qy * ANGSTROM_PER_NM)


def voxel_nm(stack: Stack) -> float:
    """Edge of a real-space voxel, 2 pi over the width of the q window [nm]."""
    left, right, _, _ = q_extent(stack)
    return 2 * np.pi / (right - left)


def true_values(stack: Stack, quantity: str) -> np.ndarray:
    """Truth of one quantity as a fit reports it: a modulus, or Delta_phi [radian], NaN where F_A is zero."""
    truth = stack.truth
    if quantity == "delta_phi":
        cross = truth.f_total * np.conj(truth.f_resonant)
        return np.where(np.abs(cross) > 0, np.angle(cross), np.nan)
    return np.abs(getattr(truth, FIELDS[quantity]))


def deviation(recovered: np.ndarray, true: np.ndarray, quantity: str) -> np.ndarray:
    """Recovered less true; phases the short way round."""
    return metrics.wrapped(recovered - true) if quantity == "delta_phi" else recovered - true


def mean_photons(stack: Stack) -> np.ndarray:
    """Photons per point and energy: the expected ones where they are known, else the detected ones."""
    if stack.truth is not None:
        return stack.truth.expected.mean(axis=0)
    good = stack.good
    counts = np.where(good, stack.data, 0.0).sum(axis=0)
    return counts / np.maximum(good.sum(axis=0), 1)


def seen(stack: Stack) -> np.ndarray:
    """Points that at least three energies measured, as a MAD fit needs."""
    return stack.good.sum(axis=0) >= 3
