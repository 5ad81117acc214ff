"""How well misset and mosaic spread are recovered: trials on scenes whose truth is known.

Each trial draws with a generator of its own number, so that few trials are the first of many.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.plain import told
from madpipe.base.runtime import generator_for
from madpipe.physics.rotations import rotation, rotation_vector
from madpipe.stills.fit.recovery import Recovery, recover
from madpipe.stills.misset import misset_angles, standing
from madpipe.stills.mosaic import drawn, quadrature, realised
from madpipe.stills.scene import Scene
from madpipe.stills.simulate.demo import CELL, MISSET, SPREAD, demo
from madpipe.stills.simulate.sample import counted_images, expected_images, scaled_to

START_MISSET, START_SPREAD = np.zeros(3), math.radians(0.2)  # the original's
RECOVERED = 1e-3  # degree of each number: within that a trial without noise is recovered
_FREE_DOMAINS = 1500  # of a crystal whose spread is nobody's choice
_MISSETS = ("misset_x", "misset_y", "misset_z")

_Vector = Float[np.ndarray, "3"]


@dataclass(frozen=True, kw_only=True)
class MethodScore:
    """One number by one method."""

    method: str
    parameter: str
    truth: float = told("", "degree")
    start: float = told("", "degree")
    found: float = told("", "degree")
    error: float = told("stated standard error, at the image's own photons", "degree")
    evaluations: int
    seconds: float | None = told("of the search on one thread", "s")


@dataclass(frozen=True, kw_only=True)
class RadiusScore:
    """From how far a method finds the truth of images without noise."""

    method: str
    pixel: float = told("side of a pixel", "mm")
    offset: float = told("rotation of the start from the truth, or half side of the box of starts", "degree")
    trials: int
    recovered: int = told("trials with all four numbers within 0.001 degree")
    share_error: float = told("binomial standard error of the share recovered; that of one failure where there is none")
    evaluations: float = told("mean")
    seconds: float | None = told("mean, one thread", "s")


@dataclass(frozen=True, kw_only=True)
class TrialScore:
    """One trial against what its domains really have."""

    trial: int
    offset: float = told("rotation of the start from the truth", "degree")
    spread: float = told("rms rotation of the domains about their mean", "degree")
    spread_error: float = told("found less true", "degree")
    orientation_error: float = told("rotation between found and mean of the domains", "degree")
    pulls: tuple[float, ...] = told(
        "errors of spread and rotation vector over stated standard errors; none without noise"
    )
    pearson: float = told("chi-square per pixel")
    seconds: float | None = told("one thread", "s")


@dataclass(frozen=True, kw_only=True)
class PullScore:
    """Whether stated errors are right."""

    trials: int
    numbers: int
    mean: float
    deviation: float = told("standard deviation of the pulls about their mean")
    outside: float = told("share beyond 1.96; 0.05 expected")


def method_scores(methods: Sequence[str], seed: int = 1, domains: int = 0) -> list[MethodScore]:
    """Each number of the demo by each method, from the original's start, without noise.

    Parameters
    ----------
    methods:
        Of :data:`madpipe.stills.fit.recovery.METHODS`.
    seed:
        Of the domains.
    domains:
        So many random domains make the data and, the same ones, the model: what the original does. 0: the quadrature.
    """
    law = drawn(domains, generator_for(seed, "stills", "domains")) if domains else quadrature()
    truth, start = demo(mosaicity=law), demo(START_MISSET, START_SPREAD, law)
    image = expected_images(truth)[0]
    return [row for method in methods for row in _rows(recover(start, image, method=method), start)]


def _rows(found: Recovery, start: Scene) -> list[MethodScore]:
    """Missetting angles and spread of one method."""
    values = np.degrees([*_misset(found.scene), found.scene.spread])
    begun = np.degrees([*_misset(start), start.spread])
    true = np.degrees([*MISSET, SPREAD])
    return [
        MethodScore(
            method=found.method,
            parameter=name,
            truth=float(true[number]),
            start=float(begun[number]),
            found=float(values[number]),
            error=float(found.errors[number]),
            evaluations=found.evaluations,
            seconds=found.seconds,
        )
        for number, name in enumerate((*_MISSETS, "spread"))
    ]


def _misset(scene: Scene) -> _Vector:
    """Missetting angles of the demo's crystal [radian]."""
    return misset_angles(_turn(standing(CELL, np.zeros(3)).reciprocal, scene))


def _turn(reciprocal: Float[np.ndarray, "3 3"], scene: Scene) -> Float[np.ndarray, "3 3"]:
    """Rotation that brought the crystal of these reciprocal axes where it stands."""
    return (reciprocal @ scene.crystal.axes).T


