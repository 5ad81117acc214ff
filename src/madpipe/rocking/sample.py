"""Simulated curves: an implanted layer drawn from the prior, or given."""

import math

import numpy as np
import torch

from madpipe.physics.susceptibility import crystal_named
from madpipe.rocking import forward
from madpipe.rocking.config import SimulatedCurve
from madpipe.rocking.model import model_of, peak_two_theta, reflection_of
from madpipe.rocking.prior import LARGEST_STRAIN
from madpipe.rocking.profiles import Implanted, draw_implanted, implanted_strain, to_free
from madpipe.rocking.records import Curve, CurveTruth

_DEPTHS = 200


def simulate(sample: SimulatedCurve, title: str, generator: torch.Generator) -> Curve:
    """Draw a layer and measure its curve with Poisson noise.

    Raises
    ------
    InputError
        Unknown crystal, forbidden reflection.
    """
    constant = sample.lattice_constant or crystal_named(sample.crystal).lattice_constant
    if sample.parameters is None:
        values = draw_implanted(1, generator)[0]
    else:
        values = torch.tensor(sample.parameters, dtype=torch.float64)
    blank = Curve(
        data=np.zeros(sample.points),
        two_theta=np.linspace(1.0, 2.0, sample.points),
        wavelength=sample.wavelength,
        sigma_share=sample.sigma_share,
        monochromator=sample.monochromator,
        half_width=sample.half_width,
        lorentzian=sample.lorentzian,
        crystal=sample.crystal,
        lattice_constant=constant,
        indices=np.array(sample.indices),
        title=title,
        systematic=0.0,
    )
    reflection = reflection_of(blank)
    two_theta = peak_two_theta(reflection) + np.linspace(*sample.two_theta, sample.points)
    return measured(blank, two_theta, values, sample.peak_counts, sample.background, generator)


def measured(
    blank: Curve,
    two_theta: np.ndarray,
    values: torch.Tensor,
    peak: float,
    background: float,
    generator: torch.Generator,
) -> Curve:
    """The curve of seven parameters at these angles, with noise and truth."""
    blank = Curve(**{**vars(blank), "two_theta": two_theta, "data": np.zeros(len(two_theta))})
    reflection = reflection_of(blank)
    step = forward.largest_step(forward.as_radian(two_theta), reflection, LARGEST_STRAIN) / 2
    model = model_of(blank, reflection, Implanted(step))
    levels = [math.log(peak), math.log(max(background, 1e-12)), 0.0]
    expected = model.expected(np.concatenate([to_free(values).numpy(), levels]))
    depth = torch.linspace(0.0, 1.1 * float(values[2]), _DEPTHS, dtype=torch.float64)
    strain = implanted_strain(depth, values) * (depth < values[2])
    truth = CurveTruth(depth.numpy(), strain.numpy(), values.numpy(), expected)
    data = torch.poisson(torch.from_numpy(expected), generator=generator).numpy()
    return Curve(**{**vars(blank), "data": data, "truth": truth})
