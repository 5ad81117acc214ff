"""Points for the benchmarks of the fit: the reference energies, any phase, |F_A|/|F_T| from 0.6 to 1.1."""

import math
from dataclasses import replace

import torch

from madpipe.mad.fit.exact import expected_photons
from madpipe.mad.measurement import Measurement, without_counts

F_PRIME = (-5.794, -6.103, -6.552, -7.317, -9.047, -7.265, -6.549, -6.042)  # Chantler, Ni K, 8313 .. 8348 eV
F_DOUBLE_PRIME = (0.514, 0.530, 0.553, 0.634, 2.086, 3.769, 3.833, 3.848)
F0 = 20.52


def drawn(points: int, photons: float, seed: int = 1) -> tuple[Measurement, torch.Tensor]:
    """Poisson counts of so many photons per point and energy, and the truth x, a, b."""
    generator = torch.Generator().manual_seed(seed)
    empty = without_counts(torch.tensor(F_PRIME), torch.tensor(F_DOUBLE_PRIME), F0, points)
    ratio = 0.6 + 0.5 * torch.rand(points, generator=generator)
    phase = (2 * torch.rand(points, generator=generator) - 1) * math.pi
    truth = torch.stack([torch.ones(points), ratio * phase.cos(), ratio * phase.sin()])
    truth = truth * (photons / expected_photons(empty, truth).mean(0)).sqrt()
    return replace(empty, intensity=torch.poisson(expected_photons(empty, truth), generator=generator)), truth
