"""The network's features, training curves, training, weights, answers and scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.testing import assert_close

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.physics.scattering.shapes.registry import EMPIRICAL, FORM_FACTORS
from madpipe.saxs.network import train as training
from madpipe.saxs.network.classes import BY_NAME, CLASSES, MOST, NAMES
from madpipe.saxs.network.design import Answer, ShapeNetwork, negative_log_likelihood
from madpipe.saxs.network.evaluate import evaluate
from madpipe.saxs.network.features import POINTS, STEP, gridded, log_intensity, seen
from madpipe.saxs.network.foreign_head import ForeignHead
from madpipe.saxs.network.foreigners import cubes
from madpipe.saxs.network.generative import misfit_of_best_class, train_generative
from madpipe.saxs.network.infer import Predictor
from madpipe.saxs.network.novelty import (
    area_under_curve,
    best_temperature,
    calibrated,
    calibration_error,
    distance,
    known_share,
)
from madpipe.saxs.network.settings import SaxsEvaluateConfig, SaxsTrainConfig
from madpipe.saxs.network.simulate import Window, draw, read, smeared
from madpipe.saxs.network.table import BEGIN, FINEST, axis, simulated_table
from madpipe.saxs.network.variants import VARIANTS
from madpipe.saxs.network.weights import load_network, save_network

SMALL = SaxsTrainConfig(
    width=8,
    batch=16,
    steps=4,
    validate_every=2,
    table=64,
    validation_curves=64,
    calibration_curves=256,
    foreign_curves=64,
)
Q = np.geomspace(0.004, 0.3, 240)


@pytest.fixture(scope="module")
def tables():
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(3)
    return simulated_table(8, generator), simulated_table(4, generator)


@pytest.fixture(scope="module")
def trained(tables):
    torch.set_default_dtype(torch.float64)
    return training.train_and_keep(SMALL, torch.Generator().manual_seed(4), tables=tables)[0]


def sphere_curve(radius=60.0, level=1e3, background=0.01, noise=0.01, rng=None, q=Q):
    x = q * radius
    clean = level * (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2 + background
    sigma = noise * clean
    normal = np.zeros(len(q)) if rng is None else torch.randn(len(q), generator=rng).numpy()
    return clean + sigma * normal, sigma


def record(intensity, sigma, q=Q, **more):
    return Curves(q, intensity, sigma, 1, "\n".join(map(str, range(len(intensity)))), "test", **more)


# features


def test_log_of_intensity_is_ln_where_noise_is_small_and_finite_where_it_is_not():
    intensity, sigma = np.array([1e3, 2.0, 0.0, -5.0]), np.array([1.0, 1e-3, 2.0, 1.0])
    level, error = log_intensity(intensity, sigma)
    assert_close(level[:2], np.log(intensity[:2]), rtol=0, atol=2e-6)  # (sigma / I)^2
    assert_close(level[2], np.log(2.0))
    assert math.isfinite(level[3])
    assert_close(error[:2], sigma[:2] / intensity[:2], rtol=1e-5, atol=0)
    low, high = (log_intensity(intensity + shift * sigma, sigma)[0] for shift in (-1e-4, 1e-4))
    assert_close((high - low) / 2e-4, error, rtol=1e-5, atol=0)  # its error is the derivative times sigma


def test_the_grid_reads_a_power_law_exactly_however_q_is_sampled():
    """ln I is linear in ln q: means of bins lie on the line but for their curvature, 4 step^2 / 24."""
    for q in (Q, np.linspace(0.004, 0.3, 300), np.sort(np.concatenate([Q, Q[100:140]]))):
        intensity = q[None] ** -2
        grid = gridded(q, intensity, 0.01 * intensity)
        at = grid.first[:, None] + grid.step[:, None] * torch.arange(POINTS)
        known = grid.measured[0]
        assert_close(grid.level[0, known], -2 * at[0, known], rtol=0, atol=3e-3)
        assert known[0]
        assert at[0, known].exp().max() < 0.31


def test_a_wide_curve_gets_a_coarser_grid_and_gaps_are_not_measured():
    q = np.concatenate([np.geomspace(1e-5, 1e-3, 80), np.geomspace(1e-2, 1.0, 80)])
    intensity = q[None] ** -3
    grid = gridded(q, intensity, 0.02 * intensity)
    assert_close(float(grid.step[0]), math.log(1e5) / (POINTS - 1))
    at = np.exp(float(grid.first[0]) + float(grid.step[0]) * np.arange(POINTS))
    known = grid.measured[0].numpy()
    assert not known[(at > 1.4e-3) & (at < 7e-3)].any()
    assert known[(at < 9e-4) | (at > 1.1e-2)].all()


def test_points_without_error_or_at_q_zero_are_left_out():
    intensity, sigma = sphere_curve()
    bad = np.concatenate([[0.0], Q]), np.concatenate([[1.0], intensity])[None], np.concatenate([[1.0], sigma])[None]
    bad[2][0, 50] = np.inf
    bad[1][0, 60] = np.nan
    one, other = gridded(Q, intensity[None], sigma[None]), gridded(*bad)
    # a bin that lost one of its two points moves along the curve by less than its curvature over a step
    assert float((one.level - other.level)[one.measured].abs().max()) < 0.02
    with pytest.raises(InputError, match="at least 8 points"):
        gridded(Q[:7], intensity[None, :7], sigma[None, :7])


def test_what_is_seen_does_not_change_with_size_or_scale_unless_the_scale_is_shown():
    intensity, sigma = sphere_curve()
    curves = [
        gridded(Q / size, factor * intensity[None], factor * sigma[None], absolute=False)
        for size, factor in ((1.0, 1.0), (30.0, 1e4))
    ]
    one, other = (seen(curve) for curve in curves)
    assert_close(one.channels, other.channels, rtol=0, atol=1e-9)
    assert_close(one.scalars, other.scalars, rtol=0, atol=1e-9)
    assert_close(float(other.first - one.first), -math.log(30.0))
    assert_close(float(other.shift - one.shift), math.log(1e4))
    shown = [seen(curve._replace(absolute=torch.tensor([True]))) for curve in curves]
    assert float((shown[0].scalars - shown[1].scalars).abs().max()) > 0.1
    assert_close(seen(curves[0]._replace(absolute=torch.tensor([True])), scale=False).scalars, one.scalars)


def test_slopes_are_those_of_a_power_law_and_can_be_left_out():
    intensity = Q[None] ** -3
    grid = gridded(Q, intensity, 0.01 * intensity)
    inner = grid.measured[0].nonzero()[6:-6, 0]
    assert_close(seen(grid).channels[0, 1:3, inner], torch.full((2, len(inner)), -3 / 4), rtol=0, atol=0.03)
    assert float(seen(grid, slopes=False).channels[0, 1:3].abs().max()) == 0


# training curves


def test_classes_name_the_lengths_of_their_form_factors():
    for one in CLASSES:
        if one.model in FORM_FACTORS:
            assert one.lengths == tuple(spec.name for spec in FORM_FACTORS[one.model].lengths)
        else:
            assert {*one.lengths, *one.numbers} == {spec.name for spec in EMPIRICAL[one.model].parameters}
    assert max(len(one.parameters) for one in CLASSES) == MOST


def test_a_table_holds_every_class_and_curves_of_volume_times_contrast_squared(tables):
    own = tables[0]
    assert own.label.bincount().tolist() == [8] * len(NAMES)
    assert bool(torch.isfinite(own.level).all())
    sphere = own.label == NAMES.index("sphere")
    # at the least q: <V^2> / <V> of unit spheres, 4 pi / 3 for no spread and more for any
    assert float(own.level[sphere, 0].min()) > math.log(4 / 3 * math.pi) - 1e-3
    vesicle = own.label == NAMES.index("vesicle")
    core, shell = own.parameters[vesicle, :2].exp().T
    material = 4 / 3 * math.pi * ((core + shell) ** 3 - core**3)
    assert bool((own.level[vesicle, 0] > torch.log(material) - 0.01).all())


@pytest.mark.parametrize("name", ["coil", "fractal"])
def test_curves_without_a_spread_are_the_empirical_laws(tables, name):
    """But for the particle's volume; float32's rounding is of terms that cancel to a thousandth."""
    shape, own = BY_NAME[name], tables[0]
    rows = own.label == NAMES.index(name)
    values = own.parameters[rows].double().exp()
    columns = dict(zip((*shape.lengths, *shape.numbers), values.T, strict=False))
    law = EMPIRICAL[shape.model]
    numbers = torch.stack([columns[spec.name] for spec in law.parameters], dim=1)
    volume = 4 / 3 * math.pi * columns["radius"] ** 3 if "radius" in columns else torch.ones(len(values))
    expected = torch.log(law.intensity(axis().double(), numbers) * volume[:, None])
    off = (own.level[rows].double() - expected).abs()
    assert float(off.quantile(0.98)) < 2e-3  # zeros of the sphere's amplitude are left out


def test_a_window_reads_the_table_and_goes_on_by_porod_s_law():
    level = -2 * torch.log(axis())[None]
    place = torch.tensor([[BEGIN - 1, BEGIN + 0.5 * FINEST, 2.0]]).float()
    assert_close(read(level, place), -2 * place, rtol=0, atol=1e-4)
    last = BEGIN + FINEST * (len(axis()) - 1)
    beyond = read(level, torch.tensor([[last + 1.0]]).float())
    assert_close(float(beyond), -2 * last - 4, rtol=0, atol=0.02)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_smearing_of_a_power_law(share, rng):
    """A pinhole of relative width w changes q^-2 by 3 w^2; a slit by arctan(L/q) q/L."""
    count = 60
    level = (-2 * torch.log(axis()) + 0.0)[None].expand(count, -1)
    first = torch.full((count,), -3.0)
    window = Window(first.float(), torch.full((count,), STEP).float(), torch.full((count,), 180))
    found, width, slit = smeared(level, window, share, rng)
    place = -3.0 + STEP * torch.arange(POINTS)
    plain = (slit.amax(1) == 0) & (width.amax(1) < 0.05)
    gain = found[plain].double() + 2 * place
    expected = torch.log1p(3 * width[plain].double() ** 2)
    inner = slice(15, 150)
    assert_close(gain[:, inner], expected[:, inner], rtol=0, atol=6e-3 if share else 1e-4)
    if share:
        long = slit[:, 40] > 3
        ratio = slit[long].double()
        # (1/L) int_0^L du / (q^2 + u^2) = arctan(L/q) / (L q)
        law = torch.log(torch.atan(ratio) / ratio)
        assert bool(long.any())
        assert_close((found[long].double() + 2 * place)[:, inner], law[:, inner], rtol=0, atol=0.02)


def test_examples_know_their_parameters(tables):
    """A hidden scale, no noise to speak of: the level of a coil's Guinier region tells its scale."""
    config = SMALL.model_copy(update={"noise": (1e-4, 1.1e-4), "smeared": 0.0, "structure": 0.0, "parasitic": 0.0})
    own = tables[0]
    coil = NAMES.index("coil")
    coils = type(own)(*(one[own.label == coil] for one in own))
    example = draw(coils, config, 64, torch.Generator().manual_seed(5))
    rg = torch.exp(example.truth[:, 0])  # times the first q
    scale = example.truth[:, 1]
    square = rg.double() ** 2
    debye = 2 * (torch.expm1(-square) + square) / square**2
    level = example.curves.level[:, 0].double() - example.seen.shift
    near = example.truth[:, 0] < -0.5  # the background counts little there
    expected = scale.double() + 3 * example.truth[:, 0].double() + torch.log(debye) - 3 * example.truth[:, 0]
    expected = expected + 3 * example.truth[:, 0].double()
    assert bool(near.any())
    assert float((level - expected)[near].abs().max()) < 0.1  # the background is less than exp(-2.5)


