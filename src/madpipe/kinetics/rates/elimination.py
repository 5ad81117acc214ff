"""Variable projection: the species' curves are eliminated exactly, what is left depends on the rates alone."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

_ALIKE = 1e-9  # singular values below this share of the largest: columns that the data cannot tell apart
_MOST_SIGNED = 6  # species whose subsets are all tried


@dataclass(frozen=True)
class Eliminated:
    """Least squares in the curves, at given columns, and derivatives by what the columns depend on."""

    deviance: float
    slope: Float[np.ndarray, " number"]  # half the gradient
    normal: Float[np.ndarray, "number number"]  # J^T J
    curves: Float[np.ndarray, "species column"]
    residual: Float[np.ndarray, "frame column"]


def eliminated(
    columns: Float[np.ndarray, "frame species"],
    slopes: Float[np.ndarray, "number frame species"],
    data: Float[np.ndarray, "frame column"],
    non_negative: bool = False,
) -> Eliminated:
    r"""Minimise :math:`\|Y - A(x) S\|^2` over S.

    With Kaufman's Jacobian, :math:`-(1 - A A^+)\, \partial A\, A^+ Y`: the gradient is exact, :math:`J^T J` is the
    Fisher
    information where the residual is noise. Non-negative S: in each column the best of all subsets of species that is
    not negative, hence exact.

    Parameters
    ----------
    columns:
        A.
    slopes:
        Its derivatives.
    data:
        Y, whitened.

    References
    ----------
    Golub & Pereyra, Inverse Problems 19, R1 (2003), eq. 10; Kaufman, BIT 15, 49 (1975).
    """
    everything = tuple(range(columns.shape[1]))
    curves = np.zeros((columns.shape[1], data.shape[1]))
    residual = data.copy()
    slope, normal = np.zeros(len(slopes)), np.zeros((len(slopes), len(slopes)))
    subsets = _subsets(columns, data) if non_negative else {everything: np.arange(data.shape[1])}
    for used, where in subsets.items():
        if not used:
            continue
        basis, inverse = _inverted(columns[:, used])
        found = inverse @ data[:, where]
        left = data[:, where] - basis @ (basis.T @ data[:, where])
        curves[np.ix_(np.array(used), where)] = found
        residual[:, where] = left
        bent = slopes[:, :, used]
        slope -= np.einsum("pfs,fs->p", bent, left @ found.T, optimize=True)
        across = bent - basis @ (basis.T @ bent)
        normal += np.einsum("pfs,st,qft->pq", across, found @ found.T, across, optimize=True)
    return Eliminated(float(np.square(residual).sum()), slope, normal, curves, residual)


def information_of_noise(
    columns: Float[np.ndarray, "frame species"], slopes: Float[np.ndarray, "number frame species"]
) -> Float[np.ndarray, "number number"]:
    """Give what noise of variance 1 in one column of the data adds to J^T J, as it bends the curves."""
    basis, inverse = _inverted(columns)
    across = slopes - basis @ (basis.T @ slopes)
    return np.einsum("pfs,st,qft->pq", across, inverse @ inverse.T, across, optimize=True)


def _inverted(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal basis of the columns, and their pseudo-inverse."""
    scale = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    left, singular, right = np.linalg.svd(columns / scale, full_matrices=False)
    some = singular > _ALIKE * singular[0]
    basis = left[:, some]
    return basis, ((right[some].T / singular[some]) @ basis.T) / scale[:, None]


def _subsets(columns: np.ndarray, data: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """For each subset of species: the columns of the data where it is the best that is not negative."""
    count = min(columns.shape[1], _MOST_SIGNED)
    best, choice = np.zeros(data.shape[1]), np.zeros(data.shape[1], dtype=int)
    subsets = [used for size in range(count + 1) for used in combinations(range(columns.shape[1]), size)]
    for number, used in enumerate(subsets[1:], 1):
        basis, inverse = _inverted(columns[:, used])
        gain = np.square(basis.T @ data).sum(axis=0)
        gain[(inverse @ data < 0).any(axis=0)] = -1.0
        choice[gain > best] = number
        best = np.maximum(best, gain)
    return {subsets[number]: np.flatnonzero(choice == number) for number in np.unique(choice)}
