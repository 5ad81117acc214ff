"""Indexing: spots of known crystals (spots_of_crystals.py, written apart) and thaumatin's images."""

import warnings
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from madpipe.base.errors import InputError
from madpipe.stills.geometry import Beam, Crystal
from madpipe.stills.index.choice import alike, misorientation, resettled, said_of_ambiguity
from madpipe.stills.index.detector import MOVES, mounting_of, moved
from madpipe.stills.index.index import IndexConfig, index_images, index_spots, tilt_of
from madpipe.stills.index.matching import predicted
from madpipe.stills.index.refine import Free, Pose, Still, derivatives, refine
from madpipe.stills.index.spots import SpotConfig, find_spots
from madpipe.stills.measured.images import image_of
from madpipe.stills.measured.reading import read_images
from madpipe.stills.symmetry import crystal_of_cell, primitive_basis, proper_rotations, strain_basis

_SPEC = spec_from_file_location("spots_of_crystals", Path(__file__).with_name("spots_of_crystals.py"))
made = module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)

TRICLINIC = np.array([40.0, 55.0, 70.0, 82.0, 95.0, 105.0])
TETRAGONAL = np.array([79.0, 79.0, 38.0, 90.0, 90.0, 90.0])
HEXAGONAL = np.array([90.0, 90.0, 130.0, 90.0, 90.0, 120.0])
CENTRED = np.array([110.0, 50.0, 70.0, 90.0, 105.0, 90.0])
THAUMATIN = np.array([58.0, 58.0, 150.4, 90.0, 90.0, 90.0])


def index_one(spots, beam, panel, cell, group, **config):
    return index_spots([spots], [beam], [panel], crystal_of_cell(cell, group), IndexConfig(**config))


@pytest.mark.parametrize(
    ("cell", "group", "present"),
    [
        (TRICLINIC, "P 1", None),
        (HEXAGONAL, "P 61 2 2", None),
        (CENTRED, "C 1 2 1", lambda hkl: (hkl[:, 0] + hkl[:, 1]) % 2 == 0),
    ],
)
def test_orientation_is_found_from_the_cell_alone(cell, group, present):
    """Centroids scatter by 0.3 pixels, a tenth of the spots is false; the turn's error is its covariance's."""
    spots, axes, beam, panel = made.still(cell, seed=3, group_filter=present)
    found = index_one(spots, beam, panel, cell, group).images[0]
    truth = Crystal(axes, found.crystal.space_group)
    sd = np.linalg.norm(found.record.turn_sd)
    assert made.turn_between(axes, alike(found.crystal, truth).axes) < 4 * sd < 0.3
    assert found.record.indexed[2] > 0.87  # 0.9 are true, all within ten deviations
    assert found.record.failed is None


def test_thirty_spots_are_enough_and_their_order_does_not_matter():
    spots, axes, beam, panel = made.still(TETRAGONAL, seed=5, count=30)
    one = index_one(spots, beam, panel, TETRAGONAL, "P 43 21 2").images[0]
    shuffled = spots.only(np.random.default_rng(1).permutation(len(spots)))
    jittered = replace(shuffled, at=shuffled.at + 1e-9)
    other = index_one(jittered, beam, panel, TETRAGONAL, "P 43 21 2").images[0]
    truth = Crystal(axes, one.crystal.space_group)
    assert made.turn_between(axes, alike(one.crystal, truth).axes) < 0.3
    set_alike = alike(other.crystal, one.crystal)
    # both ends of one fit: apart by what its stopping rule leaves of a deviation
    assert np.degrees(misorientation(one.crystal, set_alike)) < 0.1 * np.linalg.norm(one.record.turn_sd)


def test_few_spots_are_told_in_words():
    spots, _, beam, panel = made.still(TETRAGONAL, seed=5, count=12)
    record = index_one(spots, beam, panel, TETRAGONAL, "P 43 21 2").images[0].record
    assert record.failed == "got 12 spots, 20 needed"


def test_spots_of_another_cell_are_not_indexed():
    spots, _, beam, panel = made.still(TRICLINIC, seed=7)
    found = index_one(spots, beam, panel, THAUMATIN, "P 41 21 2").images[0]
    assert found.crystal is None
    assert found.record.failed.startswith("not indexed")
    assert "chance" in found.record.failed


