"""The reflection model against closed forms, differences, autograd and Monte Carlo; its corrections one by one."""

import gemmi
import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.physics.rotations import rotation, turning
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.integrate.methods import Seen, pixel_equations, poisson_equations
from madpipe.stills.reflections import boxes as shoeboxes
from madpipe.stills.reflections import model, movement, profile
from madpipe.stills.reflections.boxes import Boxes, cut
from madpipe.stills.reflections.moments import centre, expected_variance, fitted_intensity, width
from madpipe.stills.reflections.template import template

PIXEL = 1.0e-3  # of the boxes here in reciprocal space [1/angstrom]
BEAM = Beam(np.array([0.0, 0.0, 1.0]), 1.0, 0.0, 0.9, np.array([1.0, 0.0, 0.0]))


def panel(tilt=0.0, size=1000):
    turn = rotation(np.array([0.0, np.radians(tilt), 0.0]))
    fast, slow = turn @ np.array([-1.0, 0, 0]), turn @ np.array([0.0, -1, 0])
    middle = np.array([0.0, 0.0, 170.0])
    return Panel(middle - (fast + slow) * size * 0.086, fast, slow, (0.172, 0.172), (size, size))


def crystal(seed=1):
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    return Crystal(np.diag([79.6, 77.2, 38.7]) @ (turn * np.sign(np.linalg.det(turn))), "P 21 21 21")


def spots(count, photons, background, generator=None, width_pixels=1.5, half=6, place=(0.0, 0.0)):
    """Boxes of equal spots, their profile and places; without a generator the counts are the expected ones."""
    xy = np.tile(np.array([half + 0.5, half + 0.5]) + place, (count, 1))
    metric = np.tile(np.eye(2) * PIXEL**2, (count, 1, 1))
    middles = np.tile(np.arange(2 * half + 1) + 0.5, (count, 1))
    shape = template(middles - xy[:, :1], middles - xy[:, 1:], metric, np.full(count, width_pixels * PIXEL))
    expected = background + photons * shape.value
    counts = expected if generator is None else generator.poisson(expected).astype(float)
    box = Boxes(
        np.zeros((count, 2), dtype=int), counts, np.ones(counts.shape, dtype=bool), np.full(count, float(background)),
        np.zeros(count, dtype=np.uint8),
    )  # fmt: skip
    return box, shape, xy, metric


def relative_error(number):
    """Of a standard deviation found from so many draws, times four."""
    return 4 / np.sqrt(2 * number)


# --- model


def test_excitation_is_the_distance_from_the_sphere_and_follows_the_wavelength_as_half_q_squared():
    q = crystal().reciprocal @ np.array([7, -3, 2])
    exact = np.linalg.norm(BEAM.s0 + q) - 1.0
    assert abs(model.excitation_error(q[None], BEAM.s0)[0] - exact) < 1e-14
    on_sphere = q - exact * (BEAM.s0 + q) / np.linalg.norm(BEAM.s0 + q)
    step = 1e-5
    moved = [model.excitation_error(on_sphere[None], np.array([0, 0, 1 / (1 + sign * step)]))[0] for sign in (1, -1)]
    assert (moved[0] - moved[1]) / 2 / step == pytest.approx(on_sphere @ on_sphere / 2, rel=1e-6)


def test_bandwidth_widens_the_partiality_as_a_mean_over_wavelengths_does():
    generator = np.random.default_rng(5)
    radius, bandwidth, inverse_d2 = 1e-3, 2e-2, 0.09
    wavelengths = 1 + bandwidth * generator.normal(size=400_000)
    total = model.squared_radius(radius, bandwidth, 1.0, np.array([inverse_d2]))
    means = []
    for excitation in (0.0, 1.5e-3):
        shifted = excitation + (wavelengths - 1) * inverse_d2 / 2
        means.append(np.exp(-(shifted**2) / radius**2).mean())
    expected = model.partiality(np.array([1.5e-3]), total)[0]
    assert means[1] / means[0] == pytest.approx(expected, abs=4 * 0.6 / np.sqrt(400_000) / means[0])