# design


def gaussian_answer(mean, root, shares):
    return Answer(torch.zeros(1, 11), shares, mean, root, torch.zeros(1, 2))


def test_likelihood_is_that_of_a_mixture_of_gaussians(rng):
    """Beside torch's own distributions."""
    mean = torch.randn(1, 11, 2, MOST, generator=rng)
    root = torch.tril(0.2 * torch.randn(1, 11, 2, MOST, MOST, generator=rng)) + 1.3 * torch.eye(MOST)
    shares = torch.log_softmax(torch.randn(1, 11, 2, generator=rng), -1)
    label = torch.tensor([NAMES.index("core_shell_disk")])
    truth = torch.randn(1, MOST, generator=rng)
    found = negative_log_likelihood(gaussian_answer(mean, root, shares), label, truth)
    here = (0, int(label))
    each = torch.distributions.MultivariateNormal(
        mean[here], precision_matrix=root[here] @ root[here].transpose(-1, -2)
    ).log_prob(truth)
    expected = -torch.logsumexp(shares[here] + each, 0) - MOST / 2 * math.log(2 * math.pi)
    assert_close(found[0] * len(BY_NAME["core_shell_disk"].parameters), expected)


def test_parameters_that_a_class_does_not_have_neither_count_nor_move():
    network = ShapeNetwork(8, 1, torch.Generator().manual_seed(1)).float()
    intensity, sigma = sphere_curve()
    prepared = seen(gridded(Q, intensity[None], sigma[None]))
    with torch.no_grad():
        answer = network(type(prepared)(*(one.float() for one in prepared)))
    sphere = NAMES.index("sphere")
    assert float(answer.mean[0, sphere, :, 3:].abs().max()) == 0
    assert_close(answer.root[0, sphere, :, 3:, 3:], torch.eye(3).float().expand(2, 3, 3))
    assert float(answer.root[0, sphere, :, 3:, :3].abs().max()) == 0


