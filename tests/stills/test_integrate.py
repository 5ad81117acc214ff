"""The fit of stills: derivatives, methods, intensities, priors; then a bench whose truth is known, end to end."""

from dataclasses import replace

import bench
import gemmi
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from madpipe.base.errors import InputError
from madpipe.physics.arrowhead import covariance, minimise
from madpipe.stills.geometry import Beam, Crystal
from madpipe.stills.integrate import intensities, passes, reference
from madpipe.stills.integrate.answer import integrated_of
from madpipe.stills.integrate.data import data_of
from madpipe.stills.integrate.degeneracy import cell_against_distance
from madpipe.stills.integrate.fit import fit_stills
from madpipe.stills.integrate.image_model import MOSAICITY, OWN, SHAPE, SHARED, TAIL, Scene, spots_at
from madpipe.stills.integrate.methods import METHODS, Equations, Seen, doubted, poisson_equations
from madpipe.stills.integrate.passes import active_part, all_terms, glance, image_terms, task_of
from madpipe.stills.integrate.prepare import prepared
from madpipe.stills.integrate.priors import beliefs_of
from madpipe.stills.integrate.recentre import recentred
from madpipe.stills.integrate.settings import METHOD_NAMES, IntegrateConfig, Prior, Priors
from madpipe.stills.reflections import movement
from madpipe.stills.reflections.domains import shapes_of
from madpipe.stills.reflections.model import indices_within, predicted
from madpipe.stills.reflections.movement import strains_of
from madpipe.stills.reflections.template import template

SMALL = bench.Case(images=4, size=460, distance=84.0, width=3.0e-3, resolution=2.3, misorient=0.03)
CONFIG = IntegrateConfig(resolution=2.3, half_box=4, core=3.5)
SHELLS = 5


@pytest.fixture(scope="module")
def small():
    return bench.make(SMALL, seed=4)


def stills_of(data, config=CONFIG, crystals=None, counts=None):
    hkl = indices_within(data.crystals[0], config.resolution)
    masks = [np.ones(image.shape, dtype=bool) for image in data.counts]
    told = crystals or data.crystals
    images = counts or data.counts
    return [
        prepared(f"image {k}", [images[k]], [masks[k]], data.beam, [data.panel], told[k], hkl, config)
        for k in range(len(images))
    ]


@pytest.fixture(scope="module")
def fitted(small):
    return fit_stills(stills_of(small), "P 21 21 21", CONFIG, small.hkl, small.reference)


def scene_of(data, strained=True):
    hkl = indices_within(data.crystals[0], 4.0)
    beam = replace(data.beam, bandwidth=2e-3)
    told = predicted(beam, [data.panel], data.crystals[0], hkl, 1.5e-3)
    strains = strains_of(data.crystals[0]) if strained else np.zeros((0, 3, 3))
    return Scene(beam, [data.panel], told, strains, shapes_of(Crystal(data.crystals[0].axes, "P 1")))


def somewhere(strains=3):
    own = np.array([0.3, 5.0, 2e-3, -1e-3, 3e-3, *[1e-3, -2e-3, 5e-4][:strains]])
    domains = 2e-3, 0.7, 0.3, -0.4, 0.2, 0.5, -0.1
    shared = [np.log(1e-3), np.log(2e-3), 0.5, -0.3, 0.4, 0.004, -0.003, *domains, *np.full(SHELLS, np.log(1.5e-3))]
    shared = np.array(shared)
    return own, shared


def round_ones():
    """Shared parameters of small round domains."""
    return np.array([np.log(1e-3), -np.inf, *np.zeros(len(SHARED) - 2), *np.full(SHELLS, np.log(SMALL.width))])


# --- derivatives


def test_derivatives_of_scale_and_place_are_central_differences(small):
    scene = scene_of(small)
    own, shared = somewhere()
    here = spots_at(scene, own, shared)
    stacked = lambda spots: np.concatenate([spots.ln_factor[:, None], spots.xy], axis=1)  # noqa: E731
    for vector, derivative, which in ((own, here.by_own, 0), (shared, here.by_shared, 1)):
        for index in range(len(vector)):
            step = 1e-6 * max(1.0, abs(vector[index]))
            pair = []
            for sign in (1, -1):
                moved = [own.copy(), shared.copy()]
                moved[which][index] += sign * step
                pair.append(stacked(spots_at(scene, *moved)))
            found = (pair[0] - pair[1]) / 2 / step
            scale = np.abs(derivative[:, :, index]).max() + 1.0
            np.testing.assert_allclose(derivative[:, :, index], found, atol=1e-6 * scale)


