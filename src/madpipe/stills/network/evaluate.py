"""What the network is worth: alone, and as the start of a search, on images of the study's own simulator.

Each trial draws with a generator of its own number, so that few trials are the first of many.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.runtime import generator_for, progress
from madpipe.physics.rotations import rotation, rotation_vector
from madpipe.stills.config import StillsFitConfig
from madpipe.stills.fit.recovery import recover
from madpipe.stills.fit.twins import lattice_rotations, twin
from madpipe.stills.geometry import Crystal
from madpipe.stills.mosaic import drawn, quadrature, realised
from madpipe.stills.network.infer import Hypothesis, Predictor, begun
from madpipe.stills.network.records import NetworkScore, StartScore
from madpipe.stills.scene import Scene
from madpipe.stills.simulate.demo import demo
from madpipe.stills.simulate.sample import counted_images, expected_images, scaled_to

_FOUND = 1e-3  # degree of each number, within which a trial without noise is recovered
_BRIGHT = 1e6  # photons of an image without noise: the network reads counts
_SPREADS = (0.3, 1.2)  # least and most of a trial [degree]
_FARTHEST = 15.0  # of the network alone [degree]
_TWIN = math.radians(60.0)
METHODS = ("low-angles", "network", "starts")

_Vector = Float[np.ndarray, "3"]


def start_scores(
    predictor: Predictor,
    offsets: Sequence[float] = (6.0, 10.0, 14.0),
    trials: int = 100,
    seed: int = 1,
    methods: Sequence[str] = METHODS,
) -> list[StartScore]:
    """Recover crystals away from the nominal orientation: from there, from the network's answer, from eight starts.

    Spread 0.3 to 1.2 degree, axis of the turn at random, no noise. The search is the same in the first two.

    Parameters
    ----------
    predictor:
        The network.
    offsets:
        Turns [degree].
    trials:
        Of each offset; the same crystals for each method.
    seed:
        Of all trials.
    methods:
        Of :data:`METHODS`.
    """
    found = []
    for offset in offsets:
        scenes = [_turned(offset, trial, seed) for trial in range(trials)]
        for method in methods:
            rows = [_tried(method, scene, predictor) for scene in progress(scenes, f"{method}, {offset:g} degree")]
            good = sum(row[0] for row in rows)
            share = min(good, trials - 1) / trials
            found.append(
                StartScore(
                    method=method,
                    offset=offset,
                    trials=trials,
                    recovered=good,
                    share_error=math.sqrt(max(share, 1 / trials) * (1 - share) / trials),
                    evaluations=float(np.mean([row[1] for row in rows])),
                    seconds=float(np.mean([row[2] for row in rows])),
                )
            )
    return found


def _turned(offset: float, trial: int, seed: int) -> Scene:
    """A crystal turned from the nominal orientation by an angle [degree]."""
    generator = generator_for(seed, "stills", "start", f"{offset:g}", str(trial))
    axis = torch.randn(3, generator=generator, dtype=torch.float64)
    turn = (axis / axis.norm() * math.radians(offset)).numpy()
    low, high = _SPREADS
    spread = math.radians(low + (high - low) * float(torch.rand(1, generator=generator)))
    scene = demo(np.zeros(3), spread)
    return scaled_to(replace(scene, crystal=scene.crystal.turned(rotation(turn))), _BRIGHT, 0.0)


def _tried(method: str, truth: Scene, predictor: Predictor) -> tuple[bool, int, float]:
    """Whether a method finds the truth, its evaluations and seconds."""
    image = expected_images(truth)[0]
    start = replace(truth, crystal=demo(np.zeros(3)).crystal, spread=math.radians(StillsFitConfig().spread))
    begin = time.perf_counter()
    if method == "network":
        start = begun(start, predictor(image, truth.beam, truth.panels[0], start.crystal, truth.cells)[0])
    predicted = time.perf_counter() - begin
    found = recover(start, image, method="starts" if method == "starts" else "low-angles")
    away = np.degrees(np.abs(_apart(found.scene.crystal, truth.crystal)).max())
    spread = math.degrees(abs(found.scene.spread - truth.spread))
    return bool(max(away, spread) < _FOUND), found.evaluations, predicted + found.seconds


def _apart(one: Crystal, other: Crystal) -> _Vector:
    """Rotation vector from one orientation to another, up to the lattice's symmetry [radian]."""
    between = np.swapaxes(one.reciprocal @ (lattice_rotations(other) @ other.axes), -1, -2)
    u, _, v = np.linalg.svd(between)
    vectors = rotation_vector(u @ v)
    return vectors[np.argmin(np.linalg.norm(vectors, axis=-1))]