# calibration and foreigners


def test_a_head_tells_foreign_curves_that_differ_in_one_feature(rng):
    """On features made by hand: the head itself, without a network."""
    head = ForeignHead(5, rng)
    told = torch.randn(400, 5 + len(NAMES), generator=rng).float()
    with torch.no_grad():
        assert head(told).shape == (400,)
        shifted = head(told * 1)
        assert_close(shifted, head(told), rtol=0, atol=0)
        head.centre.fill_(1.0)
        assert not torch.equal(shifted, head(told))


def test_cubes_scatter_as_the_form_factor_s_cubes_do(rng):
    """Without noise to speak of, their level falls more steeply than q^-2.8 somewhere: a closed surface."""
    config = SMALL.model_copy(update={"noise": (1e-4, 1.1e-4), "smeared": 0.0, "parasitic": 0.0})
    example = cubes(simulated_table(1, rng), 16, config, rng)
    assert bool(torch.isfinite(example.curves.level).all())
    slopes = example.seen.channels[:, 2]
    assert float(slopes.min()) < -0.7  # somewhere steeper than q^-2.8: a closed surface


def test_temperature_undoes_a_known_one(rng):
    logits = 3 * torch.randn(4000, 5, generator=rng)
    label = torch.multinomial(logits.softmax(1), 1, generator=rng)[:, 0]
    assert abs(math.log(float(best_temperature(logits * 2.5, label)) / 2.5)) < 0.1