def test_the_stronger_of_two_lattices_is_found_among_the_spots_of_both():
    first, axes, beam, panel = made.still(TETRAGONAL, seed=11, count=200)
    second, other, _, _ = made.still(TETRAGONAL, seed=12, count=130)
    both = made.spots_at(np.concatenate([first.at, second.at]))
    found = index_one(both, beam, panel, TETRAGONAL, "P 43 21 2").images[0]
    near = [
        made.turn_between(one, alike(found.crystal, Crystal(one, found.crystal.space_group)).axes)
        for one in (axes, other)
    ]
    assert min(near) < 0.1
    assert 0.4 < found.record.indexed[1] < 0.75


def test_indices_are_the_true_ones_after_the_choice_of_setting():
    spots, axes, beam, panel = made.still(HEXAGONAL, seed=2, false=0.0)
    found = index_one(spots, beam, panel, HEXAGONAL, "P 61 2 2").images[0]
    truth = Crystal(axes, found.crystal.space_group)
    ours = alike(found.crystal, truth)
    change = np.rint(ours.axes @ np.linalg.inv(found.crystal.axes))
    q = spots.wave_vectors([panel], beam) - beam.s0
    true = np.rint(q @ axes.T)
    same = (found.indices @ change.T == true).all(axis=1)
    assert same[found.match.within(1.0)].mean() > 0.97  # a spot between two reflections may be either's


def test_tilt_and_beam_centre_of_the_detector_are_recovered_from_several_stills():
    """Distance and cell are one scale: the line says so, and what is said of the cell decides."""
    tilt, beam_at = (0.30, -0.40), (1.0, -0.7)
    true_panel = made.flat_detector(tilt=tilt, beam=beam_at)
    stills = [made.still(TETRAGONAL, seed=k, panel=true_panel) for k in range(3)]
    beam, nominal = stills[0][2], made.flat_detector()
    free = Free(strain_sd=1e-4)
    found = index_spots(
        [one[0] for one in stills],
        [beam] * 3,
        [nominal],
        crystal_of_cell(TETRAGONAL, "P 43 21 2"),
        IndexConfig(free=free),
    )
    assert all(one.crystal is not None for one in found.images)
    assert np.abs(np.subtract(found.tilt, tilt)).max() < 4 * max(found.tilt_sd) < 0.1
    true_beam = true_panel.hit(np.array([[0.0, 0.0, 1.0]]))[0]
    assert np.abs(np.array(found.beam_centre) - true_beam).max() < 0.1
    assert abs(found.distance - 200.0) < 0.05  # 1e-4 of the cell, four times
    assert any("cell and distance are one" in line for line in found.images[0].record.degenerate)


def test_pulls_of_the_orientation_are_normal():
    """The spread over noisy repeats is the covariance that the fit reports, the free tilt's share in it included."""
    exact, axes, beam, panel = made.still(TETRAGONAL, seed=0, count=150, false=0.0, noise=0.0, width=2e-4)
    start = Crystal(axes, "P 43 21 2").turned(Rotation.from_rotvec([1e-3, -1e-3, 5e-4]).as_matrix())
    free = Free(cell=False, distance=False, beam_centre=False, excitation=False)
    generator = np.random.default_rng(1)
    pulls = []
    for _ in range(40):
        spots = replace(exact, at=exact.at + 0.3 * generator.standard_normal(exact.at.shape))
        fit = refine([Still(spots, beam, start)], [panel], free)
        left, _, right = np.linalg.svd(np.linalg.solve(axes, fit.crystals[0].axes).T)
        pulls.append(Rotation.from_matrix(left @ right).as_rotvec() / fit.turn_sd[0])
    spread = np.sqrt(np.mean(np.square(pulls)))
    assert abs(spread - 1) < 4 / np.sqrt(2 * 120) + 0.08  # 120 pulls; the t weights cost up to 8 % of the width