def test_derivatives_of_the_scale_equal_autograd(small):
    """The cloud's covariance written out."""
    scene = scene_of(small)
    own, shared = somewhere()
    q0, strains, shapes = (torch.tensor(one) for one in (scene.reflections.q, scene.strains, scene.shapes))
    s0, share = torch.tensor(scene.beam.s0), torch.tensor(scene.reflections.polarisation)

    def ln_factor(own, radius, bandwidth, mosaicity, tail, shape):
        x, y, z = own[2:5]
        zero = torch.zeros(())
        cross = torch.stack([torch.stack([zero, -z, y]), torch.stack([z, zero, -x]), torch.stack([-y, x, zero])])
        q = (q0 + q0 @ torch.einsum("k,kij->ij", own[5:], strains)) @ torch.matrix_exp(cross).T
        d2 = q.square().sum(1)
        ray = s0 + q
        excitation, unit = ray.norm(dim=1) - s0.norm(), ray / ray.norm(dim=1, keepdim=True)
        turned = d2[:, None, None] * torch.eye(3) - q[:, :, None] * q[:, None]
        size = torch.exp(2 * radius) / 2 * torch.matrix_exp(torch.einsum("k,kij->ij", shape, shapes))
        along = torch.einsum("si,sij,sj->s", unit, size + mosaicity.square() * turned, unit)
        spread = 2 * along + torch.exp(2 * bandwidth) * d2.square() / 2
        seen = -torch.log(1 + tail.square() * excitation.square() / spread) / tail.square()
        return own[0] - own[1] / 4 * d2 + seen + radius - torch.log(2 * along) / 2 + share.log()

    told = [torch.tensor(one) for one in (own, shared[0], shared[1], shared[MOSAICITY], shared[TAIL], shared[SHAPE])]
    here = spots_at(scene, own, shared)
    np.testing.assert_allclose(here.ln_factor, ln_factor(*told).numpy(), atol=1e-9)
    by_own, *by_shared = (one.numpy() for one in torch.autograd.functional.jacobian(ln_factor, tuple(told)))
    scale = np.abs(here.by_own[:, 0]).max(axis=0)
    np.testing.assert_allclose(here.by_own[:, 0] / scale, by_own / scale, atol=1e-10)
    for index, expected in zip([0, 1, MOSAICITY, TAIL, SHAPE], by_shared, strict=True):
        found = here.by_shared[:, 0, index]
        np.testing.assert_allclose(found, expected, atol=1e-10 * max(1.0, np.abs(expected).max()))


def seen_of(still, intensity, own, shared, shell):
    spots = spots_at(still.scene, own, shared)
    columns, rows = still.boxes.offsets(spots.xy)
    metric = still.scene.reflections.metric
    shape = template(columns, rows, metric, np.exp(shared[len(SHARED) + shell]))
    return Seen(still.boxes, shape, np.exp(spots.ln_factor) * intensity, spots.xy, metric)


@pytest.fixture(scope="module")
def one_image(small):
    """An image with its parameters, its reference intensities and the shells of its spots."""
    still = stills_of(small)[0]
    data = data_of([still], "P 21 21 21", CONFIG, small.hkl, small.reference)
    known = np.where(np.isfinite(data.reference), data.reference, data.expected)[data.unique.of_spot]
    shared = round_ones()
    return still, known, np.array([0.1, 1.0, 0.0, 0.0, 0.0]), shared, data.shells[0]


def test_the_joint_slope_is_the_gradient_of_the_pixels_poisson_likelihood(one_image):
    """By central differences of sum (mu - y ln mu) over the parameters, without an error of the reference."""
    still, known, own, shared, shell = one_image

    def value(own, shared):
        seen = seen_of(still, known, own, shared, shell)
        mu = seen.boxes.background[:, None, None] + seen.amount[:, None, None] * seen.profile.value
        return float(np.sum((mu - seen.boxes.counts * np.log(mu)) * seen.boxes.good))

    found = glance(still, METHODS["pixel-ml"], spots_at(still.scene, own, shared), shared, shell, known)
    task = task_of(still, found, shell, shared, known, np.zeros(len(known)))
    slope = image_terms(task, own, shared)[1]
    for which, analytic in ((0, slope.own_slope[0]), (1, slope.shared_slope)):
        indices = (
            range(len(analytic)) if which == 0 else [0, *range(2, 7), len(SHARED), len(SHARED) + 2, len(SHARED) + 4]
        )
        for index in indices:
            step = 1e-6 if which == 0 and index > 1 else 1e-5  # radian; a hundredth of it moves a spot's partiality
            pair = []
            for sign in (1, -1):
                moved = [own.copy(), shared.copy()]
                moved[which][index] += sign * step
                pair.append(value(*moved))
            assert analytic[index] == pytest.approx((pair[0] - pair[1]) / 2 / step, rel=1e-5, abs=0.05)


