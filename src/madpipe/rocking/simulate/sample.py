"""Simulated curves: an implanted layer drawn from the prior, or given."""

import math
from dataclasses import replace

import numpy as np
import torch

from madpipe.rocking.config import SimulatedCurve
from madpipe.rocking.model import model_of
from madpipe.rocking.profiles import Implanted, draw_implanted, implanted_strain, to_free
from madpipe.rocking.records import Curve, CurveTruth
from madpipe.rocking.simulate.scan import Setup

_DEPTHS = 200


def simulate(sample: SimulatedCurve, title: str, generator: torch.Generator) -> Curve:
    """Draw a layer and measure its curve with Poisson noise.

    Raises
    ------
    InputError
        Unknown crystal, forbidden reflection.
    """
    if sample.parameters is None:
        values = draw_implanted(1, generator)[0]
    else:
        values = torch.tensor(sample.parameters, dtype=torch.float64)
    setup = Setup(sample, title)
    model = model_of(setup.blank, setup.reflection, Implanted(setup.step / 2))
    levels = [math.log(sample.peak_counts), math.log(max(sample.background, 1e-12)), 0.0]
    expected = model.expected(np.concatenate([to_free(values).numpy(), levels]))
    depth = torch.linspace(0.0, 1.1 * float(values[2]), _DEPTHS, dtype=torch.float64)
    strain = implanted_strain(depth, values) * (depth < values[2])
    truth = CurveTruth(depth.numpy(), strain.numpy(), values.numpy(), expected)
    relative: float | np.ndarray = 1.0
    if sample.systematic:
        noise = torch.randn(len(expected), generator=generator, dtype=torch.float64).numpy()
        relative = np.maximum(1 + sample.systematic * noise, 0.0)
    data = torch.poisson(torch.from_numpy(expected * relative), generator=generator).numpy()
    return replace(setup.blank, data=data, truth=truth, systematic=sample.systematic)
