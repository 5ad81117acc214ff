"""From the middle of a frame to the whole: first images are sought at half the resolution, where fewer are wrong."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from jaxtyping import Complex, Shaped
from torch import Tensor

from madpipe.base.runtime import log
from madpipe.mad.config import RetrieveConfig
from madpipe.mad.realspace.imaging import Signal, retrieve_signal
from madpipe.mad.realspace.joint.domain import HALF
from madpipe.mad.realspace.joint.model import Experiment, evened
from madpipe.mad.realspace.joint.start import (
    Evenness,
    Guess,
    cold_start,
    evenness_of,
    is_explained,
    of_both_kinds,
    resonant_share,
)
from madpipe.physics.fourier import centred, cornered, diffract, image
from madpipe.physics.phasing import Moduli, impose

_FACTOR = 2  # between the resolutions
_LEAST = 28  # points along an axis of the coarse frame
_FIRST_IMAGE = {"seeds": 4, "keep": 3, "iterations": 100, "average": 1}  # at most


def first_guess(experiment: Experiment, signal: Signal, config: RetrieveConfig, generator: torch.Generator) -> Guess:
    """Find an image of all atoms that explains the sum of all energies, from one random start after the other.

    Parameters
    ----------
    experiment:
        All energies.
    signal:
        Root of their mean intensity, on the same device.
    config, generator:
        How phases are retrieved; starts at most.

    Raises
    ------
    InputError
        No autocorrelation above the noise.
    """
    best, share = None, resonant_share(experiment)
    for attempt in range(config.joint.attempts):
        even = evenness_of(experiment, share, 1.0 + attempt)
        guess = _one_start(experiment, signal, config, even, generator)
        best = guess if best is None or guess.loss < best.loss else best
        if is_explained(evened(experiment, share), best, even, generator):
            break
        log.info("start %d: counts are not explained by noise alone", attempt + 1)
    return of_both_kinds(best, share)


def _one_start(
    experiment: Experiment, signal: Signal, config: RetrieveConfig, even: Evenness, generator: torch.Generator
) -> Guess:
    """A first image at half the resolution, if there are points enough, polished there and at the whole."""
    coarse = [size // _FACTOR for size in experiment.shape]
    if min(coarse) < _LEAST:
        return _imaged(experiment, signal, config, even, generator)
    middle = Signal(*(cropped(getattr(signal, field.name), coarse) for field in fields(Signal)))
    guess = _imaged(cropped_experiment(experiment, coarse), middle, config, even, generator)
    density = resampled(guess.atoms[0], experiment.shape)
    modulus = density.abs()
    bright = modulus[modulus > HALF * modulus.max()].median()
    share = resonant_share(experiment)
    scale = complex(evened(experiment, share).f_normal.flatten()[0])
    support = modulus > even.least * bright
    moduli = _moduli(signal)
    return cold_start(experiment, density * scale, support, moduli, config.joint, even, generator)


def _imaged(
    experiment: Experiment, signal: Signal, config: RetrieveConfig, even: Evenness, generator: torch.Generator
) -> Guess:
    """An image by phase retrieval, polished."""
    few = {name: min(most, getattr(config, name)) for name, most in _FIRST_IMAGE.items()}
    found = retrieve_signal(signal, config.model_copy(update=few), generator, "mean intensity")
    return cold_start(experiment, found.density, found.support, _moduli(signal), config.joint, even, generator)


def _moduli(signal: Signal) -> Moduli:
    """What the iterations impose."""
    return impose(signal.modulus.float(), signal.known, signal.error.float())


def cropped(array: Shaped[Tensor, "*any"], size: list[int]) -> Shaped[Tensor, "*less"]:
    """Middle of the last axes of a centred array; its origin stays at index n // 2."""
    place: tuple[Any, ...] = (..., *_middle(array.shape[-len(size) :], size))
    return array[place].contiguous()


def _middle(whole: Sequence[int], part: Sequence[int]) -> tuple[slice, ...]:
    """Where the middle of a grid lies in it, the origins at index n // 2 of either."""
    starts = [size // 2 - less // 2 for size, less in zip(whole, part, strict=True)]
    return tuple(slice(start, start + less) for start, less in zip(starts, part, strict=True))


def cropped_experiment(experiment: Experiment, size: list[int]) -> Experiment:
    """The same with the middle of the frame only."""
    ndim = len(size)
    names = ("counts", "good", "background", "f_resonant", "f_normal")
    arrays = {name: getattr(experiment, name) for name in names}
    kept: dict[str, Any] = {
        name: cornered(cropped(centred(array, ndim), size), ndim) for name, array in arrays.items() if array is not None
    }
    return replace(experiment, **kept)


def resampled(density: Complex[Tensor, "*coarse"], shape: tuple[int, ...]) -> Complex[Tensor, "*fine"]:
    """Density on a finer grid over the same field of view; its structure factor is kept, and 0 beyond."""
    ndim = len(shape)
    factor = diffract(density, ndim)
    whole = factor.new_zeros(shape)
    whole[_middle(shape, factor.shape)] = factor
    return image(whole, ndim)
