"""The quick curves of training against the form factors' exact averages, and against each other."""

import pytest
import torch

from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.physics.scattering.shapes.size_averages import size_averages, spread_of
from madpipe.saxs.network.particles import core_shell_spheres, gaussian, lognormal, round_rods, schulz, single
from madpipe.saxs.network.rods import angles_for, spheroids

KINDS = {"schulz": schulz, "lognormal": lognormal, "gaussian": gaussian}
Q = torch.exp(torch.linspace(-3.9, 4.4, 60))
# sums of float32 lose 1e-6 of the largest term, which cancels to 1e-2 here; the table's linear steps lose 2e-3
CLOSE = 5e-3


def exact(model, lengths, kind, width, spread, contrasts):
    form = FORM_FACTORS[model]
    rows = torch.tensor([lengths], dtype=torch.float64)
    found = size_averages(form, Q, rows, kind, torch.tensor([width]), spread_of(form, spread), 1e-6)
    contrast = torch.tensor(contrasts, dtype=torch.float64)
    return torch.einsum("bqkl,k,l->bq", found.gram, contrast, contrast)[0], found.outer_volume[0]


def assert_alike(found, expected):
    square, volume = found
    assert float(abs(volume[0] / expected[1] - 1)) < CLOSE
    assert float((torch.log(square[0].double()) - torch.log(expected[0])).abs().max()) < 4 * CLOSE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.08, 0.35])
def test_spheres_in_a_shell(kind, width):
    spread = KINDS[kind](torch.tensor([width]).float(), 400)
    shell = torch.full((1, 400), 0.4).float()
    found = core_shell_spheres(
        Q.float(), torch.tensor([0.6]).float(), shell, spread, torch.tensor([[-0.7, 1.0]]).float()
    )
    assert_alike(found, exact("core_shell_sphere", [0.6, 0.4], kind, width, "core_radius", [-0.7, 1.0]))


@pytest.mark.parametrize("polar", [0.2, 5.0])
def test_ellipsoids_that_vary_in_proportion(polar):
    spread = schulz(torch.tensor([0.1]).float(), 400)
    one = torch.tensor([1.0]).float()
    q = Q / max(polar, 1.0)
    found = spheroids(q.float(), polar * one, one, spread.relative, spread.weights)
    form = FORM_FACTORS["ellipsoid"]
    rows = torch.tensor([[polar, 1.0]], dtype=torch.float64)
    right = size_averages(form, q, rows, "schulz", torch.tensor([0.1]), spread_of(form, None), 1e-6)
    assert_alike(found, (right.gram[0, :, 0, 0], right.outer_volume[0]))


@pytest.mark.parametrize("spread", ["radius", "length"])
@pytest.mark.parametrize(("radius", "length", "shell"), [(0.1, 1.6, 0.05), (0.8, 0.1, 0.03), (0.5, 2.0, 0.2)])
def test_cylinders_in_a_shell(spread, radius, length, shell):
    width = torch.tensor([0.15]).float()
    nodes = schulz(width, 200)
    spreads = (nodes, single(width)) if spread == "radius" else (single(width), nodes)
    sizes = (torch.tensor([value]).float() for value in (radius, length, shell))
    angles = angles_for(Q.float(), 1.5)
    found = round_rods(angles, *sizes, spreads, torch.tensor([[2.0, 1.0]]).float())
    assert_alike(found, exact("core_shell_cylinder", [radius, shell, length], "schulz", 0.15, spread, [2.0, 1.0]))
