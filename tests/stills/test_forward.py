"""Pixels: nanoBragg's images, what they know wrong, factors of a pixel, structure factors, tails, noise."""

import math
from dataclasses import replace

import gemmi
import numpy as np
import pytest
import torch
from golden_scenes import NAMES, golden

from madpipe.base.errors import InputError
from madpipe.physics.rotations import rotation, rotation_vector
from madpipe.stills.forward import expected, image, photons_per_electron2
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.lattice import SHAPES, Cells
from madpipe.stills.misset import misset_angles, misset_rotation, standing, vector_by_angles
from madpipe.stills.pixel_factors import Factors, absorption, polarisation, solid_angle
from madpipe.stills.scene import Background, Sources, StructureFactors
from madpipe.stills.sensor import attenuation
from madpipe.stills.simulate.demo import MISSET, demo
from madpipe.stills.simulate.model import factors_of_model
from madpipe.stills.simulate.sample import counted_images, expected_images, scaled_to

WIDE = {"c11_tophat"}  # a sub-pixel on the rim of a top hat may fall on either side
SINGLE = {"c10_gauss": 2e-6}  # 1.3e-6 by the independent model of the images' README, too


@pytest.mark.parametrize("name", NAMES)
def test_nanobragg_s_images_with_its_first_subpixel(shared, name):
    scene, theirs = golden(shared, name, first_subpixel=True)
    apart = np.abs(image(scene, scene.panels[0]) - theirs) / theirs.max()
    assert np.count_nonzero(apart > SINGLE.get(name, 1e-6)) <= (5 if name in WIDE else 0)


@pytest.mark.parametrize("name", NAMES)
def test_nanobragg_s_images_with_factors_at_each_subpixel(shared, name):
    scene, theirs = golden(shared, name)
    apart = np.abs(image(scene, scene.panels[0]) - theirs) / theirs.max()
    assert np.count_nonzero(apart > 1.2e-3) <= (5 if name in WIDE else 0)
    assert apart.max() > 1e-6  # and the option is one


def test_weights_of_sources_are_used():
    """nanoBragg ignores them: two sources of which one has no weight are the other alone."""
    scene = demo()
    tilted = np.array([[1.0, 0.0, 0.0], [math.cos(0.01), math.sin(0.01), 0.0]])
    both = replace(scene, sources=Sources(tilted, np.array([1.0, 1.1]), np.array([3.0, 0.0])))
    np.testing.assert_allclose(image(both, both.panels[0]), image(scene, scene.panels[0]), rtol=1e-12)
    halves = replace(scene, sources=Sources(tilted, np.array([1.0, 1.1]), np.array([3.0, 1.0])))
    other = replace(scene, sources=Sources(tilted[1:], np.array([1.1]), np.ones(1)))
    mixed = 0.75 * image(scene, scene.panels[0]) + 0.25 * image(other, scene.panels[0])
    np.testing.assert_allclose(image(halves, scene.panels[0]), mixed, rtol=1e-12)


def factors_toward(**changes):
    vectors = [torch.tensor(one) for one in ([0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])]
    return replace(Factors(0.01, vectors[0], vectors[1], 0.0, vectors[2], 0.0), **changes)


def test_the_solid_angles_of_a_large_square_sum_to_its_own():
    """Of a square of half side d at distance d: a sixth of the sphere. Midpoint rule: error (pixel / distance)^2."""
    side = (np.arange(400) + 0.5) / 200 - 1
    at = torch.from_numpy(np.stack([*(one.ravel() for one in np.meshgrid(side, side)), np.ones(160_000)]))
    total = float(solid_angle(at, factors_toward(area=1 / 200**2)).sum())
    assert total == pytest.approx(4 * math.pi / 6, rel=(1 / 200) ** 2)


def test_fully_polarised_light_is_not_scattered_along_its_field():
    at = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert polarisation(at, factors_toward(kahn=1.0)).tolist() == pytest.approx([0.0, 1.0])
    assert polarisation(at, factors_toward(kahn=0.0)).tolist() == pytest.approx([0.5, 0.5])