@dataclass(frozen=True)
class _Alone:
    """The network's errors in one image."""

    turn: _Vector  # [degree]
    spread: float  # [degree]
    pulls: Float[np.ndarray, "4"]
    seconds: float


def network_score(
    predictor: Predictor,
    images: int = 400,
    photons: float = 1e5,
    background: float = 1.0,
    seed: int = 1,
    domains: int = 0,
    cells: int = 0,
) -> NetworkScore:
    """Score the network alone, up to the lattice's symmetry and the twin of a flat Ewald sphere.

    Turns of up to 15 degree, the angle even; spread 0.3 to 1.2 degree; counted photons.

    Parameters
    ----------
    predictor:
        The network.
    images:
        Trials.
    photons, background:
        Bragg photons of an image, and of the background in each pixel.
    seed:
        Of all trials.
    domains:
        So many at random, the truth is what they have; 0: the quadrature.
    cells:
        Along each axis; 0: 4 to 6 at random.
    """
    rows = [
        _alone(generator_for(seed, "stills", "network", str(number)), predictor, photons, background, domains, cells)
        for number in progress(range(images), "network alone")
    ]
    angles = np.array([np.linalg.norm(row.turn) for row in rows])
    pulls = np.abs([row.pulls for row in rows])
    return NetworkScore(
        photons=photons,
        background=background,
        images=images,
        turn_rms=float(np.sqrt(np.mean(angles**2))),
        turn_median=float(np.median(angles)),
        spread_rms=float(np.sqrt(np.mean([row.spread**2 for row in rows]))),
        within=tuple(float(np.mean(pulls[:, :3] < number)) for number in (1, 2)),
        within_spread=tuple(float(np.mean(pulls[:, 3] < number)) for number in (1, 2)),
        share_error=math.sqrt(0.683 * 0.317 / (3 * images)),
        seconds=float(np.mean([row.seconds for row in rows])),
    )


def _alone(
    generator: torch.Generator, predictor: Predictor, photons: float, background: float, domains: int, cells: int
) -> _Alone:
    """One image."""
    draw = torch.rand(2, generator=generator, dtype=torch.float64).numpy()
    axis = torch.randn(3, generator=generator, dtype=torch.float64)
    many = np.full(3, float(cells or torch.randint(4, 7, (1,), generator=generator)))
    turn = (axis / axis.norm()).numpy() * math.radians(_FARTHEST * draw[0])
    spread = math.radians(_SPREADS[0] + (_SPREADS[1] - _SPREADS[0]) * draw[1])
    law = drawn(domains, generator) if domains else quadrature()
    scene = demo(np.zeros(3), spread, law)
    mean, spread = realised(law, spread)
    scene = replace(scene, crystal=scene.crystal.turned(rotation(turn)), cells=many)
    image = counted_images(scaled_to(scene, photons, background), generator)[0].astype(float)
    begin = time.perf_counter()
    best = predictor(image, scene.beam, scene.panels[0], demo(np.zeros(3)).crystal, many)[0]
    seconds = time.perf_counter() - begin
    off = _off(best, scene.crystal.turned(rotation(mean)), scene.beam.direction)
    apart = np.array([*off, math.log(math.degrees(spread) / best.spread)])
    errors = np.sqrt(np.diag(best.covariance))
    return _Alone(off, best.spread - math.degrees(spread), apart / errors, seconds)


def _off(found: Hypothesis, truth: Crystal, beam: _Vector) -> _Vector:
    """Rotation vector from an answer to the truth or to its twin, whichever is nearer [degree]."""
    other = twin(truth, beam, _TWIN)
    vectors = [_apart(found.crystal, one) for one in ([truth] if other is None else [truth, other])]
    nearest: _Vector = np.degrees(min(vectors, key=np.linalg.norm))
    return nearest