def test_mosaicity_moves_a_reflection_along_its_cap_to_the_sphere():
    """Turning q about q x s0 until it lies on the Ewald sphere is exact; the prediction is its first order."""
    _, axes, beam, panel = made.still(TRICLINIC, seed=4)
    indices = made.reflections(axes, 1.0, 2.0, 5e-4, np.random.default_rng(0))
    q = np.linalg.solve(axes, indices.T).T
    length = np.linalg.norm(q, axis=1)
    # on the sphere q.s0 = -q^2/2: keep what is across s0, turn the rest; wavelength 1
    along = -(length**2) / 2
    across = np.stack([q[:, 0], q[:, 1], 0 * length], axis=1)
    across *= (np.sqrt(length**2 - along**2) / np.linalg.norm(across, axis=1))[:, None]
    turned = across + np.outer(along, made.ALONG_Z)
    expected = made.projected(np.eye(3), turned, 1.0, panel)
    which = np.zeros(len(indices), dtype=np.int64)
    ball, cap = (predicted(indices, which, axes, [panel], beam, mosaic) for mosaic in (0.0, 1.0))
    seen = np.isfinite(expected).all(axis=1) & (length > 0.2)
    moved_by = np.linalg.norm(ball.at - expected, axis=1)[seen]
    assert np.linalg.norm(cap.at - expected, axis=1)[seen].max() < 0.05 * moved_by.max()  # excitation over q
    assert moved_by.max() > 0.3


@pytest.mark.parametrize("mosaic", [0.0, 0.7])
def test_derivatives_of_predictions_are_those_of_differences(mosaic):
    """Central differences of step e err by e^2 and rounding/e; mosaicity's terms of second order are left out."""
    _, axes, beam, panel = made.still(TRICLINIC, seed=1)
    move = np.array([3e-3, -7e-3, 0.2, -0.1, 1.5])
    mounting = mounting_of([panel], beam)
    crystal = Crystal(axes, "P 1")
    strains = strain_basis(crystal)
    strain = 1e-3 * np.arange(-3, 3)
    generator = np.random.default_rng(0)
    indices = made.reflections(axes, 1.0, 3.0, 1e-3, generator)[::2]
    which = np.zeros(len(indices), dtype=np.int64)
    turned = Rotation.from_rotvec([0.1, -0.2, 0.3]).as_matrix()
    pose = Pose(crystal.turned(turned.T), strains, turned, strain)

    def at(step):
        change = Rotation.from_rotvec(step[:3]).as_matrix()
        here = replace(pose, turn=change @ pose.turn, strain=pose.strain + step[3:9])
        panels = moved([panel], mounting, move + step[9:])
        return predicted(indices, which, here.crystal().axes, panels, beam, mosaic), panels

    here, panels = at(np.zeros(14))
    places, excitations = derivatives(here, which, panels, mounting, move, pose)
    seen = np.isfinite(here.at).all(axis=1) & (np.abs(here.excitation) < 2e-3)
    assert seen.sum() > 20
    for number in range(14):
        step = np.zeros(14)
        step[number] = 1e-6
        up, down = at(step)[0], at(-step)[0]
        slope = (up.at - down.at) / 2e-6
        largest = np.abs(slope[seen]).max()
        # what is left out: how mosaicity's shift turns, wavelength x distance / pixel x excitation x share x its slope
        left_out = 1333 * 2e-3 * mosaic * 1.5 if number < 9 else 0.0
        assert np.abs(places[seen][:, :, number] - slope[seen]).max() < 1e-6 * largest + left_out, (number, MOVES)
        slope = (up.excitation - down.excitation) / 2e-6
        assert np.abs(excitations[:, number] - slope).max() < 1e-7 * max(np.abs(slope).max(), 1e-2)


def test_reflections_fall_where_textbook_geometry_puts_them():
    _, axes, beam, panel = made.still(TRICLINIC, seed=4, panel=made.flat_detector(tilt=(1.0, -2.0)))
    indices = made.reflections(axes, 1.0, 3.0, 1e-3, np.random.default_rng(0))
    expected = made.projected(axes, indices, 1.0, panel)
    found = predicted(indices, np.zeros(len(indices), dtype=np.int64), axes, [panel], beam)
    seen = np.isfinite(expected).all(axis=1)
    assert np.abs(found.at[seen] - expected[seen]).max() < 1e-8  # rounding of 1e3 pixels, well conditioned


def test_a_tilt_is_read_back_as_it_was_put_in():
    found = tilt_of(made.flat_detector(), made.flat_detector(tilt=(0.3, -0.4)))
    assert np.allclose(found, (0.3, -0.4), atol=1e-12)


