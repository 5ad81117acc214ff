"""Series with events whose frames are known: steps, ramps, onsets, on a beam and a buffer that drift."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from madpipe.base.curves.records import Curves

SIGMAS = 6.0  # of an ideal observer, by which an event is there
_APART = 8  # frames between events at least
_TRIES = 40
_FALSE = 1e-3  # alarms per frame of the ideal observer's sequential test


@dataclass(frozen=True)
class TrueEvent:
    """A frame where the law of change changes."""

    frame: int
    kind: str  # step: the signal jumps; kink: its slope changes
    told: int  # frame by which that observer tells it at one false alarm in 1,000 frames: evidence 2 ln 1000
    settled: int  # frame by which an onset is within a hundredth of its end: inside it a second answer is a duplicate
    seen: int  # frame by which an ideal observer, who knows both laws, has six standard deviations


@dataclass(frozen=True)
class EventSeries:
    """A series and its truth."""

    curves: Curves
    events: tuple[TrueEvent, ...]


@dataclass(frozen=True)
class EventPrior:
    """What is drawn; every pair is the range of an even, or of a log-even, distribution."""

    frames: tuple[int, int] = (80, 400)
    points: tuple[int, int] = (40, 160)
    quiet: float = 0.4  # share of the series without events
    most_events: int = 5
    signal: tuple[float, float] = (2.0, 100.0)  # of a whole change, in standard deviations of one frame
    noise: tuple[float, float] = (0.003, 0.05)  # of an intensity, relative
    beam: float = 0.04  # largest drift, relative
    buffer: float = 0.04  # largest drift, relative to the mean intensity at high q
    shapes: tuple[str, ...] = ("step", "ramp", "exponential", "sigmoid")


def draw_series(
    generator: np.random.Generator, prior: EventPrior | None = None, quiet: bool | None = None
) -> EventSeries:
    """Draw a series of spheres of several sizes whose shares change.

    A step jumps; a ramp begins and ends with a kink; an exponential and a sigmoid onset begin with one. What the events
    change is seen beside a beam and a buffer that wander smoothly, which are no events.

    Parameters
    ----------
    generator:
        Draws everything.
    prior:
        What is drawn.
    quiet:
        Without events or with some; drawn where it is not said.
    """
    prior = prior or EventPrior()
    frames, points = (int(generator.integers(*ends, endpoint=True)) for ends in (prior.frames, prior.points))
    quiet = bool(generator.random() < prior.quiet) if quiet is None else quiet
    q = np.geomspace(0.01, generator.uniform(0.2, 0.4), points)
    species = _species(generator, q)
    level = np.exp(generator.uniform(*np.log(prior.noise)))
    sigma = level * species[0] * np.sqrt((species[0] + 0.02 * species[0].max()) / species[0]) * (q / q[0]) ** 0.3
    changes = _clear_of_nuisances(np.diff(species, axis=0) / sigma, species[0] / sigma, 1 / sigma)
    laws = np.zeros((frames, len(changes)))
    events: tuple[TrueEvent, ...] = ()
    if not quiet:
        laws, events = _events(generator, prior, frames, changes)
    clean = species[0] + laws @ np.diff(species, axis=0)
    beam = 1 + prior.beam * _wander(generator, frames)
    clean = (
        clean * beam[:, None] + (prior.buffer * species[0][-points // 4 :].mean() * _wander(generator, frames))[:, None]
    )
    of_frame = np.exp(generator.normal(0, 0.05, frames))
    noise = np.outer(of_frame, sigma)
    data = clean + noise * generator.normal(size=clean.shape)
    curves = Curves(
        q=q, intensity=data, sigma=noise, absolute=0, names="", title="simulated events", time=np.arange(frames) * 1.0
    )
    return EventSeries(curves, events)


def _species(generator: np.random.Generator, q: np.ndarray) -> np.ndarray:
    """Curves (species, q) of blurred spheres."""
    count = int(generator.integers(2, 5))
    radii = 30 * np.exp(generator.uniform(-0.7, 0.7, count))
    spread = np.linspace(0.8, 1.2, 9)[:, None, None]
    x = q * radii[:, None] * spread
    weight = np.exp(-0.5 * ((spread - 1) / 0.1) ** 2)
    curves = (weight * (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2).sum(axis=0) / weight.sum()
    found: np.ndarray = curves * (radii[:, None] / 30) ** 3 + 0.003
    return found


def _clear_of_nuisances(changes: np.ndarray, *nuisances: np.ndarray) -> np.ndarray:
    """Leave out of whitened changes what beam and buffer make."""
    basis = np.linalg.qr(np.stack(nuisances, axis=1))[0]
    found: np.ndarray = changes - (changes @ basis) @ basis.T
    return found


def _wander(generator: np.random.Generator, frames: int) -> np.ndarray:
    """A smooth drift within -1 to 1: three slow waves and a line, of random size."""
    place = np.linspace(0, 1, frames)
    waves = sum(
        generator.normal() * np.sin(2 * np.pi * (place * generator.uniform(0, 2.5) + generator.random()))
        for _ in range(3)
    )
    drift = np.asarray(waves) + generator.normal() * place
    drift -= drift.mean()
    found: np.ndarray = drift / max(np.abs(drift).max(), 1e-9) * generator.random()
    return found


def _events(
    generator: np.random.Generator, prior: EventPrior, frames: int, changes: np.ndarray
) -> tuple[np.ndarray, tuple[TrueEvent, ...]]:
    """Shares (frame, change) and events that all can be seen."""
    for _ in range(_TRIES):
        pieces = _pieces(generator, prior, frames, changes)
        total = np.sum([curve for _, _, curve, _ in pieces], axis=0)
        found = []
        starts = [start for start, *_ in pieces]
        for place, (start, kind, curve, settled) in enumerate(pieces):
            end = starts[place + 1] if place + 1 < len(starts) else frames
            evidence = np.cumsum(np.square(curve[start:end] @ changes).sum(axis=1))
            seen = np.flatnonzero(evidence >= SIGMAS**2)
            if not len(seen):
                break
            told = int(np.flatnonzero(evidence >= 2 * np.log(1 / _FALSE))[0])
            found.append(TrueEvent(start, kind, start + told, start + settled, start + int(seen[0])))
        if len(found) == len(pieces):
            return total, tuple(found)
    return np.zeros((frames, len(changes))), ()


def _pieces(
    generator: np.random.Generator, prior: EventPrior, frames: int, changes: np.ndarray
) -> list[tuple[int, str, Float[np.ndarray, "frame change"], int]]:
    """Frame, kind, what each event adds to the shares, and frames until it has settled, in the order of the frames."""
    most = min(prior.most_events, max(1, frames // 40))
    pieces: list[tuple[int, str, np.ndarray, int]] = []
    free = np.arange(10, frames - 10)
    time = np.arange(frames)
    for _ in range(int(generator.integers(1, most, endpoint=True))):
        if not len(free):
            break
        start = int(generator.choice(free))
        shape = str(generator.choice(prior.shapes))
        direction = generator.normal(size=len(changes))
        size = np.exp(generator.uniform(*np.log(prior.signal))) / np.linalg.norm(direction @ changes)
        later = np.maximum(time - start, 0)
        width = np.exp(generator.uniform(np.log(4), np.log(max(frames / 6, 8))))
        taken = [start]
        if shape == "step":
            pieces.append((start, "step", np.outer(time >= start, direction * size), 0))
        elif shape == "ramp":
            end = start + max(_APART, int(width))
            pieces.append((start, "kink", np.outer(later / (end - start), direction * size), 0))
            if end < frames - 10 and end in free:
                back = -np.maximum(time - end, 0) / (end - start)
                pieces.append((end, "kink", np.outer(back, direction * size), 0))
                taken.append(end)
        else:
            order = 1 if shape == "exponential" else 2
            rise = 1 - np.exp(-((later / width) ** order))
            pieces.append((start, "kink", np.outer(rise, direction * size), int(width * 4.6 ** (1 / order))))
        for place in taken:
            free = free[np.abs(free - place) > _APART]
    return sorted(pieces, key=lambda piece: piece[0])
