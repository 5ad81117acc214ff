r"""What an instrument's resolution makes of a curve: one matrix, from intensities on a fine grid to the data's points.

.. math:: I_s(q_i) = \int K_i(k) I(k)\, dk = \sum_j W_{ij} I(k_j), \quad W_{ij} = \int K_i(k) \ell_j(k)\, dk

The grid does not depend on the data's spacing. Its nodes are even in

.. math:: t(q) = \operatorname{asinh}(q / q_0) / r + m\, d\, q / 2 \pi,

so that r is their relative distance where the curve is a power law, and m of them fall on each period of the
oscillations of a particle of dimension d. :math:`\ell_j` are Lagrange's polynomials of degree five in t through the six
nodes around a point; I is even in q, so nodes below 0 are those above. The integrals are Gauss and Legendre's sums,
cell by cell.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_Points = tuple[np.ndarray, np.ndarray]  # where to take the curve, and with which weight
RELATIVE_STEP = 0.06  # r; a power law q^-4 is then right to 1e-6 between nodes
PER_PERIOD = 20  # m; an oscillation is then right to 5e-6 of itself between nodes
MOST_NODES = 40_000
CUT = 2.5  # standard deviations of a pinhole, where sasmodels ends its Gaussian too
_GAUSSIAN_PIECES = 10
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_STENCIL = np.arange(-2, 4)
_DENOMINATORS = np.array([np.prod([one - other for other in _STENCIL if other != one]) for one in _STENCIL])
_ROW_SUM = 0.01  # by which a row of a given matrix may miss 1


@dataclass(frozen=True)
class Resolution:
    """Resolution of each point of a curve; what is left out is taken as perfect.

    Parameters
    ----------
    dq:
        Standard deviation of a pinhole's Gaussian [1/angstrom].
    slit_length:
        L, canSAS dQl: the slit's half height; :math:`\\int_0^L I(\\sqrt{q^2 + u^2})\\, du / L` [1/angstrom].
    slit_width:
        canSAS dQw: half the slit's width; even weight over q -+ it [1/angstrom].
    wavelength_spread:
        Full width of an even spectrum over its mean wavelength, [0, 1) [1].
    cut:
        Where the Gaussian ends [standard deviations].
    """

    dq: Float[Tensor, "point"] | None = None
    slit_length: Float[Tensor, "point"] | None = None
    slit_width: Float[Tensor, "point"] | None = None
    wavelength_spread: float = 0.0
    cut: float = CUT


@dataclass(frozen=True)
class Smearing:
    """A grid and the matrix from intensities on it to those of the data's points."""

    q: Float[Tensor, "node"]  # rising, above 0 [1/angstrom]
    matrix: Float[Tensor, "point node"]

    def __call__(self, intensity: Float[Tensor, "*batch node"]) -> Float[Tensor, "*batch point"]:
        """Smear intensities on the grid."""
        return intensity @ self.matrix.T


@dataclass(frozen=True)
class _Grid:
    """Even nodes in t: node j lies at t = j + 1/2."""

    knee: float  # q_0 [1/angstrom]
    slope: float  # m d / 2 pi [angstrom]
    edges: np.ndarray  # q of the nodes, which end the cells [1/angstrom]

    def place(self, q: Float[np.ndarray, "place"]) -> Float[np.ndarray, "place"]:
        """T of q, odd."""
        found: np.ndarray = np.arcsinh(q / self.knee) / RELATIVE_STEP + self.slope * q
        return found


def smearing(q: Float[Tensor, "point"], resolution: Resolution, largest: float) -> Smearing:
    """Make the matrix of a resolution, once per curve.

    Parameters
    ----------
    q:
        Of the data, in any order and spacing; each point stays a row of its own [1/angstrom].
    resolution:
        Of each point.
    largest:
        Largest dimension, a sphere's diameter, whose oscillations the grid must resolve [angstrom]
        (:func:`largest_seen` where nothing is known).

    Returns
    -------
    :
        Rows sum to 1. Of a sphere of R = 2300 angstrom without spread, at 60 points between 1e-5 and 0.03/angstrom, the
        curve smeared by a slit is right to 4e-7 of itself everywhere, by a pinhole of 5 % of q to 6e-7, of 1 % to 2e-5.

    Raises
    ------
    ValueError
        q not above 0; a width negative, infinite or of another length; more nodes than 40,000.

    References
    ----------
    Pedersen, Posselt and Mortensen, J. Appl. Cryst. 23, 321 (1990) (pinhole); canSAS 1D format, dQl and dQw (slit).
    """
    _check(q, resolution)
    at = q.detach().cpu().double().numpy()
    widths = [_column(one, at) for one in (resolution.dq, resolution.slit_width, resolution.slit_length)]
    grid = _grid(at, _reach(at, widths, resolution), largest)
    rows = [
        _row(grid, _points(grid, point, dq, width, length, resolution))
        for point, dq, width, length in zip(at, *widths, strict=True)
    ]
    return Smearing(torch.from_numpy(grid.edges).to(q), torch.from_numpy(np.array(rows)).to(q))