def test_polarisation_is_that_of_the_azimuth_from_the_electric_field():
    direction = np.random.default_rng(2).normal(size=(50, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    cos2, azimuth = direction[:, 2] ** 2, np.arctan2(direction[:, 1], direction[:, 0])
    expected = (1 + cos2 - 0.9 * np.cos(2 * azimuth) * (1 - cos2)) / 2
    np.testing.assert_allclose(model.polarisation(direction, BEAM), expected, atol=1e-14)
    plain = Beam(BEAM.direction, 1.0)
    np.testing.assert_allclose(model.polarisation(direction, plain), (1 + cos2) / 2, atol=1e-15)


def test_indices_are_those_that_gemmi_lists():
    found = model.indices_within(crystal(), 6.0)
    cell = gemmi.UnitCell(*crystal().cell)
    unique = gemmi.make_miller_array(cell, gemmi.SpaceGroup("P 21 21 21"), 6.0, 1e3, unique=False)
    assert {tuple(one) for one in found.tolist()} == {tuple(one) for one in unique.tolist()}
    with pytest.raises(InputError, match="has more; check cell"):
        model.indices_within(crystal(), 0.1)


def test_the_metric_gives_the_tangential_distance():
    """To the next term, about n pixels / distance = 3 x 0.172 / 170 of it."""
    board, at = panel(tilt=20.0), np.array([[720.3, 300.8]])
    offset = np.array([[2.0, -3.0]])
    rays = [board.position(one)[0] for one in (at, at + offset)]
    u, n = (ray / np.linalg.norm(ray) for ray in rays)
    exact = 1 - (u @ n) ** 2
    found = offset[0] @ model.pixel_metric(BEAM, board, at)[0] @ offset[0]
    assert found == pytest.approx(exact, rel=2 * 3.6 * 0.172 / 170)


def test_predicted_spots_lie_where_their_rays_go_on_the_panel_that_they_meet():
    board = panel()
    halves = [
        Panel(board.origin, board.fast, board.slow, board.pixel, (1000, 490)),
        Panel(board.origin + board.fast * 510 * 0.172, board.fast, board.slow, board.pixel, (1000, 490)),
    ]
    hkl = model.indices_within(crystal(), 2.5)
    whole, parts = (model.predicted(BEAM, some, crystal(), hkl, 1e-3) for some in ([board], halves))
    rays = BEAM.s0 + whole.q
    np.testing.assert_allclose(np.cross(board.position(whole.xy), rays), 0, atol=1e-9)
    outside = (whole.xy[:, 0] >= 490) & (whole.xy[:, 0] <= 510)
    assert len(parts) == len(whole) - outside.sum() > 50
    assert set(parts.panel) == {0, 1}
    assert np.abs(whole.excitation).max() < 1e-3


def test_b_is_twice_wilson_s():
    assert np.exp(-10.0 / 4 * 0.2) == pytest.approx(np.exp(-model.wilson_b(10.0) / 2 * 0.2))


# --- template


@pytest.fixture
def oblique():
    offsets = np.arange(11) - 5 + np.array([[0.3]]), np.arange(11) - 5 + np.array([[-0.2]])
    return *offsets, np.array([[[1.2, 0.3], [0.3, 0.8]]]) * PIXEL**2, np.array([1.4 * PIXEL])


def test_the_profile_is_the_integral_over_each_pixel(oblique):
    x, y, metric, size = oblique
    fine = (np.arange(40) + 0.5) / 40 - 0.5
    all_x, all_y = ((one[0][:, None] + fine).ravel() for one in (x, y))
    form = metric[0] / size[0] ** 2
    square = form[0, 0] * all_x**2 + 2 * form[0, 1] * all_x * all_y[:, None] + form[1, 1] * all_y[:, None] ** 2
    exact = np.exp(-square).reshape(11, 40, 11, 40).mean((1, 3)) * np.sqrt(np.linalg.det(form)) / np.pi
    found = template(*oblique).value[0]
    assert np.abs(found - exact).max() < 3e-4 * exact.max()
    assert found.sum() == pytest.approx(1.0, abs=1e-4)


def test_derivatives_of_the_profile_are_central_differences(oblique):
    x, y, metric, size = oblique
    shape, step = template(*oblique), 1e-4
    pairs = {
        "by_column": [template(x - sign * step, y, metric, size).value for sign in (1, -1)],
        "by_row": [template(x, y - sign * step, metric, size).value for sign in (1, -1)],
        "by_log_width": [template(x, y, metric, size * np.exp(sign * step)).value for sign in (1, -1)],
    }
    for name, (ahead, behind) in pairs.items():
        np.testing.assert_allclose(getattr(shape, name), (ahead - behind) / 2 / step, atol=1e-7 * shape.value.max())


# --- boxes


def flat_image(level=5.0, size=80, seed=0):
    return np.random.default_rng(seed).poisson(level, (size, size)).astype(float), np.ones((size, size), dtype=bool)


def test_boxes_hold_the_pixels_about_a_spot():
    image, good = flat_image()
    found = cut(image, good, np.array([[40.7, 20.2]]), half=3, core=2.0)
    np.testing.assert_array_equal(found.counts[0], image[17:24, 37:44])
    columns, rows = found.offsets(np.array([[40.7, 20.2]]))
    assert columns[0, 3] == pytest.approx(40.5 - 40.7)
    assert rows[0, 3] == pytest.approx(20.5 - 20.2)


def test_flags_say_what_is_wrong():
    image, good = flat_image()
    xy = np.array([[40.0, 40.0], [44.0, 41.0], [1.0, 60.0], [20.0, 20.0], [60.0, 20.0], [60.0, 60.0]])
    good[15:26, 15:26] = False
    image[20, 60] = 1000
    found = cut(image, good, xy, half=4, core=2.5, saturation=500.0)
    neighbour, gap = shoeboxes.NEIGHBOUR, shoeboxes.GAP
    assert list(found.flags) == [
        neighbour, neighbour, gap, gap | shoeboxes.ALL_MASKED, shoeboxes.SATURATED, 0
    ]  # fmt: skip
    assert not found.good[4, 4, 4]
    assert not found.good[0, 4 + 1, 4 + 4]  # the neighbour's middle
    assert found.good[0, 4, 4]


def test_background_knows_neither_spots_nor_outliers_nor_gaps():
    image, good = flat_image(size=200)
    xy = np.array([[100.2, 100.7], [30.0, 150.0]])
    image[97:104, 97:104] += 200
    image[88, 93] += 3000  # of no predicted spot
    good[150:, :] = False
    image[150:, :] = -1
    found = cut(image, good, xy, half=4, core=3.5).background
    pixels = np.array([31**2, 31 * 15])
    np.testing.assert_array_less(np.abs(found - 5.0), 4 * np.sqrt(5 / pixels) + 0.05)


def test_what_is_no_image_is_refused():
    image, good = flat_image()
    with pytest.raises(InputError, match="mask needs its image's shape"):
        cut(image, good[:-1], np.array([[40.0, 40.0]]), 4, 3.0)
    image[3, 3] = np.nan
    with pytest.raises(InputError, match="finite counts"):
        cut(image, good, np.array([[40.0, 40.0]]), 4, 3.0)


# --- the corrections of section 4


def test_1_the_second_moment_is_r1_squared_and_a_sixth_of_a_pixel():
    box, shape, xy, metric = spots(1, 1000.0, 0.0, half=9)
    found = width(box, shape, np.array([1000.0]), xy, metric)
    assert found.value[0] / PIXEL**2 == pytest.approx(1.5**2 + 1 / 6, rel=2e-3)
    assert found.value[0] == pytest.approx(found.expected[0], rel=1e-12)


@pytest.mark.parametrize(("photons", "background", "too_small"), [(1000, 0.0, 1.3), (1000, 5.0, 3.0), (200, 5.0, 4.5)])
def test_2_the_second_moment_s_error_is_its_scatter(photons, background, too_small):
    """Of the residual that is linear in the counts; the published M2 sqrt(2/N) is far too small."""
    count = 3000
    box, shape, xy, metric = spots(count, photons, background, np.random.default_rng(1), half=6)
    found = width(box, shape, np.full(count, float(photons)), xy, metric)
    residual = found.share * (found.value - found.expected) / found.sigma
    assert residual.std() == pytest.approx(1.0, rel=relative_error(count))
    assert abs(residual.mean()) < 4 / np.sqrt(count)
    assert found.sigma[0] / (found.expected[0] * np.sqrt(2 / photons)) > too_small or background == 0


@pytest.mark.parametrize("background", [0.0, 5.0])
def test_3_the_centroid_s_error_is_its_scatter(background):
    count, photons = 3000, 500.0
    box, shape, xy, _ = spots(count, photons, background, np.random.default_rng(2), place=(0.2, -0.3))
    found = centre(box, shape, np.full(count, photons), xy)
    residual = found.share[:, None] * found.shift / np.sqrt(np.einsum("sii->si", found.covariance))
    np.testing.assert_allclose(residual.std(axis=0), 1.0, rtol=relative_error(count))
    alone = 1.5 / np.sqrt(2 * photons)
    pixel = np.sqrt(1 + 2 / 12 / 1.5**2)
    error = np.sqrt(found.covariance[0, 0, 0])
    assert error == pytest.approx(alone * pixel, rel=0.01) if background == 0 else error > 1.5 * alone


def test_4_photons_depend_on_the_width_where_background_rules():
    """d ln J / d ln R1 at a peak of S/B .01 .1 1 10 100 1e4 times the background."""
    found = []
    for ratio in (0.01, 0.1, 1.0, 10.0, 100.0, 1e4):
        box, shape, _, metric = spots(1, 1.0, 0.0, half=9)
        photons = ratio / shape.value.max()
        box, shape, xy, metric = spots(1, photons, 1.0, half=9)
        columns, rows = box.offsets(xy)
        step = 0.01
        pair = [template(columns, rows, metric, np.array([1.5 * PIXEL * np.exp(s * step)])) for s in (1, -1)]
        fitted = [fitted_intensity(box, one, np.array([photons])).value[0] for one in pair]
        found.append(np.log(fitted[0] / fitted[1]) / 2 / step)
    np.testing.assert_allclose(found, [0.94, 0.92, 0.79, 0.45, 0.15, 0.006], atol=0.03)


def test_5_scale_and_width_are_correlated_by_weights_not_by_pixels():
    correlations = []
    for weigh in ("uniform", "poisson"):
        box, shape, xy, metric = spots(1, 1000.0, 1e-9, half=9, width_pixels=4.0)
        seen = Seen(box, shape, np.array([1000.0]), xy, metric)
        weight = np.ones(box.counts.shape) if weigh == "uniform" else 1 / np.maximum(1000 * shape.value, 1e-12)
        inverse = np.linalg.inv(pixel_equations(seen, weight).information[0][np.ix_([0, 3], [0, 3])])
        correlations.append(abs(inverse[0, 1]) / np.sqrt(inverse[0, 0] * inverse[1, 1]))
    assert correlations[0] == pytest.approx(np.sqrt(0.5), abs=0.01)
    assert correlations[1] < 0.01


def test_6_partiality_and_place_see_different_rotations():
    hkl = model.indices_within(crystal(), 1.85)
    seen = model.predicted(BEAM, [panel(size=1130)], crystal(), hkl, 1e-3)
    unit = BEAM.s0 + seen.q
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    radial, tangential = [], []
    for axis in np.eye(3):
        moved = np.cross(axis, seen.q)
        along = np.sum(moved * unit, axis=1)
        radial.append(np.sqrt(np.mean(along**2)))
        tangential.append(np.sqrt(np.mean(np.sum(moved**2, axis=1) - along**2)))
    np.testing.assert_allclose(radial[:2], 0.25, rtol=0.15)
    assert radial[2] < 1e-3 * 0.6  # off the sphere by eps_r at most
    np.testing.assert_allclose(tangential[:2], 0.076, rtol=0.3)
    assert tangential[2] == pytest.approx(0.344, rel=0.15)


def test_8_expected_weights_are_unbiased_and_counts_are_not():
    count, photons = 4000, 40.0
    box, shape, _, _ = spots(count, photons, 1.0, np.random.default_rng(4))
    fitted = fitted_intensity(box, shape, np.full(count, photons))
    assert fitted.value.mean() == pytest.approx(photons, abs=4 * fitted.sigma[0] / np.sqrt(count))
    assert fitted.value.std() == pytest.approx(fitted.sigma[0], rel=relative_error(count))
    weight = 1 / np.maximum(box.counts, 1.0)
    net = box.counts - box.background[:, None, None]
    counted = np.sum(weight * shape.value * net, axis=(1, 2)) / np.sum(weight * shape.value**2, axis=(1, 2))
    assert counted.mean() < photons - 20 * fitted.sigma[0] / np.sqrt(count)


def test_8_with_poisson_weights_photons_and_shape_are_independent_without_background():
    box, shape, xy, metric = spots(1, 300.0, 0.0, half=9, width_pixels=3.0)
    found = poisson_equations(Seen(box, shape, np.array([300.0]), xy, metric)).information[0]
    scaled = found / np.sqrt(np.outer(np.diag(found), np.diag(found)))
    assert np.abs(scaled - np.eye(4)).max() < 0.02
    assert np.all(expected_variance(box, shape, np.array([-5.0])) > 0)


# --- widths


def test_widths_by_likelihood_are_unbiased_and_sharper_than_moments():
    count, photons = 400, 60.0
    box, _, xy, metric = spots(count, photons, 5.0, np.random.default_rng(6))
    columns, rows = box.offsets(xy)
    log_width = np.log(np.full(2, 1.3 * PIXEL))  # 13 % off
    shell = np.arange(count) % 2
    for _ in range(6):
        shape = template(columns, rows, metric, np.exp(log_width)[shell])
        found = poisson_equations(Seen(box, shape, np.full(count, photons), xy, metric))
        answer = profile.updated(log_width, shell, found.slope, found.information)
        log_width = answer.log_width
    pulls = (answer.log_width - np.log(1.5 * PIXEL)) / np.sqrt(answer.variance)
    assert np.abs(pulls).max() < 4
    moment = width(box, shape, np.full(count, photons), xy, metric)
    by_moment = 0.5 * moment.sigma / moment.expected / np.sqrt(count / 2)
    assert np.sqrt(answer.variance[0]) < 0.5 * by_moment.mean()


def test_a_shell_without_photons_follows_the_others_and_none_is_wider_than_three_medians():
    slope, information = np.zeros((3, 4)), np.zeros((3, 4, 4))
    information[:, 0, 0], information[:2, 3, 3] = 1.0, 1e4
    found = profile.updated(np.log(np.array([1.0, 1.0, 5.0])), np.arange(3), slope, information)
    assert found.log_width[2] == pytest.approx(0.0, abs=1e-6)
    assert found.variance[2] == pytest.approx(0.04)
    information[2, 3, 3] = 1e6
    found = profile.updated(np.log(np.array([1.0, 1.0, 9.0])), np.arange(3), slope, information)
    assert found.log_width[2] <= np.log(3.0) + np.median(found.log_width[:2]) + 1e-9


# --- movement


def test_a_turn_s_derivative_is_a_central_difference():
    vector, step = np.array([0.2, -0.3, 0.15]), 1e-6
    columns = turning(vector)
    for axis in range(3):
        ahead, behind = (rotation(vector + sign * step * np.eye(3)[axis]) for sign in (1, -1))
        small = (ahead - behind) / 2 / step @ rotation(vector).T
        np.testing.assert_allclose(small, movement.cross_matrix(columns[:, axis]), atol=1e-9)
    np.testing.assert_allclose(rotation(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize(
    ("group", "cell", "count"),
    [
        ("P 1", (50, 60, 70, 80, 95, 100), 6),
        ("P 1 21 1", (50, 60, 70, 90, 95, 90), 4),
        ("P 21 21 21", (50, 60, 70, 90, 90, 90), 3),
        ("P 41 21 2", (58, 58, 150, 90, 90, 90), 2),
        ("P 61 2 2", (90, 90, 130, 90, 90, 120), 2),
        ("P 2 3", (80, 80, 80, 90, 90, 90), 1),
    ],
)
def test_strains_keep_the_symmetry_of_the_cell(group, cell, count):
    orthogonal = np.array(gemmi.UnitCell(*cell).orth.mat.tolist()).T
    one = Crystal(orthogonal @ rotation(np.array([0.4, 0.2, -0.9])).T, group)
    strains = movement.strains_of(one)
    assert len(strains) == count
    strained = np.linalg.inv((np.eye(3) + 0.01 * strains.sum(0)) @ one.reciprocal)
    changed = gemmi.UnitCell(*Crystal(strained).cell)
    assert changed.is_compatible_with_spacegroup(gemmi.SpaceGroup(group), 1e-3)


def torch_places(origin, fast, slow, pivot, direction, movements, rays):
    """The same in torch, from the planes' equation."""
    x, y, z = movements[3] * fast + movements[4] * slow
    zero = torch.zeros(())
    rotation = torch.matrix_exp(
        torch.stack([torch.stack([zero, -z, y]), torch.stack([z, zero, -x]), torch.stack([-y, x, zero])])
    )
    moved = pivot + rotation @ (origin - pivot) + 0.172 * (movements[0] * fast + movements[1] * slow)
    moved = moved + movements[2] * direction
    normal = rotation @ torch.linalg.cross(fast, slow)
    point = rays * ((moved @ normal) / (rays @ normal))[:, None] - moved
    return torch.stack([point @ (rotation @ fast), point @ (rotation @ slow)], 1) / 0.172


def test_places_and_their_derivatives_equal_autograd():
    board = panel(tilt=3.0)
    movements = np.array([0.7, -0.4, 0.8, 0.01, -0.02])
    rays = BEAM.s0 + model.predicted(BEAM, [board], crystal(), model.indices_within(crystal(), 4.0), 1e-3).q
    detector = movement.Detector([board], BEAM, movements)
    found = movement.places(detector, np.zeros(len(rays), dtype=int), rays)
    plain = [torch.tensor(one) for one in (board.origin, board.fast, board.slow, detector.pivot, BEAM.direction)]
    told = torch.tensor(movements), torch.tensor(rays)
    np.testing.assert_allclose(found.xy, torch_places(*plain, *told), atol=1e-9)
    by_movement, by_ray = torch.autograd.functional.jacobian(lambda *one: torch_places(*plain, *one), told)
    np.testing.assert_allclose(found.by_movement, by_movement, atol=1e-8, rtol=1e-10)
    each = np.arange(len(rays))
    np.testing.assert_allclose(found.by_ray, by_ray.numpy()[each, :, each], atol=1e-8, rtol=1e-10)