def test_the_reference_s_error_is_that_of_the_pixels_whole_covariance(one_image):
    still, known, own, shared, shell = one_image
    seen = seen_of(still, known, own, shared, shell)
    spot = int(np.argmax(seen.amount))
    doubt = 0.4 * seen.amount
    found = doubted(poisson_equations(seen), doubt)
    shape = seen.profile
    derivatives = [
        shape.value,
        *(seen.amount[spot] * one for one in (shape.by_column, shape.by_row, shape.by_log_width)),
    ]
    design = np.stack([(derivatives[0] if n == 0 else derivatives[n])[spot].ravel() for n in range(4)], axis=1)
    mu = seen.boxes.background[spot] + seen.amount[spot] * design[:, 0]
    good = seen.boxes.good[spot].ravel()
    inverse = np.linalg.inv((np.diag(mu) + doubt[spot] ** 2 * np.outer(design[:, 0], design[:, 0]))[np.ix_(good, good)])
    information = design[good].T @ inverse @ design[good]
    slope = design[good].T @ inverse @ (seen.boxes.counts[spot].ravel() - mu)[good]
    np.testing.assert_allclose(found.information[spot], information, rtol=1e-9, atol=1e-9 * np.abs(information).max())
    np.testing.assert_allclose(found.slope[spot], slope, rtol=1e-9, atol=1e-9 * np.abs(slope).max())


# --- methods


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_every_method_s_equations_vanish_on_expected_counts_and_are_no_less_than_zero(name, one_image):
    still, known, own, shared, shell = one_image
    seen = seen_of(still, known, own, shared, shell)
    mu = seen.boxes.background[:, None, None] + seen.amount[:, None, None] * seen.profile.value
    seen = replace(seen, boxes=replace(seen.boxes, counts=mu * seen.boxes.good))
    found = METHODS[name].equations(seen, poisson_equations(seen))
    root = np.sqrt(np.maximum(np.einsum("sii->si", found.information), 1e-300))
    assert np.abs(found.slope / root).max() < 1e-9  # in standard deviations
    np.testing.assert_allclose(found.information, found.information.transpose(0, 2, 1), rtol=1e-9, atol=1e-9)
    unit = found.information / root[:, :, None] / root[:, None, :]
    assert np.linalg.eigvalsh(unit).min() > -1e-9
    assert METHODS[name].about
    assert set(METHODS) == set(METHOD_NAMES)


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_every_method_finds_the_scales_of_bright_images(name, small):
    config = CONFIG.model_copy(update={"method": name, "passes": 4})
    found = fit_stills(stills_of(small, config), "P 21 21 21", config, small.hkl, small.reference)
    error = found.own[:, 0] - small.ln_scale
    assert error.std() < 0.2
    assert np.isfinite(found.covariance.own).all()


# --- intensities


def test_unique_reflections_are_gemmi_s_and_friedel_mates_are_told_apart():
    hkl = np.array([[1, 2, 3], [-1, -2, -3], [1, -2, 3], [2, 0, 0]])
    found = intensities.unique_of(hkl, "P 21 21 21")
    assert found.hkl.tolist() == [[1, 2, 3], [2, 0, 0]]
    assert found.of_spot.tolist() == [0, 0, 0, 1]
    assert found.plus.tolist()[:3] == [True, False, False]
    assert intensities.centric_of(found.hkl, "P 21 21 21").tolist() == [False, True]


def some_words(generator, count=30, images=4):
    number = generator.integers(0, count, count * images)
    factor, sigma = generator.uniform(0.2, 2, len(number)), generator.uniform(1, 5, len(number))
    value = factor * generator.exponential(10, count)[number] + sigma * generator.normal(size=len(number))
    return number, factor, value, sigma, count