def largest_seen(q: Float[Tensor, "point"]) -> float:
    """Largest dimension that a curve can tell, pi over the lowest q [angstrom]."""
    return float(torch.pi / q.min())


def given_smearing(q: Float[Tensor, "node"], matrix: Float[Tensor, "point node"], normalised: bool = True) -> Smearing:
    """Take a user's own matrix.

    Parameters
    ----------
    q:
        Where the matrix takes the curve, rising [1/angstrom].
    matrix:
        Weights.
    normalised:
        Whether each row must sum to 1, as that of a resolution does.

    Raises
    ------
    ValueError
        q not rising above 0; values not finite; rows that do not sum to 1.
    """
    if not (bool((q > 0).all()) and bool((q.diff() > 0).all()) and bool(matrix.isfinite().all())):
        raise ValueError(
            "a smearing matrix of finite weights for rising q above 0 is required; another came; sort its columns by q"
        )
    off = (matrix.sum(1) - 1).abs().max()
    if normalised and bool(off > _ROW_SUM):
        raise ValueError(
            f"a smearing matrix whose rows sum to 1 within {_ROW_SUM:g} is required; one is off by {float(off):.3g}; "
            f"divide each row by its sum, or say that it is not normalised"
        )
    return Smearing(q, matrix)


def _check(q: Tensor, resolution: Resolution) -> None:
    """Refuse what is no resolution."""
    if not bool(((q > 0) & q.isfinite()).all()):
        raise ValueError(f"finite q above 0 is required [1/angstrom]; {float(q.min()):g} came; leave such points out")
    for name in ("dq", "slit_length", "slit_width"):
        width = getattr(resolution, name)
        if width is not None and not (width.shape == q.shape and bool(((width >= 0) & width.isfinite()).all())):
            raise ValueError(
                f"one finite {name} of 0 or more for each of {len(q)} points is required [1/angstrom]; "
                f"{len(width)} from {float(width.min()):g} came; give one for each point"
            )
    if not (0 <= resolution.wavelength_spread < 1 and resolution.cut > 0):
        raise ValueError(
            f"a wavelength spread in 0 to 1 and a cut above 0 are required; {resolution.wavelength_spread:g} and "
            f"{resolution.cut:g} came; give the spectrum's full width over its mean"
        )


def _column(width: Tensor | None, at: np.ndarray) -> np.ndarray:
    """Width of each point, 0 where none is told."""
    return np.zeros_like(at) if width is None else width.detach().cpu().double().numpy()


def _reach(at: np.ndarray, widths: list[np.ndarray], resolution: Resolution) -> float:
    """Largest q that any point takes the curve at."""
    dq, width, length = widths
    straight = at / (1 - resolution.wavelength_spread / 2) + resolution.cut * dq + width
    return float(np.hypot(straight, length).max())


def _grid(at: np.ndarray, reach: float, largest: float) -> _Grid:
    """Nodes to three beyond the largest q."""
    knee, slope = float(at.min()) / 3, PER_PERIOD * largest / (2 * np.pi)
    bare = _Grid(knee, slope, np.zeros(0))
    count = int(bare.place(np.array([reach]))[0]) + 4
    if count > MOST_NODES:
        raise ValueError(
            f"a largest dimension and q range whose oscillations {MOST_NODES} nodes resolve are required; {largest:g} "
            f"angstrom and q to {reach:g}/angstrom came, which take {count}; take a smaller dimension or range"
        )
    wanted = np.arange(count) + 0.5
    lows, highs = np.zeros(count), np.full(count, 2 * reach + 8 / max(slope, 1 / (RELATIVE_STEP * reach)))
    for _ in range(60):
        middle = (lows + highs) / 2
        below = bare.place(middle) < wanted
        lows, highs = np.where(below, middle, lows), np.where(below, highs, middle)
    return _Grid(knee, slope, (lows + highs) / 2)