def test_calibration_error_of_honest_and_of_bold_probabilities(rng):
    logits = 2 * torch.randn(20000, 4, generator=rng)
    label = torch.multinomial(logits.softmax(1), 1, generator=rng)[:, 0]
    assert calibration_error(logits.softmax(1), label) < 0.015  # 15 bins of 1300: .5 / sqrt(1300)
    assert calibration_error((4 * logits).softmax(1), label) > 0.1


def test_area_under_the_curve_is_the_share_of_pairs(rng):
    foreign, known = torch.randn(50, generator=rng) + 1, torch.randn(70, generator=rng)
    pairs = (foreign[:, None] > known).double().mean()
    assert_close(area_under_curve(foreign, known), float(pairs))
    assert area_under_curve(torch.ones(5), torch.ones(5)) == 0.5


def test_foreign_features_are_far_and_known_ones_evenly_placed(rng):
    centres = 5 * torch.randn(3, 60, generator=rng)
    label = torch.arange(6000) % 3
    features = centres[label] + torch.randn(6000, 60, generator=rng)
    calibration = calibrated(features[:3000], torch.zeros(3000, 4), label[:3000], 4, torch.zeros(3000))
    known = known_share(distance(features[3000:], calibration), calibration.distances)
    assert_close(float(known.mean()), 0.5, rtol=0, atol=0.03)  # .29 / sqrt(3000) and that of the calibration
    foreign = 5 * torch.randn(200, 60, generator=rng)
    assert float(known_share(distance(foreign, calibration), calibration.distances).min()) > 0.99


# training, weights, answers


def test_a_training_is_the_same_again_and_goes_on_from_its_checkpoint(tables, tmp_path):
    first = training.train_and_keep(SMALL, torch.Generator().manual_seed(4), tables=tables)[0]
    path = tmp_path / "checkpoint"
    part = torch.Generator().manual_seed(4)
    again = training.train_and_keep(SMALL, part, tables=tables, checkpoint=path)[0]
    on = training.train_and_keep(SMALL, torch.Generator().manual_seed(4), tables=tables, checkpoint=path)[0]
    for other in (again, on):
        for name, tensor in first.state.items():
            assert_close(other.state[name], tensor, rtol=0, atol=0)


