"""Domains of a crystal: width and displacement of reflections by Monte Carlo, and crystals of the pixel simulator."""

from dataclasses import replace

import bench
import numpy as np
import pytest
import torch

from madpipe.stills.config import SimulatedStills
from madpipe.stills.geometry import Crystal, finest
from madpipe.stills.integrate.fit import fit_stills
from madpipe.stills.integrate.image_model import MOSAICITY, SHAPE, TAIL, ln_partialities
from madpipe.stills.integrate.prepare import prepared
from madpipe.stills.integrate.settings import IntegrateConfig, Prior, Priors
from madpipe.stills.reflections.domains import Width, cloud, shapes_of
from madpipe.stills.reflections.model import indices_within
from madpipe.stills.simulate.crystals import draw_stills
from madpipe.stills.symmetry import crystal_of_cell

S0 = np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("cell", "group", "count"),
    [
        ((50, 50, 50, 90, 90, 90), "P 2 3", 0),
        ((50, 50, 90, 90, 90, 90), "P 41 21 2", 1),
        ((50, 50, 90, 90, 90, 120), "P 61", 1),
        ((60, 60, 60, 75, 75, 75), "R 3 :R", 1),
        ((50, 60, 90, 90, 90, 90), "P 21 21 21", 2),
        ((50, 60, 90, 90, 103, 90), "P 1 21 1", 3),
        ((50, 60, 90, 80, 103, 95), "P 1", 5),
    ],
)
def test_shapes_are_those_that_symmetry_allows_and_turn_with_the_crystal(cell, group, count):
    crystal = crystal_of_cell(np.array(cell, dtype=float), group)
    found = shapes_of(crystal)
    assert [bool(one.any()) for one in found] == [n < count for n in range(5)]
    products = np.einsum("kij,lij->kl", found, found)[:count, :count]
    assert products == pytest.approx(np.eye(count), abs=1e-12)
    assert np.einsum("kii->k", found) == pytest.approx(np.zeros(5), abs=1e-12)
    turn = bench.rotation(np.array([0.3, -0.8, 1.1]))
    assert shapes_of(crystal.turned(turn)) == pytest.approx(turn @ found @ turn.T, abs=1e-12)


def widths(mosaicity=0.0, bandwidth=0.0, values=(0, 0, 0, 0, 0)):
    shapes = shapes_of(Crystal(np.diag([40.0, 50.0, 60.0]) @ bench.rotation(np.array([0.4, 0.2, -0.3])).T, "P 1"))
    return Width(8e-4, mosaicity, bandwidth, shapes, np.array(values, dtype=float))


@pytest.mark.parametrize(
    "width",
    [
        widths(),
        widths(mosaicity=3e-3),
        widths(values=(1.0, -0.7, 0.5, 0.3, -0.8)),
        widths(bandwidth=4e-3),
        widths(2e-3, 2e-3, (-0.6, 0.4, 0.0, 0.8, 0.2)),
    ],
    ids=["round", "mosaic", "long", "pink", "all"],
)
def test_width_height_and_place_are_those_of_drawn_clouds(width):
    """Domains and wavelengths: those within a thin shell of the sphere are what a still shows."""
    rng, count = np.random.default_rng(2), 400_000
    q = np.array([0.42, 0.17, np.sqrt((1 + 5e-4) ** 2 - 0.42**2 - 0.17**2) - 1])  # 5e-4 outside the sphere
    roots, vectors = np.linalg.eigh(np.tensordot(width.values, width.shapes, 1))
    size = rng.normal(size=(count, 3)) * np.exp(roots / 2) @ vectors.T * width.radius / np.sqrt(2)
    turned = np.cross(width.mosaicity * rng.normal(size=(count, 3)), q)
    energy = 1 + width.bandwidth * rng.normal(size=count)  # of a photon, relative
    drawn = q + size + turned
    rays = energy[:, None] * S0 + drawn
    excess = np.linalg.norm(rays, axis=1) - energy  # of each domain and wavelength
    found = cloud(q[None], S0, width)
    middle = np.linalg.norm(S0 + q) - 1
    spread = np.sqrt(found.radius2[0] / 2)
    assert np.std(excess) == pytest.approx(spread, rel=4 / np.sqrt(2 * count) + 5e-3)  # the sphere is round
    shown = np.abs(excess) < 0.1 * spread
    direction = rays[shown] / np.linalg.norm(rays[shown], axis=1, keepdims=True)
    told = S0 + q + middle * found.shift[0]
    told = told / np.linalg.norm(told)
    error = 4 * direction.std(axis=0) / np.sqrt(shown.sum()) + 0.02 * spread
    assert (np.abs(direction.mean(axis=0) - told) < error).all()
    if not width.bandwidth:
        density = shown.mean() / (0.2 * spread) * np.exp(middle**2 / found.radius2[0])
        round_one = 1 / np.sqrt(np.pi) / width.radius * np.exp(found.ln_height[0])
        assert density == pytest.approx(round_one, rel=4 / np.sqrt(shown.sum()) + 0.01)


def test_mosaicity_alone_leans_a_spot_by_the_tangent_of_half_its_angle():
    q = np.array([[0.5, 0.0, -0.13]])
    lean = cloud(q, S0, replace(widths(mosaicity=1.0), radius=1e-9)).shift[0]
    ray = (S0 + q[0]) / np.linalg.norm(S0 + q[0])
    sine = -q[0] @ ray / np.linalg.norm(q)
    assert np.linalg.norm(lean - (lean @ ray) * ray) == pytest.approx(np.abs(sine) / np.sqrt(1 - sine**2), rel=1e-9)
    assert cloud(q, S0, widths()).shift[0] == pytest.approx(np.zeros(3), abs=1e-12)