def test_a_sensor_absorbs_along_the_ray():
    """At 60 degrees the way through it is twice the thickness; silicon at 12.4 keV: 1/mu = 0.25 mm (NIST)."""
    at = torch.tensor([[0.0, math.sqrt(3.0)], [0.0, 0.0], [1.0, 1.0]])
    taken = absorption(at, factors_toward(optical_depth=0.7))
    assert taken.tolist() == pytest.approx([1 - math.exp(-0.7), 1 - math.exp(-1.4)])
    assert 1 / attenuation("Si", 1.0) == pytest.approx(0.25, rel=0.05)
    scene = demo()
    thick = replace(scene.panels[0], thickness=0.45)
    share = image(scene, thick)[33, 33] / image(scene, scene.panels[0])[33, 33]
    assert share == pytest.approx(1 - math.exp(-0.45 * attenuation("Si", 1.0)), rel=1e-5)


def test_an_unknown_sensor_is_refused():
    with pytest.raises(InputError, match=r"one of Si.*got 'Xe'.*thickness"):
        attenuation("Xe", 1.0)


def test_height_and_area_of_a_gaussian_spot_are_those_of_its_cells():
    """The integral of sin^2(pi N h) / sin^2(pi h) over a period is N, with N^2 at the top."""
    step = torch.linspace(-0.5, 0.5, 20_001)[:-1]
    offsets = torch.stack([step, torch.zeros_like(step), torch.zeros_like(step)])[None]
    cells = Cells(torch.tensor([7.0, 5.0, 4.0]), torch.eye(3) / 50)
    for name in ("gauss", "square"):
        value = SHAPES[name].value(offsets, cells)
        assert float(value.max()) == pytest.approx(140.0**2)
        assert float(value.sum()) / 20_000 == pytest.approx(7 * 20.0**2, rel=1e-6)


@pytest.mark.parametrize("shape", ["square", "gauss", "round"])
def test_tails_below_the_least_share_are_those_of_the_mean_orientation(shape):
    """What is left out is less than that share of the peak, and where nothing is left out it is the same."""
    scene = replace(demo(shape=shape, pixel=0.4), cells=np.full(3, 12.0))
    whole, short = (image(replace(scene, negligible=share), scene.panels[0]) for share in (0.0, 1e-3))
    peak = scene.factors.outside * 12.0**6 * scene.scale * (0.4 / 100) ** 2
    assert 0 < np.abs(whole - short).max() < 1e-3 * peak
    assert np.mean(whole == short) > 0.01


def test_water_is_a_ring_and_background_is_added():
    scene = replace(demo(pixel=1.5), background=Background(2.0, 10.0), scale=0.0)
    ring = image(scene, scene.panels[0]) - 2.0
    q = 2 * np.sin(np.arctan(1.5 * np.arange(30) / 100) / 2)
    along = ring[33, 33:63]
    assert q[np.argmax(along)] == pytest.approx(1 / 3.1, abs=0.03)
    assert 2.0 < along[0] < 4.0


def test_counts_are_poisson_s_of_the_expected_photons():
    scene = scaled_to(demo(), 1e4, 5.0)
    assert expected_images(scene)[0].sum() == pytest.approx(1e4 + 5 * 64**2)
    drawn = counted_images(scene, torch.Generator().manual_seed(2))[0]
    again = counted_images(scene, torch.Generator().manual_seed(2))[0]
    np.testing.assert_array_equal(drawn, again)
    mu = expected_images(scene)[0]
    chi2 = float(((drawn - mu) ** 2 / mu).sum())
    assert abs(chi2 - mu.size) / np.sqrt(np.sum(2 + 1 / mu)) < 4
    assert abs(drawn.sum() - mu.sum()) / math.sqrt(mu.sum()) < 4


def test_structure_factors_of_a_list():
    found = StructureFactors.listed(np.array([[1, 0, -2], [-1, 0, 2]]), np.array([3.0, 4.0]), 0.5)
    asked = torch.tensor([[1.0, -1.0, 0.0, 9.0], [0.0, 0.0, 0.0, 0.0], [-2.0, 2.0, 0.0, 0.0]])
    assert found.at(asked).tolist() == [9.0, 16.0, 0.25, 0.25]
    assert not found.constant
    with pytest.raises(InputError, match="got none"):
        StructureFactors.listed(np.zeros((0, 3), dtype=int), np.zeros(0))
    with pytest.raises(InputError, match=r"2\^27"):
        StructureFactors.listed(np.array([[0, 0, 0], [2000, 2000, 2000]]), np.ones(2))