def test_weights_are_kept_with_their_calibration(trained, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_network(path, trained)
    back = load_network(path)
    assert back.config == trained.config
    for one, other in zip(back.calibration, trained.calibration, strict=True):
        assert_close(one.float(), other.float(), rtol=1e-6, atol=1e-6)
    curves = record(*(part[None] for part in sphere_curve()))
    assert Predictor(back)(curves)[0].probabilities == pytest.approx(Predictor(trained)(curves)[0].probabilities)


def test_answers_follow_a_change_of_size_and_scale(trained):
    """The network sees the same curve: lengths grow with 1/q, the scale as I q^3."""
    intensity, sigma = sphere_curve()
    hidden = {"absolute": 0}
    one = replace(record(intensity[None], sigma[None]), **hidden)
    other = replace(record(7 * intensity[None], 7 * sigma[None], Q / 10), **hidden)
    first, second = (Predictor(trained)(curves)[0] for curves in (one, other))
    assert first.probabilities == pytest.approx(second.probabilities, rel=1e-4)
    for name in NAMES:
        shift = second.of_class[name].means - first.of_class[name].means
        lengths = len(BY_NAME[name].lengths)
        assert_close(shift[:, :lengths], np.full((2, lengths), math.log(10)), rtol=0, atol=1e-4)
        assert_close(shift[:, -1], np.full(2, math.log(7 / 1000)), rtol=0, atol=1e-4)


def test_curves_are_answered_each_on_its_own(trained, rng):
    rows = [sphere_curve(radius, rng=rng) for radius in (30.0, 60.0, 120.0)]
    together = Predictor(trained)(record(np.array([one for one, _ in rows]), np.array([sigma for _, sigma in rows])))
    for (intensity, sigma), found in zip(rows, together, strict=True):
        alone = Predictor(trained)(record(intensity[None], sigma[None]))[0]
        assert alone.probabilities == pytest.approx(found.probabilities, rel=1e-4)
        assert sum(found.probabilities.values()) == pytest.approx(1)
        assert list(found.probabilities.values()) == sorted(found.probabilities.values(), reverse=True)


def test_starts_are_natural_values_the_likelier_mean_first(trained):
    guess = Predictor(trained)(record(*(part[None] for part in sphere_curve())))[0].of_class["core_shell_sphere"]
    starts = guess.starts(40, torch.Generator().manual_seed(2))
    assert len(starts) == 40
    best = guess.means[guess.shares.argmax()]
    assert starts[0]["core_radius"] == pytest.approx(math.exp(best[0]))
    assert starts[0]["contrast_ratio"] == pytest.approx(math.sinh(best[2]))
    assert set(starts[0]) == {"core_radius", "thickness", "contrast_ratio", "pd", "scale", "background"}
    assert all(one["pd"] <= 0.6 for one in starts)
    assert np.all(np.linalg.eigvalsh(guess.covariances) > 0)


def test_a_window_that_no_training_had_is_told(trained):
    narrow = np.geomspace(0.01, 0.03, 50)
    note = Predictor(trained)(record(*(part[None] for part in sphere_curve(q=narrow)), narrow))[0].note
    assert "q_max/q_min" in note
    assert Predictor(trained)(record(*(part[None] for part in sphere_curve())))[0].note == ""


def test_a_curve_that_is_too_short_is_refused_by_its_name(trained):
    intensity, sigma = sphere_curve()
    curves = record(np.stack([intensity, intensity]), np.stack([sigma, np.full_like(sigma, np.inf)]))
    with pytest.raises(InputError, match=r"^1: the network needs at least 8 points"):
        Predictor(trained)(curves)


def test_scores_of_a_network(trained, tables):
    scores = evaluate(trained, SaxsEvaluateConfig(curves=512, foreign=32), 1, tables[1])
    assert 0 <= scores.accuracy <= 1
    rows = np.array(scores.confusion)
    assert_close(rows.sum(axis=1), np.ones(len(NAMES)))
    assert_close(rows.diagonal().copy(), np.array([scores.recall[name] for name in NAMES]))
    assert set(scores.foreign) == {"cube", "mixture", "wobbled"}


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name]])
def test_each_variant_trains(name, tables):
    changes = {**VARIANTS[name]}
    for key, value in (("pretraining", 1), ("known", 20)):
        if key in changes:
            changes[key] = value
    config = SMALL.model_copy(update={**changes, "steps": 1, "validate_every": 1, "validation_curves": 16})
    found = training.train_and_keep(config, torch.Generator().manual_seed(4), tables=tables)[0]
    assert all(bool(torch.isfinite(one).all()) for one in found.state.values())


def test_an_autoencoder_scores_curves(tables):
    config = SMALL.model_copy(update={"steps": 2})
    model, _ = train_generative(tables[0], config, torch.Generator().manual_seed(1))
    scores = misfit_of_best_class(model, draw(tables[1], config, 8, torch.Generator().manual_seed(2)).curves)
    assert bool((scores > 0).all())


def test_settings_are_refused_with_reasons():
    with pytest.raises(ValidationError):
        SaxsTrainConfig(noise=(0.0, 0.1))
