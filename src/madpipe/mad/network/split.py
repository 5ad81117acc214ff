r"""Split counts: how far a prediction may be trusted in this very stack, and how wrong the answer is, without a truth.

Every photon goes to half A or half B by chance: two independent Poisson measurements of one particle. The network and
the counts of A give an answer; B, which it has not seen, gives the unbiased estimate :math:`\theta_B = \theta_A +
\mathcal I_B^{-1} g_B(\theta_A)`, one step of Fisher scoring. Hence

.. math:: \langle |\theta_A - \theta_B|^2 \rangle - \langle \mathrm{tr}\, \mathcal I_B^{-1} J' W N W J \mathcal I_B^{-1}
    \rangle,\qquad N = \mathrm{diag}(n_B)

estimates the answer's squared error: the variance of B's estimate is that of its own counts, which needs no model. The
prediction is widened by the factor for which that is least; where the network knows nothing of a particle the factor is
without limit, and the answer is the fit. The same with A and B exchanged.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from madpipe.base.runtime import generator_for
from madpipe.mad.fit.belief import Belief, product
from madpipe.mad.fit.exact import covariance
from madpipe.mad.fit.likelihood import curvature, gradient_of, problem_of, slope_at
from madpipe.mad.measurement import Measurement
from madpipe.mad.network.answer import at_maximum, whole_information
from madpipe.mad.network.trust import interpolated, widened, with_neighbours
from madpipe.mad.records import Split
from madpipe.physics.noise import mean_deviation, thinned
from madpipe.physics.sums import added, times

NEVER = 1e6  # factor of a prediction that counts for nothing
FACTORS = (1.0, 1.5, 2.3, 3.5, 5.5, 9.0, NEVER)
_SHELLS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, math.inf)  # photons per energy
_FEWEST = 50  # points of a shell
LARGEST = {2: 360, 3: 40}  # points along each axis of the block that is looked at
_SEARCH = (15, 0.03)  # steps at most, tolerance [standard error]: squared errors are told to no better
_MOST = 2000  # points of a shell and half: more tell little more
_SEED = 0  # of who gets which photon, never the configuration's: one stack has one answer


Ask = Callable[[Measurement, tuple[int, ...]], tuple[Belief, Tensor]]


@dataclass(frozen=True)
class _Half:
    """What the points of one half say: squared errors of F_T, F_A, F_N by factor, and their noise."""

    shell: Int[Tensor, "point"]
    found: Float[Tensor, "factor 3 point"]  # unbiased, hence at times negative
    noise: Float[Tensor, "3 point"]  # expected variance of the other half's estimate


def learn(ask: Ask, measurement: Measurement, shape: tuple[int, ...]) -> Split | None:
    """Split the counts of a frame or volume, and learn from the halves how wrong the network is there.

    Parameters
    ----------
    ask:
        Gives the network's prediction from a measurement and its shape, and the photons of every point, as
        :func:`madpipe.mad.network.predict.predict` does.
    measurement, shape:
        A frame or volume; of a large one a block about its brightest point is looked at.

    Returns
    -------
    :
        None where the values are no photon counts, which cannot be split, or no shell has points enough.
    """
    if not are_counts(measurement):
        return None
    measurement, shape = _block(measurement, shape)
    generator = generator_for(_SEED, "mad_split")
    first, second = halves(measurement, generator)
    asked = [_asked(ask, shape, *pair) for pair in ((first, second), (second, first))]
    judged = [_judged(one, other, prediction, photons, FACTORS) for one, other, prediction, photons in asked]
    least = _least(judged)
    return _record(asked, least) if least else None


def are_counts(measurement: Measurement) -> bool:
    """Whether all values are whole numbers of photons with Poisson noise."""
    values = measurement.intensity
    return measurement.noise.is_poisson and bool(((values >= 0) & (values == values.round())).all())


def halves(measurement: Measurement, generator: torch.Generator) -> tuple[Measurement, Measurement]:
    """Split the counts of a measurement; each half has half of the exposure and of the background."""
    counts = thinned(measurement.intensity.cpu(), 0.5, generator)
    exposure, background = measurement.exposure / 2, measurement.background
    half = None if background is None else background / 2
    first, second = (
        replace(measurement, intensity=one.to(measurement.intensity), exposure=exposure, background=half)
        for one in counts
    )
    return first, second


def _block(measurement: Measurement, shape: tuple[int, ...]) -> tuple[Measurement, tuple[int, ...]]:
    """Cut the block of a frame or volume about its brightest point."""
    most = LARGEST[len(shape)]
    if max(shape) <= most:
        return measurement, shape
    bright = np.unravel_index(int(added(measurement.net()).argmax()), shape)
    ranges = []
    for size, middle in zip(shape, bright, strict=True):
        start = min(max(0, int(middle) - most // 2), max(0, size - most))
        ranges.append(torch.arange(start, min(size, start + most)))
    place = torch.zeros(1, dtype=torch.int64)
    for size, some in zip(shape, ranges, strict=True):
        place = (place[:, None] * size + some).flatten()
    inside = place.to(measurement.f0.device)
    return measurement.part(inside), tuple(len(some) for some in ranges)


def _asked(
    ask: Ask, shape: tuple[int, ...], half: Measurement, other: Measurement
) -> tuple[Measurement, Measurement, Belief, Tensor]:
    """Ask the network about a half; of each shell the points that are looked at, with both halves' counts there."""
    prediction, photons = ask(half, shape)
    shell = _shell_of(photons / len(half.exposure))
    complete = half.channels() >= 4  # three intensities would leave the fit no freedom
    looked_at = []
    for number in range(len(_SHELLS) - 1):
        inside = ((shell == number) & complete).nonzero()[:, 0]
        looked_at.append(inside[:: max(1, -(-len(inside) // _MOST))])
    some = torch.cat(looked_at)
    return half.part(some), other.part(some), prediction.part(some), photons[some]


def _judged(
    half: Measurement,
    other: Measurement,
    prediction: Belief,
    photons: Float[Tensor, "point"],
    factors: Sequence[float],
) -> _Half:
    """Answer a half with a prediction widened by several factors, and judge each by the other half."""
    answers = [at_maximum(half, widened(prediction, torch.ones_like(photons) * one), *_SEARCH) for one in factors]
    return _judge(half, other, answers, photons)


def _judge(
    half: Measurement, other: Measurement, answers: Sequence[Float[Tensor, "3 point"]], photons: Float[Tensor, "point"]
) -> _Half:
    """Judge answers to a half by the other half."""
    estimate, scatter, bound = _estimate(other, answers[0])
    noise = _squares_of(bound, half.f0)
    found = torch.stack([_squares(one - estimate, half.f0) - _squares_of(scatter, half.f0) for one in answers])
    known = torch.isfinite(found).all(0).all(0) & torch.isfinite(noise).all(0)
    shell = _shell_of(photons / len(half.exposure)).where(known, -1)
    return _Half(shell.cpu(), found.cpu(), noise.cpu())


def _estimate(
    other: Measurement, theta: Float[Tensor, "3 point"]
) -> tuple[Float[Tensor, "3 point"], Float[Tensor, "6 point"], Float[Tensor, "6 point"]]:
    """Unknowns that a half's counts tell, linear in them; their covariance by these counts, and as it is expected.

    Only the former is right where photons are few and expected wrongly; only the latter may weigh a point, since that
    by the counts is large where they happen to be.
    """
    problem = problem_of(other, 0.0)
    slope = slope_at(problem, theta)
    bound = covariance(torch.stack(curvature(times(problem.products, slope.weight), theta)))
    counted = torch.stack(curvature(times(problem.products, slope.weight.square() * other.intensity), theta))
    step = product(bound, gradient_of(slope.linear, theta))
    # C K C, column by column
    columns = [product(bound, product(counted, product(bound, unit))) for unit in _units(theta)]
    scatter = torch.stack([columns[row][column] for row in range(3) for column in range(row, 3)])
    return theta + step, scatter, bound


def _units(theta: Float[Tensor, "3 point"]) -> list[Float[Tensor, "3 point"]]:
    """The three unit vectors, at every point."""
    return [torch.eye(3).to(theta)[:, [row]].expand_as(theta) for row in range(3)]


def _squares(off: Float[Tensor, "3 point"], f0: Float[Tensor, "point"]) -> Float[Tensor, "3 point"]:
    """Squared errors of F_T, and of complex F_A and F_N at real F_T, from those of x, p, q."""
    x, a, b = off[0], off[1] * f0, off[2] * f0
    return torch.stack([x * x, a * a + b * b, (x - a).square() + b * b])


def _squares_of(bound: Float[Tensor, "6 point"], f0: Float[Tensor, "point"]) -> Float[Tensor, "3 point"]:
    """The same, expected from a covariance of x, p, q."""
    xx, xp, _, pp, _, qq = bound
    resonant = (pp + qq) * f0 * f0
    return torch.stack([xx, resonant, xx - 2 * xp * f0 + resonant])


def _shell_of(photons: Float[Tensor, "point"]) -> Int[Tensor, "point"]:
    """Which shell a point is in; -1 below all."""
    return torch.bucketize(photons, torch.tensor(_SHELLS, dtype=photons.dtype, device=photons.device), right=True) - 1


def _weights(noise: Float[Tensor, "3 point"]) -> Float[Tensor, "3 point"]:
    """Weights that keep the few points of which the other half tells least from deciding."""
    return 1 / (noise / noise.median(1, keepdim=True).values).clamp(min=1.0)


def _least(judged: Sequence[_Half]) -> dict[int, float]:
    """Factor of least squared error of every shell that has points enough, the prediction's own if in doubt.

    Squared errors are compared point by point with those of the prediction as it is: what the other half adds in noise
    is common to both. A wider prediction must win by its standard error.
    """
    shell = torch.cat([one.shell for one in judged])
    found, noise = torch.cat([one.found for one in judged], 2), torch.cat([one.noise for one in judged], 1)
    gain = torch.zeros(len(_SHELLS) - 1, len(FACTORS), dtype=torch.float64)
    error, points = torch.zeros_like(gain), torch.zeros(len(gain), dtype=torch.float64)
    for number in range(len(gain)):
        inside = shell == number
        points[number] = int(inside.sum())
        if points[number] < _FEWEST:
            points[number] = 0
            continue
        some = noise[:, inside]
        more = ((found[:, :, inside] - found[:1, :, inside]) / some.median(1).values[:, None] * _weights(some)).sum(1)
        gain[number], error[number] = more.mean(1), more.std(1) / math.sqrt(points[number])
    shells = points.nonzero()[:, 0].tolist()
    gain, error = with_neighbours(gain, points, 1), with_neighbours(error, points, 2)
    return {number: FACTORS[int((gain[number] + error[number]).argmin())] for number in shells}


def _record(asked: Sequence[tuple[Measurement, Measurement, Belief, Tensor]], factors: Mapping[int, float]) -> Split:
    """Answer both halves once more with each shell's factor: how wrong these answers are, and how wrong they state."""
    shells = list(factors)
    edges = np.array([(_SHELLS[number], _SHELLS[number + 1]) for number in shells])
    factor_of_shell = np.array(list(factors.values()))
    rows: dict[int, list[Tensor]] = {number: [] for number in shells}
    missed, noise, counts = 0.0, 0.0, 0.0
    for half, other, prediction, photons in asked:
        own = widened(prediction, interpolated(edges, np.log(factor_of_shell), photons / len(half.exposure)).exp())
        theta = at_maximum(half, own, *_SEARCH)
        judged = _judge(half, other, [theta], photons)
        stated = _squares_of(covariance(whole_information(half, own, theta)), half.f0).cpu()
        for number in shells:
            inside = judged.shell == number
            rows[number].append(torch.stack([judged.found[0][:, inside], stated[:, inside], judged.noise[:, inside]]))
        problem = problem_of(other, 0.0)
        expected = other.measured(other.with_background(slope_at(problem, theta).photons))
        missed += float((other.intensity - expected).abs().sum())
        noise += float(mean_deviation(expected.clamp(min=0)).sum())
        counts += float(other.intensity.sum())
    means = [_means(torch.cat(rows[number], 2)) for number in shells]
    found, error, stated_means, of_fit = (torch.stack(each).double().numpy() for each in zip(*means, strict=True))
    return Split(
        photons=edges,
        points=np.array([sum(part.shape[2] for part in rows[number]) for number in shells]),
        widened=factor_of_shell,
        squared_error=found,
        squared_error_errors=error,
        uncalibrated=stated_means,
        stated=stated_means,  # until a calibration says otherwise
        of_fit=of_fit,
        r_unseen=missed / max(counts, 1.0),
        r_unseen_noise=noise / max(counts, 1.0),
        usual=math.nan,  # the weights say
    )


def _means(rows: Float[Tensor, "three 3 point"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weighted means of a shell: squared error with its standard error, what was stated, and the noise."""
    weight = _weights(rows[2])
    total = weight.sum(1)
    found, stated, of_fit = (rows * weight).sum(2) / total
    scatter = ((rows[0] - found[:, None]) * weight).square().sum(1).sqrt() / total
    return found, scatter, stated, of_fit
