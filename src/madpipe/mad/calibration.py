"""Factors that make a network's errors honest, found on particles that it never saw.

They depend on the contrast of the energies, on the brightness of a point and on the share of what is known that its own
counts say: a prediction may be too sure or not sure enough, while counts alone are understood.
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

from madpipe.mad.fit import UNDETERMINED
from madpipe.mad.records import PHASES
from madpipe.mad.records import QUANTITIES as FIELDS

QUANTITIES = tuple(FIELDS.values())
SHARES = (0.05, 0.2, 0.5, 0.8, 0.95)  # of the information on a quantity that the counts give: edges of its bins
CONTRAST = "calibration.contrast"  # name of the edges between groups of energies
EDGES = tuple(10 ** (k / 2) for k in range(-2, 15))  # photons of a point over all energies; two bins per decade
_ONE_SIGMA = 0.6827
_LEAST_POINTS = 300  # in a bin, for its factor to be worth keeping
Columns = dict[str, Float[Tensor, "point"]]


def key(ndim: int, *, refine: bool, group: int = 0) -> str:
    """Name of the factors for frames or volumes, refined or not, of energies with some contrast."""
    return f"calibration.{ndim}.{'refined' if refine else 'predicted'}.{group}"


def group_of(contrast: float, edges: Float[Tensor, "edge"] | None) -> int:
    """Number of the group that energies of some contrast belong to; one for all where there are no edges."""
    return 0 if edges is None else int((contrast >= edges).sum())


def share_of_counts(columns: Columns, predicted: Columns) -> Columns:
    """Give for every quantity the share of the information that the counts added, from errors after and before."""
    shares = {}
    for name in QUANTITIES:
        after, before = columns[f"{name}_errors"], predicted[f"{name}_errors"]
        shares[name] = (1 - (after / before.clamp(min=1e-300)).square()).clamp(0, 1)
    return shares


def apply(
    columns: Columns,
    shares: Columns,
    photons: Float[Tensor, "point"],
    factors: Float[Tensor, "quantity share bin"] | None,
) -> Columns:
    """Multiply errors by their factors, interpolated in share and logarithm of photons; no factors change nothing."""
    if factors is None:
        return columns
    edges, centres = _centres(), np.log(_brightness_centres())
    level = np.clip(np.log(photons.clamp(min=1e-30).numpy()), centres[0], centres[-1])
    scaled = dict(columns)
    for name, table in zip(QUANTITIES, factors.double().numpy(), strict=True):
        share = np.clip(shares[name].numpy(), edges[0], edges[-1])
        found = RegularGridInterpolator((edges, centres), np.log(table))(np.stack([share, level], -1))
        scaled[f"{name}_errors"] = columns[f"{name}_errors"] * torch.as_tensor(np.exp(found))
        if name in PHASES:
            scaled[f"{name}_errors"] = scaled[f"{name}_errors"].clamp(max=UNDETERMINED)
    return scaled


def factors_of(
    deviations: Columns, shares: Columns, photons: Float[Tensor, "point"]
) -> Float[Tensor, "quantity share bin"]:
    """Factors that bring the shares of deviations within 1 and 1.96 errors nearest to 68.3 % and 95 %.

    Parameters
    ----------
    deviations:
        By quantity, over the claimed error; NaN where there is no truth.
    shares:
        By quantity, from :func:`share_of_counts`.
    photons:
        Of the same points over all energies.

    Notes
    -----
    Deviations have longer tails than a normal distribution's, and no factor meets both shares: the one is taken whose
    worse share is best. Bins with few points take the factor of the nearest brightness that has enough, or, where there
    is none, of points with any share.
    """
    bins = np.digitize(photons.numpy(), EDGES)
    return torch.as_tensor(
        np.stack([_table(deviations[name].abs().numpy(), shares[name].numpy(), bins) for name in QUANTITIES])
    )


def _table(values: np.ndarray, shares: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Factors of one quantity by share and brightness."""
    places = np.digitize(shares, SHARES)
    usual = _filled(_row(values, bins))
    rows = [_row(values[places == number], bins[places == number]) for number in range(len(SHARES) + 1)]
    return np.stack([_filled(row) if np.isfinite(row).any() else usual for row in rows])


def _row(values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Factor of each bin of brightness; NaN where there are few points."""
    row = np.full(len(EDGES) + 1, np.nan)
    for number in range(len(row)):
        inside = values[(bins == number) & np.isfinite(values)]
        if len(inside) >= _LEAST_POINTS:
            row[number] = _factor(inside)
    return row


def _factor(deviations: np.ndarray) -> float:
    """Factor of the errors whose worse share, of those within 1 and within 1.96, is nearest to a normal's."""
    ordered = np.sort(deviations)
    candidates = np.maximum(np.quantile(ordered, np.linspace(0.5, 0.95, 181)), 1e-3)
    misses = [
        np.abs(np.searchsorted(ordered, multiple * candidates) / len(ordered) - share)
        for multiple, share in ((1.0, _ONE_SIGMA), (1.96, 0.95))
    ]
    return float(candidates[np.maximum(*misses).argmin()])


def _filled(row: np.ndarray) -> np.ndarray:
    """Fill gaps with the nearest value; with ones where there is none."""
    known = np.flatnonzero(np.isfinite(row))
    if not len(known):
        return np.ones_like(row)
    nearest = known[np.abs(np.arange(len(row))[:, None] - known).argmin(1)]
    return row[nearest]


def _centres() -> np.ndarray:
    """Middle of each bin of the share."""
    edges = np.array([0.0, *SHARES, 1.0])
    return (edges[1:] + edges[:-1]) / 2


def _brightness_centres() -> np.ndarray:
    """Geometric centre of each bin [photon], those at the ends half a bin beyond the last edge."""
    edges = np.asarray(EDGES)
    return np.concatenate([[edges[0] / 10**0.25], np.sqrt(edges[1:] * edges[:-1]), [edges[-1] * 10**0.25]])