def _points(grid: _Grid, q: float, dq: float, width: float, length: float, resolution: Resolution) -> _Points:
    """Where a row takes the curve, and with which weights: one kernel after another."""
    half = resolution.wavelength_spread / 2
    points = np.array([q]), np.ones(1)
    if half > 0:
        points = _spread(points, lambda centre: _wavelengths(grid, centre, half))
    if dq > 0:
        points = _spread(points, lambda centre: _gaussian(grid, centre, dq, resolution.cut))
    if width > 0:
        points = _spread(points, lambda centre: _even(grid, centre, width))
    if length > 0:
        points = _spread(points, lambda centre: _slit(grid, abs(centre), length))
    return points


def _spread(points: _Points, kernel: Callable[[float], _Points]) -> _Points:
    """Put a kernel in place of each point."""
    made = [(at, weight * share) for centre, share in zip(*points, strict=True) for at, weight in [kernel(centre)]]
    return np.concatenate([at for at, _ in made]), np.concatenate([weight for _, weight in made])


def _gaussian(grid: _Grid, centre: float, sigma: float, cut: float) -> _Points:
    """Pinhole."""
    low, high = centre - cut * sigma, centre + cut * sigma
    pieces = np.linspace(low, high, _GAUSSIAN_PIECES + 1)
    at, weight = _sums(np.concatenate([pieces, _between(grid, low, high)]))
    weight = weight * np.exp(-0.5 * ((at - centre) / sigma) ** 2)
    return at, weight / weight.sum()


def _even(grid: _Grid, centre: float, half: float) -> _Points:
    """Slit's width."""
    low, high = centre - half, centre + half
    at, weight = _sums(np.concatenate([[low, high], _between(grid, low, high)]))
    return at, weight / weight.sum()


def _wavelengths(grid: _Grid, centre: float, half: float) -> _Points:
    """Even spectrum: q over relative wavelengths s, 1 / s^2 the density in q."""
    low, high = centre / (1 + half), centre / (1 - half)
    at, weight = _sums(np.concatenate([[low, high], _between(grid, low, high)]))
    weight = weight / at**2
    return at, weight / weight.sum()


def _slit(grid: _Grid, centre: float, length: float) -> _Points:
    """Slit's half height, in u across it."""
    inside = _between(grid, centre, float(np.hypot(centre, length)))
    across = np.sqrt((inside - centre) * (inside + centre))
    at, weight = _sums(np.concatenate([[0.0, length], across[across < length]]))
    return np.hypot(centre, at), weight / length


def _between(grid: _Grid, low: float, high: float) -> np.ndarray:
    """Ends of cells between two q, negative ones too."""
    edges = grid.edges
    above = edges[np.searchsorted(edges, max(low, 0.0)) : np.searchsorted(edges, max(high, 0.0))]
    if low >= 0:
        return above
    below = -edges[np.searchsorted(edges, max(-high, 0.0)) : np.searchsorted(edges, -low)]
    return np.concatenate([below, above])


def _sums(ends: np.ndarray) -> _Points:
    """Nodes and weights of an integral over pieces between ends, in any order."""
    ends = np.sort(ends)
    half = np.diff(ends) / 2
    at = (ends[:-1] + half)[:, None] + half[:, None] * _NODES
    return at.ravel(), (half[:, None] * _WEIGHTS).ravel()


def _row(grid: _Grid, points: _Points) -> np.ndarray:
    """Weights of the nodes that take the curve, interpolated, at the points."""
    at, weight = points
    place = grid.place(np.abs(at)) - 0.5
    cell = np.floor(place).astype(int)
    within = place - cell
    nodes = cell[:, None] + _STENCIL
    shares = np.empty(nodes.shape)
    apart = within[:, None] - _STENCIL
    for number in range(len(_STENCIL)):
        shares[:, number] = np.delete(apart, number, 1).prod(1) / _DENOMINATORS[number]
    nodes = np.where(nodes < 0, -nodes - 1, nodes)
    return np.bincount(nodes.ravel(), (shares * weight[:, None]).ravel(), len(grid.edges))