@pytest.mark.parametrize(
    ("group", "cell", "strains", "settings"),
    [
        ("P 1", TRICLINIC, 6, 0),
        ("C 1 2 1", CENTRED, 4, 0),
        ("P 41 21 2", THAUMATIN, 2, 0),
        ("P 41", THAUMATIN, 2, 1),
        ("P 61", HEXAGONAL, 2, 1),
        ("P 2 3", np.array([79.0, 79, 79, 90, 90, 90]), 1, 1),
    ],
)
def test_symmetry_leaves_the_strains_and_ambiguities_that_textbooks_list(group, cell, strains, settings):
    crystal = crystal_of_cell(cell, group)
    assert len(strain_basis(crystal)) == strains
    said = said_of_ambiguity(crystal)
    assert (said is not None) == bool(settings)
    if settings:
        assert f"{settings + 1} settings" in said


def test_an_ambiguity_is_told_by_indexing():
    spots, _, beam, panel = made.still(TETRAGONAL, seed=6)
    found = index_one(spots, beam, panel, TETRAGONAL, "P 41")
    assert any("settings apart" in line for line in found.said)
    assert any("mirrored" in line for line in found.said)


def test_one_crystal_seen_in_several_settings_gets_the_same_one():
    first = crystal_of_cell(THAUMATIN, "P 41")
    for setting in proper_rotations("P 4 2 2"):  # four of them are not the crystal's own
        turned = resettled(first, setting).turned(Rotation.from_rotvec([0, 0.01, 0]).as_matrix())
        assert np.isclose(misorientation(first, alike(turned, first)), 0.01, atol=1e-9)


@pytest.mark.parametrize(("cell", "group"), [(HEXAGONAL, "P 61 2 2"), (CENTRED, "C 1 2 1"), (THAUMATIN, "P 41 21 2")])
def test_a_setting_renames_axes_and_turns_nothing_else(cell, group):
    crystal = crystal_of_cell(cell, group)
    for setting in proper_rotations(group):
        assert np.allclose(resettled(crystal, setting).cell, crystal.cell)


def test_a_primitive_basis_has_the_volume_of_one_point():
    crystal = crystal_of_cell(CENTRED, "C 1 2 1")
    assert np.isclose(np.linalg.det(primitive_basis(crystal)), 0.5)
    rhombohedral = crystal_of_cell(HEXAGONAL, "H 3")
    assert np.isclose(np.linalg.det(primitive_basis(rhombohedral)), 1 / 3)


@pytest.mark.parametrize(
    ("cell", "group", "said"),
    [
        ([79.0, 79, 0, 90, 90, 90], "P 1", "cell of a volume"),
        ([50.0, 60, 70, 90, 60, 150], "P 1", "cell of a volume"),
        ([79.0, 85, 38, 90, 90, 90], "P 41 21 2", "allows"),
        ([79.0, 79, 38, 90, 90, 90], "P 99", "space group"),
    ],
)
def test_impossible_cells_are_refused(cell, group, said):
    with pytest.raises(InputError, match=said):
        crystal_of_cell(np.array(cell), group)


def gaussian_image(places, photons, width, seed=0, size=120, background=3.0):
    """Poisson counts of Gaussian spots on a flat background."""
    row, column = np.mgrid[:size, :size] + 0.5
    mean = np.full((size, size), background)
    for x, y in places:
        mean += photons / (2 * np.pi * width**2) * np.exp(-((column - x) ** 2 + (row - y) ** 2) / 2 / width**2)
    return np.random.default_rng(seed).poisson(mean).astype(np.int32)


def image_with(counts, saturation=np.inf, mask=None):
    panel = replace(made.flat_detector(), shape=counts.shape)
    return image_of([counts], [panel], None if mask is None else [mask], saturation, "test")


def test_centroids_scatter_as_their_errors_say():
    places = np.array([[x, y] for x in range(15, 110, 15) for y in range(15, 110, 15)]) + 0.3
    pulls, photons = [], []
    for seed in range(12):
        spots = find_spots(image_with(gaussian_image(places, 600.0, 1.0, seed)))
        nearest = np.linalg.norm(spots.at[:, None] - places, axis=2).argmin(axis=1)
        assert len(set(nearest)) == len(places)
        off = spots.at - places[nearest]
        pulls.append(off / spots.error)
        photons.append(spots.photons)
    pulls = np.concatenate(pulls)
    assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(len(pulls))
    assert (
        0.7 < pulls.std() < 1.05
    )  # the place within a pixel is counted in, but hardly matters to a spot of this width
    assert 540 < np.mean(np.concatenate(photons)) < 610  # the tails beyond the grown pixels are missing