@pytest.mark.parametrize("tail", [0.0, 1e-8, 1e-5, 0.3, 1.0])
def test_the_partiality_is_a_normal_law_or_a_lorentzian_with_its_derivatives(tail):
    x = np.linspace(0, 4, 9)
    value, by_x, by_tail = ln_partialities(x, tail)
    known = {0.0: -x, 1.0: -np.log1p(x)}
    if tail in known:
        assert value == pytest.approx(known[tail], abs=1e-14)
    step = 1e-5
    sides = [ln_partialities(x + sign * step, tail)[0] for sign in (1, -1)]
    assert by_x == pytest.approx((sides[0] - sides[1]) / 2 / step, abs=1e-8)
    expected = x**2 / 2 - 2 * tail * x**3 / 3 if tail < 1e-3 else None
    if expected is None:
        sides = [ln_partialities(x, tail + sign * step)[0] for sign in (1, -1)]
        expected = (sides[0] - sides[1]) / 2 / step
    assert by_tail == pytest.approx(expected, abs=1e-5)


def simulated(seed, **told):
    """A small set of the pixel simulator, fitted; errors of ln G and B less their means, and what was stated."""
    sample = SimulatedStills(images=4, size=256, pixel=0.275, photons=3e6, **told)
    generator = torch.Generator().manual_seed(seed)
    drawn = draw_stills(sample, generator)
    config = IntegrateConfig(half_box=4)
    hkl = indices_within(drawn.told[0], finest(drawn.beam, [drawn.panel]))
    stills = []
    for crystal, image in zip(drawn.told, drawn.counts(generator), strict=True):
        counts = [image[0].astype(float)]
        masks = [np.ones(counts[0].shape, dtype=bool)]
        stills.append(prepared("drawn", counts, masks, drawn.beam, [drawn.panel], crystal, hkl, config))
    truth = drawn.truth
    found = fit_stills(stills, drawn.told[0].space_group, config, truth.hkl, truth.reference)
    apart = found.own[:, :2] - np.stack([truth.ln_scale, 2 * truth.wilson_b], axis=1)
    errors = np.sqrt(np.einsum("kii->ki", found.covariance.own))[:, :2]
    return found, apart - apart.mean(axis=0), errors


def test_long_thin_domains_of_a_monoclinic_crystal_are_found_and_do_not_spoil_the_scales():
    """With one round R0 ln G was off by 0.3, with 0.03 stated."""
    cell = (48.0, 62.0, 55.0, 90.0, 103.0, 90.0)
    found, apart, errors = simulated(3, cell=cell, space_group="P 1 21 1", cells=(14.0, 4.0, 6.0))
    assert found.settled
    assert np.abs(apart / errors).max() < 4
    assert np.abs(apart[:, 0]).max() < 0.06
    assert found.model_error < 0.1
    shape = np.tensordot(found.shared[SHAPE], found.data.stills[0].scene.shapes, 1)
    roots = np.linalg.eigvalsh(shape)
    sides = np.array(cell[:3]) * [14, 4, 6] * [np.sin(np.radians(103)), 1, np.sin(np.radians(103))]
    expected = np.sort(np.log(np.prod(sides) ** (2 / 3) / sides**2))
    assert roots == pytest.approx(expected, abs=0.25)  # a and c are not at right angles


def test_mosaicity_is_found_and_none_where_there_is_none():
    found, apart, errors = simulated(5, cells=(7.0, 7.0, 14.0), spread=0.4)
    expected = np.radians(0.4) / np.sqrt(3)
    sd = np.sqrt(np.diag(found.covariance.shared))
    place = int(found.shared_active[:MOSAICITY].sum())
    assert found.shared[MOSAICITY] == pytest.approx(expected, abs=4 * sd[place] + 0.03 * expected)
    assert np.abs(apart / errors).max() < 4


NOTHING = Priors(mosaicity=Prior(value=0.0, sd=0.2), tail=Prior(value=0.0, sd=0.5))


def test_small_round_domains_keep_one_radius_and_nothing_else():
    """The evidence lets mosaicity, tail and shape go; the fit ends as if they had never been free."""
    found = fit_of_the_bench()
    assert found.settled
    assert np.flatnonzero(found.shared_active).tolist() == [0]
    assert not found.shared[[MOSAICITY, TAIL, *range(SHAPE.start, SHAPE.stop)]].any()
    alone = fit_of_the_bench(fit_mosaicity=False, fit_tail=False, fit_shape=False, priors=NOTHING)
    errors = np.sqrt(np.einsum("kii->ki", found.covariance.own))
    assert np.abs((found.own - alone.own) / errors).max() < 0.3  # a search ends where steps are below 0.1


def fit_of_the_bench(**told):
    """Small round domains, spots exactly where s0 + q says."""
    case = bench.Case(images=4, size=460, distance=84.0, width=3.0e-3, resolution=2.3, misorient=0.03)
    data = bench.make(case, seed=4)
    config = IntegrateConfig(resolution=2.3, half_box=4, core=3.5, **told)
    hkl = indices_within(data.crystals[0], config.resolution)
    masks = [np.ones(data.counts[0].shape, dtype=bool)]
    told = zip(data.counts, data.crystals, strict=True)
    stills = [prepared("drawn", [one], masks, data.beam, [data.panel], two, hkl, config) for one, two in told]
    return fit_stills(stills, "P 21 21 21", config, data.hkl, data.reference)