def radius_score(method: str, offset: float, trials: int, seed: int = 1, pixel: float = 0.1) -> RadiusScore:
    """Starts turned by an angle [degree] about axes at random, spread 0.2 degree, no noise."""
    turns = []
    for trial in range(trials):
        axis = torch.randn(3, generator=generator_for(seed, "stills", "radius", str(trial)), dtype=torch.float64)
        turns.append((axis / axis.norm() * math.radians(offset)).numpy())
    return _radius(method, offset, turns, pixel)


def box_score(method: str, half: float, trials: int, seed: int = 1, pixel: float = 0.1) -> RadiusScore:
    """Starts turned by rotation vectors of a box of half side [degree], spread 0.2 degree, no noise."""
    turns = []
    for trial in range(trials):
        place = torch.rand(3, generator=generator_for(seed, "stills", "box", str(trial)), dtype=torch.float64)
        turns.append(((2 * place - 1) * math.radians(half)).numpy())
    return _radius(method, half, turns, pixel)


def _radius(method: str, offset: float, turns: Sequence[_Vector], pixel: float) -> RadiusScore:
    """Score starts that are turned from the truth."""
    truth = demo(pixel=pixel)
    image = expected_images(truth)[0]
    found = [recover(_begun(truth, turn), image, method=method) for turn in turns]
    good = sum(_within(one, truth) for one in found)
    share = min(good, len(turns) - 1) / len(turns)
    return RadiusScore(
        method=method,
        pixel=pixel,
        offset=offset,
        trials=len(turns),
        recovered=good,
        share_error=math.sqrt(share * (1 - share) / len(turns)),
        evaluations=float(np.mean([one.evaluations for one in found])),
        seconds=statistics.fmean(one.seconds for one in found),
    )


def _begun(truth: Scene, turn: _Vector) -> Scene:
    """Start away from the truth."""
    return replace(truth, crystal=truth.crystal.turned(rotation(turn)), spread=START_SPREAD, mosaicity=quadrature())


def _within(found: Recovery, truth: Scene) -> bool:
    """Whether rotation and spread are recovered."""
    away = rotation_vector(_turn(truth.crystal.reciprocal, found.scene))
    return bool(np.degrees(np.abs([*away, found.scene.spread - truth.spread])).max() < RECOVERED)


def mosaic_score(
    trial: int, seed: int = 1, photons: float = 0.0, background: float = 0.0, method: str = "starts"
) -> TrialScore:
    """One trial: random missets within 10 degree, spread 0.3 to 1.2, domains of their own.

    Without photons the image is expected, of 1500 random domains, and the truth what those have. With photons it is
    counted, of the law's quadrature: what is scored is then the stated errors.

    Parameters
    ----------
    trial:
        Its number.
    seed:
        Of all trials.
    photons, background:
        Bragg photons of the image; of the background in each pixel.
    method:
        Of :data:`madpipe.stills.fit.recovery.METHODS`.
    """
    generator = generator_for(seed, "stills", "mosaic", str(trial))
    draw = torch.rand(5, generator=generator, dtype=torch.float64).numpy()
    spread = math.radians(0.3 + 0.9 * draw[3])
    law = quadrature() if photons else drawn(_FREE_DOMAINS, generator)
    scene = demo(np.radians(10.0) * (2 * draw[:3] - 1), spread, law)
    mean, true_spread = realised(law, spread)
    axis = torch.randn(3, generator=generator, dtype=torch.float64)
    offset = math.radians(1 + 5 * draw[4])
    names: tuple[str, ...] = ("misset", "spread")
    if photons:
        scene, names = scaled_to(scene, photons, background), ("misset", "spread", "scale", "background")
    image = counted_images(scene, generator)[0].astype(float) if photons else expected_images(scene)[0]
    start = _begun(scene, (axis / axis.norm() * offset).numpy())
    found = recover(start, image, names, method)
    away = rotation_vector(rotation(-mean) @ _turn(scene.crystal.reciprocal, found.scene))
    errors = np.array([*np.degrees(away), np.degrees(found.scene.spread - true_spread)])
    return TrialScore(
        trial=trial,
        offset=math.degrees(offset),
        spread=math.degrees(true_spread),
        spread_error=float(errors[3]),
        orientation_error=float(np.linalg.norm(errors[:3])),
        pulls=tuple((errors / found.errors[:4]).tolist()) if photons else (),
        pearson=found.pearson,
        seconds=found.seconds,
    )


def pull_score(trials: Sequence[TrialScore]) -> PullScore:
    """Mean and standard deviation of all pulls together."""
    pulls = np.array([pull for one in trials for pull in one.pulls])
    return PullScore(
        trials=len(trials),
        numbers=len(pulls),
        mean=float(pulls.mean()),
        deviation=float(pulls.std(ddof=1)),
        outside=float(np.mean(np.abs(pulls) > 1.96)),
    )
