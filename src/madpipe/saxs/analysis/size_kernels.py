"""Scattering of particles whose sizes fill a bin, integrated over it: sampled amplitudes oscillate from bin to bin."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

PER_CM = 1e-4  # (1e-6 / angstrom^2)^2 angstrom^3 in 1/cm

# Intensity per volume fraction at contrast 1e-6 / angstrom^2, that is V <|F / V|^2> [angstrom^3], for sizes in one row.
SizeKernel = Callable[[Float[np.ndarray, "q 1"], Float[np.ndarray, "size"]], Float[np.ndarray, "q size"]]


def sphere_kernel(q: Float[np.ndarray, "q 1"], diameter: Float[np.ndarray, "size"]) -> Float[np.ndarray, "q size"]:
    r"""Give :math:`V\, [3 (\sin x - x \cos x) / x^3]^2` with x = q D / 2.

    Parameters
    ----------
    q:
        [1/angstrom].
    diameter:
        [angstrom].

    Returns
    -------
    :
        [angstrom^3]; 1 where q is 0, times the volume.
    """
    x = q * diameter / 2
    series = 1 - x**2 / 10 + x**4 / 280 - x**6 / 15120
    small = np.maximum(x, 0.05)
    closed = 3 * (np.sin(small) - small * np.cos(small)) / small**3
    return np.asarray(np.pi / 6 * diameter**3 * np.where(x < 0.05, series, closed) ** 2)


def size_edges(low: float, high: float, bins: int) -> Float[np.ndarray, "edge"]:
    """Edges of bins of equal width in ln(size) [angstrom]."""
    return np.geomspace(low, high, bins + 1)


def binned_kernel(
    q: Float[np.ndarray, "q"], edges: Float[np.ndarray, "edge"], kernel: SizeKernel = sphere_kernel
) -> Float[np.ndarray, "q bin"]:
    r"""Average a kernel over each bin, in which the volume is spread evenly over ln(size).

    .. math:: K_{ij} = 10^{-4} \frac{1}{\ln(D_{j+1} / D_j)} \int V \langle |F / V|^2 \rangle (q_i, D)\, d \ln D

    Parameters
    ----------
    q:
        [1/angstrom].
    edges:
        Of the bins [angstrom].
    kernel:
        Of one size; it may oscillate as fast as a sphere's.

    Returns
    -------
    :
        Intensity [1/cm] per volume fraction at contrast 1e-6 / angstrom^2. Gauss-Legendre with more nodes than the
        phase q D changes by over a bin: error below 1e-9 of the kernel's size.
    """
    found = np.empty((len(q), len(edges) - 1))
    turns = float(q.max()) * np.diff(edges)
    for place, (low, high) in enumerate(zip(np.log(edges[:-1]), np.log(edges[1:]), strict=True)):
        nodes, weights = np.polynomial.legendre.leggauss(min(10 + int(0.8 * turns[place]), 400))
        sizes = np.exp((low + high) / 2 + nodes * (high - low) / 2)
        found[:, place] = kernel(q[:, None], sizes) @ (weights / 2)
    return PER_CM * found
