r"""Errors of points that refined nuisances make together, beside each point's own.

A change of the nuisances moves the answer of a point along its own response, the unknowns following the expectation
that the nuisances left:

.. math:: \delta u = -C\,J'WN\,\delta\theta,\quad C_{whole} = C + C J'WN\,\Sigma\,N'WJ C

with J, N the derivatives of the expected photons by the point's unknowns and by the nuisances, C the covariance of
the former at given nuisances and Sigma that of the latter. What a point has by its nuisances it shares with all others:
whoever averages over points, or redraws them, needs :func:`own_errors` instead.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.fit.exact import expected_photons
from madpipe.mad.fit.refine.search import by_nuisances, by_own_unknowns
from madpipe.mad.fit.refine.unknowns import signs
from madpipe.mad.measurement import Measurement
from madpipe.mad.records import Nuisance
from madpipe.physics.sums import added

_TILE = 1 << 13  # points at once: some hundred numbers each
_SMALL = 1e-12  # of the largest variance: less is rounding
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def root_of(nuisance: Nuisance) -> Float[Tensor, "4 energy direction"] | None:
    """Give a root of the covariance of ln G, f', f'' and ln beta of every energy; None where nothing is uncertain."""
    if nuisance.covariance is None:
        return None
    values, axes = torch.linalg.eigh(torch.as_tensor(nuisance.covariance))
    kept = values > max(_SMALL * float(values.max()), 0.0)
    if not bool(kept.any()):
        return None
    return (axes[:, kept] * values[kept].sqrt()).reshape(4, -1, int(kept.sum()))


def common_covariance(
    measurement: Measurement,
    parameters: Float[Tensor, "3 point"],
    covariance: Float[Tensor, "6 point"],
    root: Float[Tensor, "4 energy direction"],
) -> Float[Tensor, "6 point"]:
    """Covariance of x, a, b that the nuisances make.

    Parameters
    ----------
    measurement:
        With the nuisances put in.
    parameters, covariance:
        x, a, b and their covariance at given nuisances.
    root:
        From :func:`root_of`.
    """
    size = len(measurement.f0)
    parts = [slice(start, start + _TILE) for start in range(0, size, _TILE)]
    found = [_tile(measurement.part(part), parameters[:, part], covariance[:, part], root) for part in parts]
    return torch.cat(found, 1)


def _tile(
    measurement: Measurement,
    parameters: Float[Tensor, "3 point"],
    covariance: Float[Tensor, "6 point"],
    root: Float[Tensor, "4 energy direction"],
) -> Float[Tensor, "6 point"]:
    """Of some points."""
    theta = parameters / measurement.reduction()
    photons = expected_photons(measurement, parameters)
    weight = measurement.weights(measurement.with_background(photons))
    own = by_own_unknowns(measurement, theta) / measurement.reduction()  # by x, a, b
    directions = root[:, measurement.energy_of_channel].to(theta)
    directions[2] *= signs(measurement)[:, None]
    moved = torch.einsum("kcp,kcd->cdp", by_nuisances(measurement, theta, photons), directions)
    pull = torch.einsum("cup,cdp->udp", own * weight[:, None], moved)
    xx, xa, xb, aa, ab, bb = covariance
    rows = ((xx, xa, xb), (xa, aa, ab), (xb, ab, bb))
    answer = [added([entry * one for entry, one in zip(row, pull, strict=True)]) for row in rows]
    return torch.stack([(answer[i] * answer[j]).sum(0) for i, j in _PAIRS])