def test_what_the_others_say_is_the_sum_without_one_s_own():
    number, factor, value, sigma, count = some_words(np.random.default_rng(1))
    told = intensities.word_of(number, factor, value, sigma, count)
    others = intensities.without(told, number, factor, value, sigma)
    for spot in (0, 7, 50):
        rest = np.arange(len(number)) != spot
        direct = intensities.word_of(number[rest], factor[rest], value[rest], sigma[rest], count)
        assert others.precision[spot] == pytest.approx(direct.precision[number[spot]], rel=1e-12, abs=1e-12)
        assert others.weighted[spot] == pytest.approx(direct.weighted[number[spot]], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("centric", [False, True])
@pytest.mark.parametrize("x", [-30.0, -3.0, 0.0, 2.0, 40.0])
@pytest.mark.parametrize("v", [0.04, 4.0, 400.0])
def test_wilson_posteriors_are_the_integrals(centric, x, v):
    if x < -6 * np.sqrt(v):
        x = -6 * np.sqrt(v)
    sigma = 10.0
    belief = intensities.wilson_belief(np.array([sigma]), np.array([centric]))
    word = intensities.Word(np.array([1 / v]), np.array([x / v]))
    mean, variance = intensities.posterior(belief, word)

    def density(f):  # over F, so that a centric one has no pole
        prior = np.exp(-(f**2) / 2 / sigma) if centric else f * np.exp(-(f**2) / sigma)
        return prior * np.exp(-((f**2 - x) ** 2 - min(x, 0) ** 2) / 2 / v)

    top = np.sqrt(max(x, 0) + 12 * np.sqrt(v) + 1)
    middle = np.sqrt(max(x - v / sigma, 0))
    moments = [
        quad(lambda f, n=n: density(f) * f ** (2 * n), 0, top, points=[middle], limit=500, epsabs=0, epsrel=1e-10)[0]
        for n in range(3)
    ]
    expected = moments[1] / moments[0]
    assert mean[0] == pytest.approx(expected, rel=2e-5)
    assert variance[0] == pytest.approx(moments[2] / moments[0] - expected**2, rel=2e-3)


def test_gaussian_posteriors_add_precisions_and_silence_leaves_the_prior():
    belief = intensities.reference_belief(np.array([10.0, 10.0]), 0.4, np.zeros(2, dtype=bool))
    mean, variance = intensities.posterior(belief, intensities.Word(np.array([1 / 16, 0]), np.array([20 / 16, 0])))
    np.testing.assert_allclose(mean, [15.0, 10.0])
    np.testing.assert_allclose(variance, [8.0, 16.0])
    wilson = intensities.wilson_belief(np.array([3.0, 3.0]), np.array([False, True]))
    mean, variance = intensities.posterior(wilson, intensities.Word(np.zeros(2), np.zeros(2)))
    np.testing.assert_allclose([mean, variance], [[3, 3], [9, 18]])


def test_tau_by_marginal_likelihood_is_the_one_drawn():
    generator = np.random.default_rng(3)
    known = generator.exponential(100, 4000)
    v = generator.uniform(20, 400, 4000)
    x = known * (1 + 0.4 * generator.normal(size=4000)) + np.sqrt(v) * generator.normal(size=4000)
    found = intensities.likely_doubt(known, intensities.Word(1 / v, x / v), 0.1)
    assert found == pytest.approx(0.4, abs=4 * 0.4 / np.sqrt(2 * 4000) * 1.5)
    assert intensities.likely_doubt(np.full(3, np.nan), intensities.Word(np.ones(3), np.ones(3)), 0.1) == 0.1


def test_the_calibration_finds_the_mean_that_goes_with_a_reference():
    """Truth of Wilson's law times log-normal noise: strong references are too strong."""
    generator = np.random.default_rng(4)
    truth = generator.exponential(1.0, 40000)
    width = np.sqrt(np.log1p(0.16))
    known = truth * np.exp(width * generator.normal(size=40000) - width**2 / 2)
    word = intensities.Word(np.full(40000, 100.0), 100 * (truth + 0.1 * generator.normal(size=40000)))
    found = reference.calibration(known, np.ones(40000), word, 0.4, True, True)
    for low, high in ((0.3, 0.5), (1.0, 1.3), (2.5, 3.5)):
        some = (known > low) & (known < high)
        ratio, doubt = found.at(np.log(known[some]))
        assert np.mean(ratio * known[some]) == pytest.approx(truth[some].mean(), rel=0.03)
        scatter = np.sqrt(np.mean((truth[some] - ratio * known[some]) ** 2))
        assert np.mean(doubt * ratio * known[some]) == pytest.approx(scatter, rel=0.1)


def test_a_common_change_of_all_scales_is_found_at_once():
    generator = np.random.default_rng(5)
    mean, d2 = generator.exponential(10, 3000), generator.uniform(0, 0.3, 3000)
    word = intensities.Word(np.ones(3000), mean * (1 + 0.02 - 0.3 * d2 / 4))
    told = (mean, 0.1 * mean**2, d2, word)
    np.testing.assert_allclose(reference.common_change(*told, np.zeros(2), np.zeros(2)), [0.02, 0.3], atol=1e-6)
    firm = np.array([1e12, 1e12])
    np.testing.assert_allclose(reference.common_change(*told, firm, firm * 0.5), [0.5, 0.5], atol=1e-6)  # priors


@pytest.mark.parametrize("drawn", [0.0, 0.3])
def test_the_model_s_error_is_the_one_drawn(drawn):
    generator = np.random.default_rng(6)
    count = 4000
    mean, factor, sigma = generator.exponential(100, count), generator.uniform(0.5, 2, count), np.full(count, 5.0)
    variance = np.full(count, 4.0)
    spread = np.sqrt(sigma**2 + factor**2 * variance + (drawn * factor * mean) ** 2)
    photons = factor * mean + spread * generator.normal(size=count)
    told = (variance, np.full(count, 0.1), factor, photons, sigma)
    assert reference.likely_model_error(mean, *told) == pytest.approx(drawn, abs=0.03)
    assert reference.likely_model_error(mean, variance, np.ones(count), factor, photons, sigma) == 0.0


# --- centroids alone


def test_centroids_alone_bring_back_a_detector_that_is_pixels_off(small):
    """Tilted by 0.5 degrees, 2 and 1.5 pixels off: beyond what a profile can find."""
    off = np.array([2.0, -1.5, 0.0, 0.0, np.radians(0.5)])
    wrong = movement.Detector([small.panel], small.beam, off).moved()[0]
    priors = Priors(orientation=Prior(sd=0.02), tilt=Prior(sd=1.0))
    config = CONFIG.model_copy(
        update={"movements": ("centre_fast", "centre_slow", "tilt_fast", "tilt_slow"), "priors": priors, "half_box": 6}
    )
    crystals = [one.turned(bench.rotation(turn)) for one, turn in zip(small.crystals, small.misset, strict=True)]
    told = replace(small, panel=wrong)
    for _ in range(2):
        found = recentred(stills_of(told, config, crystals), config)
        told = replace(told, panel=found.panels[0])
        crystals = [found.crystal(k, one) for k, one in enumerate(crystals)]
    corners = np.array([[0.0, 0.0], [460.0, 0.0], [230.0, 230.0], [0.0, 460.0]])
    rays = small.true_panel.position(corners)
    assert np.abs(told.panel.hit(rays) - corners).max() < 0.15
    assert np.abs(wrong.hit(rays) - corners).max() > 2.0
    assert found.residual < 0.3


def test_an_image_without_bright_spots_has_no_centroids(small):
    dark = [np.full(image.shape, 5.0) for image in small.counts]
    with pytest.raises(InputError, match="10 bright spots that stand alone; 0 do"):
        recentred(stills_of(small, counts=dark), CONFIG)


# --- priors


def silent_tasks(small, config, count=3):
    """Images whose pixels say nothing: the equations are zero."""
    tasks = []
    for still in stills_of(small, config)[:count]:
        own, shared = np.zeros(len(OWN) + len(still.scene.strains)), somewhere()[1]
        shell = np.zeros(len(still.boxes), dtype=int)
        found = glance(still, METHODS["joint"], spots_at(still.scene, own, shared), shared, shell, np.ones(len(shell)))
        task = task_of(still, found, shell, shared, np.ones(len(shell)), np.zeros(len(shell)))
        nothing = Equations(np.zeros_like(task.equations.slope), np.zeros_like(task.equations.information))
        tasks.append(replace(task, equations=nothing))
    return tasks


OF_IMAGES = {"ln_scale": (0, 1.0), "b_factor": (1, 1.0), "orientation": (3, np.pi / 180), "strain": (6, 1.0)}
OF_ALL = {
    "mosaic_radius": (0, 1.0), "bandwidth": (1, 1.0), "centre": (3, 1.0), "distance": (4, 84.0),
    "tilt": (5, np.pi / 180),
    "mosaicity": (MOSAICITY, np.pi / 180), "tail": (TAIL, 1.0), "shape": (SHAPE.start + 1, 1.0),
    "ln_width": (len(SHARED) + 1, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [*OF_IMAGES, *OF_ALL])
def test_without_data_the_answer_is_the_prior(name, small):
    prior = Prior(value=2e-3 if name in ("mosaic_radius", "bandwidth") else 0.02, sd=4e-4)
    priors = Priors(**{name: prior})
    config = CONFIG.model_copy(update={"priors": priors, "fit_strain": True})
    tasks = silent_tasks(small, config)
    start = np.zeros((3, len(OWN) + 3)), somewhere()[1]
    monitors = np.array([0.0, 0.5, 1.0])
    beliefs = beliefs_of(config, monitors, 3, 84.0, np.zeros(SHELLS))
    found = minimise(lambda own, shared: all_terms(tasks, beliefs, own, shared), *start, least_gain=1e-12)
    errors = covariance(found.normal)
    if name in OF_IMAGES:
        index, unit = OF_IMAGES[name]
        expected = prior.value * unit + (monitors if name == "ln_scale" else 0)
        np.testing.assert_allclose(found.own[:, index], expected, atol=1e-6)
        np.testing.assert_allclose(np.sqrt(errors.own[:, index, index]), prior.sd * unit, rtol=1e-6)
    else:
        index, unit = OF_ALL[name]
        logarithm = name in ("mosaic_radius", "bandwidth")
        value = np.exp(found.shared[index]) if logarithm else found.shared[index]
        spread = np.sqrt(errors.shared[index, index]) * (value if logarithm else 1)
        assert value == pytest.approx(prior.value * unit, rel=1e-4)
        assert spread == pytest.approx(prior.sd * unit, rel=1e-4)


@pytest.mark.parametrize("name", ["ln_scale", "tilt"])
def test_a_prior_that_is_off_says_nothing(name, small):
    priors = Priors(**{name: Prior(used=False, value=0.02, sd=4e-4)})
    config = CONFIG.model_copy(update={"priors": priors})
    beliefs = beliefs_of(config, np.zeros(3), 0, 84.0, np.zeros(SHELLS))
    own, shared = np.zeros((3, len(OWN))), somewhere()[1]
    normal = all_terms(silent_tasks(small, config), beliefs, own, shared)[1]
    precision = normal.own[0, 0, 0] if name == "ln_scale" else normal.shared[5, 5]
    assert precision < 1e-9


# --- end to end


def test_scales_orientations_and_widths_are_those_of_the_bench(small, fitted):
    errors = np.sqrt(np.einsum("kii->ki", fitted.covariance.own))
    apart = fitted.own[:, :2] - np.stack([small.ln_scale, small.b_factor], axis=1)
    pulls = (apart - apart.mean(axis=0)) / errors[:, :2]
    turns = (fitted.own[:, 2:5] - small.misset) / errors[:, 2:5]
    assert fitted.settled
    assert np.abs(pulls).max() < 4
    assert np.abs(turns).max() < 4
    assert 0.5 < np.sqrt(np.mean(turns**2)) < 1.5
    assert np.sqrt(np.mean((fitted.own[:, 2:5] - small.misset) ** 2)) < 0.15 * np.sqrt(np.mean(small.misset**2))
    widths = (fitted.widths.log_width - np.log(SMALL.width)) / np.sqrt(fitted.widths.variance)
    # this set's R0 is 4.0 errors off, in eight others it is off by 1.0 rms: the errors are right, this draw is rare
    assert np.abs(widths).max() < 4.5
    assert abs(fitted.shared[0] - np.log(SMALL.mosaicity)) < 4.5 * np.sqrt(fitted.covariance.shared[0, 0])


def truth_of(small, fitted):
    place = {tuple(one): n for n, one in enumerate(small.hkl.tolist())}
    return small.truth[[place[tuple(abs(i) for i in one)] for one in fitted.data.unique.hkl.tolist()]]


def test_posterior_intensities_are_nearer_the_truth_than_the_reference_and_know_how_near(small, fitted):
    truth = truth_of(small, fitted)
    mean, sd = fitted.intensities
    scale = np.sum(mean * truth / sd**2) / np.sum(mean**2 / sd**2)
    measured = fitted.word.precision > 0
    pulls = ((scale * mean - truth) / sd / scale)[measured]
    assert 0.85 < pulls.std() < 1.15
    relative = lambda value: np.mean(np.abs(value - truth) / fitted.data.expected)  # noqa: E731
    assert relative(scale * mean) < 0.6 * relative(fitted.data.reference)


def test_7_the_reference_s_error_in_the_weights_halves_the_scatter_of_the_scales(small, fitted):
    config = CONFIG.model_copy(update={"method": "pixel-ml"})
    plain = fit_stills(stills_of(small, config), "P 21 21 21", config, small.hkl, small.reference)
    scatter = [(one.own[:, 0] - small.ln_scale).std() for one in (fitted, plain)]
    assert scatter[0] < 0.6 * scatter[1]


def test_the_fit_ends_in_the_same_place_when_start_and_last_bits_change(small, fitted):
    generator = np.random.default_rng(9)
    crystals = [one.turned(bench.rotation(np.radians(0.01) * generator.normal(size=3))) for one in small.crystals]
    counts = [image * (1 + 1e-12 * generator.normal(size=image.shape)) for image in small.counts]
    again = fit_stills(stills_of(small, CONFIG, crystals, counts), "P 21 21 21", CONFIG, small.hkl, small.reference)
    errors = np.sqrt(np.einsum("kii->ki", fitted.covariance.own))
    assert (np.abs(again.own[:, :2] - fitted.own[:, :2]) / errors[:, :2]).max() < 0.5  # other spots at the least p
    ends = [integrated_of(fitted, small.crystals), integrated_of(again, crystals)]
    apart = np.abs(ends[0].images.axes - ends[1].images.axes).max()
    assert apart < 0.5 * np.radians(ends[0].images.turn_errors.max()) * 80


def test_an_image_without_a_reference_has_wilson_s_prior(small):
    found = fit_stills(stills_of(small), "P 21 21 21", CONFIG)
    assert found.belief.wilson
    apart = found.own[:, 0] - small.ln_scale
    assert (apart - apart.mean()).std() < 0.15
    flat = truth_of(small, found) * np.exp(15 / 2 * found.data.inverse_d2)  # the images' B takes the fall
    mean, _ = found.intensities
    assert np.corrcoef(mean, flat)[0, 1] > 0.9


def test_the_geometry_that_all_images_share_is_found(small):
    """The told beam is 1 and 0.7 pixels off, the detector turned by 0.3 degrees."""
    off = bench.detector(replace(SMALL, centre_error=(1.0, -0.7)), False)
    config = CONFIG.model_copy(update={"movements": ("centre_fast", "centre_slow")})
    moved = replace(small, panel=off)
    found = fit_stills(stills_of(moved, config), "P 21 21 21", config, small.hkl, small.reference)
    np.testing.assert_allclose(found.shared[2:4], [-1.0, 0.7], atol=0.05)
    spread = np.sqrt(np.diag(found.covariance.shared))[1:3]
    assert (np.abs(found.shared[2:4] - [-1.0, 0.7]) / spread < 4).all()


@pytest.mark.filterwarnings("default::madpipe.base.warned.DataWarning")
def test_distance_and_cell_are_one_scale_and_the_cell_s_prior_parts_them(small):
    far = bench.detector(replace(SMALL, distance_error=0.005), False)
    moved = replace(small, panel=far)
    strain = {"free": Prior(sd=0.05), "held": Prior(sd=1e-5)}
    answers = {}
    for name, prior in strain.items():
        priors = Priors(strain=prior, distance=Prior(sd=0.05))
        config = CONFIG.model_copy(update={"movements": ("distance",), "fit_strain": True, "priors": priors})
        found = fit_stills(stills_of(moved, config), "P 21 21 21", config, small.hkl, small.reference)
        answers[name] = found.shared[4], cell_against_distance(found)
    assert answers["held"][0] == pytest.approx(-0.005 * SMALL.distance, abs=5e-4 * SMALL.distance)
    assert abs(answers["free"][1]) > 0.95  # partialities know the cell too
    assert abs(answers["held"][1]) < 0.9


def test_the_correlation_of_cell_and_distance_is_that_of_the_dense_covariance(small):
    priors = Priors(strain=Prior(sd=0.01), distance=Prior(sd=0.05))
    config = CONFIG.model_copy(update={"movements": ("distance",), "fit_strain": True, "priors": priors, "passes": 1})
    found = fit_stills(stills_of(small, config), "P 21 21 21", config, small.hkl, small.reference)
    known, images, count = found.covariance, *found.covariance.own.shape[:2]
    weight = np.zeros(images * count)
    for k, still in enumerate(found.data.stills):
        weight[k * count + 5 : (k + 1) * count] = np.trace(still.scene.strains, axis1=1, axis2=2) / 3 / images
    mixed, shared = known.mixed.reshape(-1, known.shared.shape[0]), known.shared
    whole = mixed @ np.linalg.inv(shared) @ mixed.T
    for k in range(images):
        block = slice(k * count, (k + 1) * count)
        whole[block, block] = known.own[k]
    place = int(found.shared_active[: SHARED.index("distance")].sum())
    expected = weight @ mixed[:, place] / np.sqrt(weight @ whole @ weight * shared[place, place])
    assert cell_against_distance(found) == pytest.approx(expected, rel=1e-9)


# --- what is refused, and what is kept


def test_bad_input_is_refused_in_a_line(small):
    hkl = indices_within(small.crystals[0], 2.3)
    image, mask = small.counts[0], np.ones(small.counts[0].shape, dtype=bool)
    told = (small.beam, [small.panel], small.crystals[0], hkl, CONFIG)
    with pytest.raises(InputError, match="20 spots that can be measured; 0 of"):
        prepared("dark", [image], [~mask], *told)
    flat = CONFIG.model_copy(update={"priors": Priors(mosaic_radius=Prior(value=0.0, sd=1e-4))})
    with pytest.raises(InputError, match="R0 needs to be above 0"):
        prepared("flat", [image], [mask], *told[:-1], flat)
    with pytest.raises(InputError, match="need images of that size"):
        prepared("short", [image[:-1]], [mask[:-1]], *told)
    with pytest.raises(InputError, match="at least one image"):
        fit_stills([], "P 21 21 21", CONFIG)
    with pytest.raises(InputError, match="reflections in common"):
        fit_stills(stills_of(small)[:1], "P 21 21 21", CONFIG, np.array([[1, 2, 3]]), np.array([1.0]))


def test_schur_s_fit_equals_the_dense_one(small):
    """The arrowhead of real images, solved whole."""
    stills = stills_of(small)[:3]
    data = data_of(stills, "P 21 21 21", CONFIG, small.hkl, small.reference)
    shared = round_ones()
    own = np.zeros((3, len(OWN)))
    tasks = []
    for k, still in enumerate(stills):
        known = np.where(np.isfinite(data.reference), data.reference, data.expected)[
            data.unique.of_spot[data.pieces[k]]
        ]
        found = glance(still, METHODS["joint"], spots_at(still.scene, own[k], shared), shared, data.shells[k], known)
        tasks.append(task_of(still, found, data.shells[k], shared, known, (0.4 * known) ** 2))
    beliefs = beliefs_of(CONFIG, np.zeros(3), 0, 84.0, np.full(SHELLS, np.log(SMALL.width)))
    some = np.array([True, False, *[True] * 5, *[False] * (len(SHARED) - 7), *[True] * SHELLS])
    normal = active_part(all_terms(tasks, beliefs, own, shared)[1], np.ones(5, dtype=bool), some)
    whole = np.zeros((15 + some.sum(),) * 2)
    for k in range(3):
        place = slice(5 * k, 5 * k + 5)
        whole[place, place], whole[place, 15:], whole[15:, place] = normal.own[k], normal.mixed[k], normal.mixed[k].T
    whole[15:, 15:] = normal.shared
    root = np.sqrt(np.diag(whole))
    unit = whole / np.outer(root, root)
    expected = -np.linalg.solve(unit, np.concatenate([normal.own_slope.ravel(), normal.shared_slope]) / root) / root
    found_own, found_shared = passes.solve(normal)
    tolerance = 100 * np.linalg.cond(unit) * np.finfo(float).eps * np.abs(expected * root).max()
    np.testing.assert_allclose(
        np.concatenate([found_own.ravel(), found_shared]) * root, expected * root, atol=tolerance
    )


def test_records_know_wilson_s_b_and_the_crystals_as_turned(small, fitted):
    record = integrated_of(fitted, small.crystals)
    np.testing.assert_allclose(record.images.wilson_b, fitted.own[:, 1] / 2)
    np.testing.assert_allclose(
        record.images.axes[0], small.crystals[0].turned(bench.rotation(fitted.own[0, 2:5])).axes, atol=1e-9
    )
    assert set(record.images.verdicts.split("\n")) <= {"good", "odd: its scale is far from the others'"}
    assert record.space_group == "P 21 21 21"
    assert gemmi.SpaceGroup(record.space_group).number == 19
    assert isinstance(Crystal(record.images.axes[0]), Crystal)
    assert isinstance(small.beam, Beam)


def test_a_wrong_crystal_is_called_bad(small):
    wrong = [small.crystals[0].turned(bench.rotation(np.array([0.0, 0.0, 0.3]))), *small.crystals[1:]]
    found = fit_stills(stills_of(small, CONFIG, wrong), "P 21 21 21", CONFIG, small.hkl, small.reference)
    verdicts = integrated_of(found, wrong).images.verdicts.split("\n")
    assert verdicts[0].startswith("bad: photons correlate by")
    assert not any(one.startswith("bad") for one in verdicts[1:])