def test_structure_factors_of_a_model_are_sums_over_its_atoms():
    """Two atoms in P 31 written out, each and its mates, by gemmi's form factors; the grid costs 1e-3 of F(000)."""
    structure = gemmi.Structure()
    structure.cell, structure.spacegroup_hm = gemmi.UnitCell(20, 20, 30, 90, 90, 120), "P 31"
    places = {"C": (0.1, 0.2, 0.3), "S": (0.35, 0.6, 0.8)}
    residue = gemmi.Residue()
    residue.name = "UNK"
    for element, place in places.items():
        atom = gemmi.Atom()
        atom.name, atom.element, atom.b_iso = element, gemmi.Element(element), 10.0
        atom.pos = structure.cell.orthogonalize(gemmi.Fractional(*place))
        residue.add_atom(atom)
    chain = gemmi.Chain("A")
    chain.add_residue(residue)
    model = gemmi.Model(1)
    model.add_chain(chain)
    structure.add_model(model)
    structure.setup_entities()
    found = factors_of_model(structure, 3.0)
    for h in [(1, 2, 3), (-1, -2, -3), (2, -3, 3), (0, 3, 0), (4, -1, 1)]:
        s2 = structure.cell.calculate_1_d2(h) / 4
        total = 0.0
        for element, (x, y, z) in places.items():
            f = gemmi.Element(element).it92.calculate_sf(s2) * math.exp(-10.0 * s2)
            for place in ((x, y, z), (-y, x - y, z + 1 / 3), (y - x, -x, z + 2 / 3)):
                total += f * np.exp(2j * np.pi * np.dot(h, place))
        amplitude = math.sqrt(float(found.at(torch.tensor(h, dtype=torch.float64)[:, None])[0]))
        assert amplitude == pytest.approx(abs(total), abs=1e-3 * 66)
    assert float(found.at(torch.tensor([[40.0], [0.0], [0.0]]))[0]) == 0.0


def test_a_model_without_a_cell_is_refused():
    with pytest.raises(InputError, match="a cell and a space group are required"):
        factors_of_model(gemmi.Structure(), 3.0)


def test_misset_angles_turn_as_nanobragg_s(shared):
    scene, _ = golden(shared, "c04_demo_nomosaic")
    mine = standing(np.array([100.0, 100.0, 100.0, 90.0, 90.0, 90.0]), MISSET)
    np.testing.assert_allclose(mine.axes, scene.crystal.axes, atol=1e-12)
    scene, _ = golden(shared, "c12_hexagonal")
    mine = standing(np.array([92.0, 92.0, 130.0, 90.0, 90.0, 120.0]), np.radians([-40.0, 15.0, 100.0]))
    np.testing.assert_allclose(mine.axes, scene.crystal.axes, atol=1e-12)


def test_misset_angles_and_their_derivatives():
    angles = np.array([0.3, -0.7, 1.1])
    np.testing.assert_allclose(misset_angles(misset_rotation(angles)), angles, rtol=1e-13)
    for number, step in enumerate(1e-5 * np.eye(3)):
        between = misset_rotation(angles + step) @ misset_rotation(angles - step).T
        np.testing.assert_allclose(rotation_vector(between) / 2e-5, vector_by_angles(angles)[:, number], atol=1e-9)


def test_turning_scene_and_laboratory_together_changes_nothing():
    """No frame is built in: beam, panel, crystal and field turned by one rotation give the same image."""
    scene = demo()
    scene = replace(scene, beam=replace(scene.beam, polarised=0.9, electric=np.array([0.0, 0.0, 1.0])))
    turn = rotation(np.array([0.4, -1.3, 2.0]))
    panel, beam = scene.panels[0], scene.beam
    moved = Panel(turn @ panel.origin, turn @ panel.fast, turn @ panel.slow, panel.pixel, panel.shape)
    light = Beam(turn @ beam.direction, 1.0, polarised=0.9, electric=turn @ np.array([0.0, 0.0, 1.0]))
    plain = replace(scene, mosaicity=replace(scene.mosaicity, vectors=scene.mosaicity.vectors @ turn.T))
    other = replace(plain, beam=light, crystal=scene.crystal.turned(turn))
    pixels = np.arange(0, 4096, 7)
    np.testing.assert_allclose(expected(other, moved, pixels), expected(scene, panel, pixels), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"shape": "cube"}, "shape: one of"), ({"oversample": 0}, "oversample: 1 or more")],
)
def test_bad_scenes_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        replace(demo(), **change)


def test_scale_is_thomson_s():
    """nanoBragg's r_e^2 is 7.94079248e-30 m^2 (CODATA 2010), ours CODATA 2018's."""
    assert photons_per_electron2(1.0) == pytest.approx(7.94079248018965e-30, rel=1e-8)