def test_masked_and_saturated_pixels():
    places = np.array([[30.3, 30.3], [80.3, 80.3]])
    counts = gaussian_image(places, 5000.0, 1.0)
    mask = np.ones(counts.shape, dtype=bool)
    mask[20:40, 20:40] = False
    spots = find_spots(image_with(counts, saturation=float(counts[75:85, 75:85].max()), mask=mask))
    assert len(spots) == 1
    assert spots.saturated.all()
    assert np.abs(spots.at[0] - 80.3).max() < 0.2


def test_noise_alone_has_hardly_a_spot_and_thresholds_count():
    counts = gaussian_image([], 0.0, 1.0, size=500)
    assert len(find_spots(image_with(counts))) == 0
    assert len(find_spots(image_with(counts), SpotConfig(threshold=1.0))) > 100


def test_saturated_spots_are_left_out_and_counted():
    spots, _, beam, panel = made.still(TETRAGONAL, seed=8)
    full = np.zeros(len(spots), dtype=bool)
    full[:25] = True
    found = index_one(replace(spots, saturated=full), beam, panel, TETRAGONAL, "P 43 21 2").images[0]
    assert found.record.saturated == 25
    assert found.crystal is not None


def test_no_image_is_refused(shared):
    images = read_images([shared / "stills" / "thaumatin" / "thau_3_2_0013.cbf.bz2"])
    with pytest.raises(InputError, match="at least one image"):
        index_images(images.subset([]), crystal_of_cell(THAUMATIN, "P 41 21 2"))


def test_thaumatin_is_indexed_from_its_cell_alone(shared):
    """Two of the four images; all four stand in the measured tables."""
    folder = shared / "stills" / "thaumatin"
    if not folder.is_dir():
        pytest.skip("thaumatin's images are absent")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = read_images([folder / f"thau_3_2_00{number}.cbf.bz2" for number in ("05", "13")])
        found = index_images(images, crystal_of_cell(THAUMATIN, "P 41 21 2"))
    for one in found.images:
        assert one.record.failed is None
        assert one.record.indexed[1] >= 0.70
        assert one.record.indexed[2] >= 0.85
        assert one.record.rms[1] <= 1.1
    assert abs(found.tilt[1] + 0.40) < 0.05
    assert abs(found.tilt[0]) < 0.1
    assert 0.5 < found.images[1].record.misorientation < 0.7  # the independent analysis: 0.59
    assert any("cell and distance are one" in line for line in found.images[0].record.degenerate)


def test_thaumatin_s_spots_are_not_lysozyme_s(shared):
    """One of four images; its spots of low resolution, on which lysozyme's 79 angstrom come near the diagonal of 58."""
    path = shared / "stills" / "thaumatin" / "thau_3_2_0013.cbf.bz2"
    if not path.is_file():
        pytest.skip("thaumatin's images are absent")
    found = index_images(read_images([path]), crystal_of_cell(TETRAGONAL, "P 43 21 2"))
    assert found.images[0].crystal is None
    assert found.images[0].record.failed.startswith("not indexed")


def test_a_beam_along_the_panel_is_refused():
    with pytest.raises(InputError, match="beam meets"):
        mounting_of([made.flat_detector()], Beam(np.array([1.0, 0, 0]), 1.0))


def test_a_large_cell_is_not_indexed_by_a_lattice_that_is_turned_a_little():
    """Reflections 3.3e-3 apart: errors of excitation of 6e-3 would explain spots of a lattice 3.6 degrees off."""
    cell = np.array([300.0, 300.0, 300.0, 90.0, 90.0, 90.0])
    panel = made.flat_detector(distance=350.0, size=2400)
    spots, axes, beam, panel = made.still(cell, 105, count=500, resolution=4.0, width=5e-4, panel=panel)
    found = index_one(spots, beam, panel, cell, "P 23").images[0]
    assert found.crystal is not None
    truth = Crystal(axes, found.crystal.space_group)
    assert made.turn_between(axes, alike(found.crystal, truth).axes) < 0.1
