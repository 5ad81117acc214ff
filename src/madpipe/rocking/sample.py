"""Simulated curves: an implanted layer drawn from the prior, or given."""

import math
from dataclasses import replace

import numpy as np
import torch

from madpipe.rocking import forward
from madpipe.rocking.config import SimulatedCurve
from madpipe.rocking.model import model_of, peak_two_theta, reflection_of
from madpipe.rocking.prior import LARGEST_STRAIN
from madpipe.rocking.profiles import Implanted, draw_implanted, implanted_strain, to_free
from madpipe.rocking.records import Curve, CurveTruth, curve_of

_DEPTHS = 200
_ANYWHERE = 90.0  # degree of 2 theta, until the peak's place is known


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
    angles = np.linspace(*sample.two_theta, sample.points)
    blank = curve_of(sample, title, angles + _ANYWHERE, np.zeros(sample.points))
    reflection = reflection_of(blank)
    two_theta = peak_two_theta(reflection) + angles
    blank = replace(blank, two_theta=two_theta)
    step = forward.largest_step(forward.as_radian(two_theta), reflection, LARGEST_STRAIN) / 2
    model = model_of(blank, reflection, Implanted(step))
    levels = [math.log(sample.peak_counts), math.log(max(sample.background, 1e-12)), 0.0]
    expected = model.expected(np.concatenate([to_free(values).numpy(), levels]))
    depth = torch.linspace(0.0, 1.1 * float(values[2]), _DEPTHS, dtype=torch.float64)
    strain = implanted_strain(depth, values) * (depth < values[2])
    truth = CurveTruth(depth.numpy(), strain.numpy(), values.numpy(), expected)
    data = torch.poisson(torch.from_numpy(expected), generator=generator).numpy()
    return replace(blank, data=data, truth=truth)
