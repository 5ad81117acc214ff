"""A series as a beamline gives it: species that react or elute, a beam and a buffer that drift, and noise."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.linalg import expm
from scipy.special import erfcx

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.kinetics.records_truth import SeriesTruth
from madpipe.kinetics.simulate import species

_Array = np.ndarray
_Frames = Float[np.ndarray, " frame"]


@dataclass(frozen=True)
class Drift:
    """Slow changes that are no reaction; relative to the beam, and to the largest intensity for the buffer."""

    beam: float = 0.0  # standard deviation of a slow random walk [1]
    beam_jitter: float = 0.0  # from frame to frame [1]
    buffer: float = 0.0  # [1]


@dataclass(frozen=True)
class Measurement:
    """How a series is measured."""

    q: Float[np.ndarray, " q"] = field(default_factory=lambda: np.linspace(0.01, 0.3, 200))  # [1/angstrom]
    noise: float = 0.01  # standard deviation over the mean curve at low q [1]
    floor: float = 0.02  # counts of the buffer over those of the sample at low q, which add noise [1]
    buffer_frames: int = 0  # whose mean is subtracted from every frame, with its noise
    drift: Drift = field(default_factory=Drift)


def linear_scheme(
    rates: Float[np.ndarray, "species species"], first: Float[np.ndarray, " species"], time: _Frames
) -> _Array:
    """Concentrations of a scheme of first order: exp(K t) c(0), K[j, i] the rate from species i to j [1/s]."""
    matrix = np.array(rates, dtype=float)
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=0))
    return np.array([expm(matrix * (t - time[0])) @ first for t in time])


def elution_peak(frames: _Frames, centre: float, width: float, tail: float) -> _Frames:
    """Exponentially modified Gaussian, 1 at its top: a peak of chromatography.

    Parameters
    ----------
    centre, width, tail:
        Of the Gaussian and of the exponential that it is folded with, ``tail`` above 0 [frame].
    """
    away = (frames - centre) / width
    peak = np.exp(-0.5 * away**2) * erfcx((width / tail - away) / np.sqrt(2))
    return np.where(np.isfinite(peak), peak, 0.0) / np.nanmax(np.where(np.isfinite(peak), peak, 0.0))


def slow_walk(frames: int, generator: np.random.Generator) -> _Frames:
    """Smooth random function of mean 0 and standard deviation 1: four cosines of falling size."""
    place = (np.arange(frames) + 0.5) / frames
    orders = np.arange(1, 5)
    sizes = generator.standard_normal(4) / orders
    walk = sizes @ np.cos(np.pi * np.outer(orders, place))
    walk = walk - walk.mean()
    return walk / max(float(np.std(walk)), 1e-12)


def measure_series(
    profiles: Float[np.ndarray, "component q"],
    concentrations: Float[np.ndarray, "frame component"],
    time: _Frames,
    measurement: Measurement,
    generator: np.random.Generator,
    title: str = "simulated series",
) -> tuple[Curves, SeriesTruth]:
    """Measure species: (beam c s + buffer) with noise that grows with the square root of what the detector counts.

    Raises
    ------
    InputError
        Concentrations and curves of another number of species.
    """
    if concentrations.shape[1] != len(profiles):
        raise InputError(
            f"series: need a concentration for each of the {len(profiles)} species; {concentrations.shape[1]} came; "
            "make them alike."
        )
    frames, drift = len(time), measurement.drift
    beam = 1 + drift.beam * slow_walk(frames, generator) + drift.beam_jitter * generator.standard_normal(frames)
    signal = concentrations @ profiles
    size = float(signal.max())
    buffer = drift.buffer * size * slow_walk(frames, generator)
    expected = beam[:, None] * signal + buffer[:, None]
    counted = np.abs(expected) / size + measurement.floor
    sigma = measurement.noise * size * np.sqrt(counted)
    intensity = expected + sigma * generator.standard_normal(expected.shape)
    if measurement.buffer_frames > 0:
        of_buffer = measurement.noise * size * np.sqrt(measurement.floor / measurement.buffer_frames)
        intensity = intensity - of_buffer * generator.standard_normal(expected.shape[1])
    curves = Curves(
        q=measurement.q,
        intensity=intensity,
        sigma=sigma,
        absolute=1,
        names="\n".join(f"frame {i}" for i in range(frames)),
        title=title,
        time=time,
    )
    truth = SeriesTruth(
        profiles=profiles,
        concentrations=concentrations,
        beam=beam,
        buffer=buffer,
        expected=expected,
        buffer_frames=measurement.buffer_frames,
    )
    return curves, truth


def drawn_profiles(count: int, q: Float[np.ndarray, " q"], generator: np.random.Generator) -> _Array:
    """Draw curves of ``count`` species: spheres, core-shell spheres and coils, of sizes a fifth apart at least."""
    sizes = np.exp(generator.uniform(np.log(15.0), np.log(60.0), 40))
    chosen = [sizes[0]]
    for size in sizes[1:]:
        if len(chosen) < count and min(abs(np.log(size / one)) for one in chosen) > 0.2:
            chosen.append(size)
    curves = []
    for size in chosen:
        kind = generator.integers(3)
        weight = float((size / 30.0) ** generator.uniform(0.5, 1.5))
        if kind == 0:
            curves.append(weight * species.sphere(q, size * 1.2, 0.1))
        elif kind == 1:
            curves.append(weight * species.core_shell(q, size * 0.8, 0.4 * size, generator.uniform(0.3, 2.0), 0.1))
        else:
            curves.append(weight * species.coil(q, size))
    return np.array(curves)


def drawn_reaction(count: int, time: _Frames, generator: np.random.Generator) -> _Array:
    """Draw concentrations of a chain A -> B -> C ...: rates over two decades of the series' length."""
    length = float(time[-1] - time[0])
    rates = np.zeros((count, count))
    for i in range(count - 1):
        rates[i + 1, i] = 10 ** generator.uniform(0.3, 1.3) / length
        rates[i, i + 1] = rates[i + 1, i] * generator.uniform(0, 0.3)
    return linear_scheme(rates, np.eye(count)[0], time)


def drawn_elution(count: int, frames: int, generator: np.random.Generator) -> _Array:
    """Draw concentrations of species that elute one after another and overlap, none at the beginning and at the end."""
    every = np.arange(frames, dtype=float)
    centres = frames * (0.35 + 0.3 * (np.arange(count) + generator.uniform(-0.25, 0.25, count)) / max(count - 1, 1))
    width = frames * 0.3 / max(count, 2) * 0.3
    peaks = [
        generator.uniform(0.3, 1.0) * elution_peak(every, centre, width, width * generator.uniform(0.2, 1.0))
        for centre in centres
    ]
    return np.array(peaks).T
