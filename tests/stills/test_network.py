"""The network that finds where a fit begins: its images, answers, training and files; the learned partiality."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from madpipe.base.errors import InputError
from madpipe.base.plain import from_plain, to_plain
from madpipe.base.runtime import generator_for
from madpipe.base.shipped import shipped_weights
from madpipe.base.training import History
from madpipe.base.warned import DataWarning
from madpipe.stills.config import SimulatedStills, StillsTrainConfig
from madpipe.stills.fit.twins import lattice_rotations
from madpipe.stills.forward import image
from madpipe.stills.geometry import Beam, Crystal
from madpipe.stills.lattice import Cells, square
from madpipe.stills.measured.expt import matched, read_expt
from madpipe.stills.measured.expt_writing import write_expt
from madpipe.stills.measured.images import Images, Source
from madpipe.stills.mosaic import Domains
from madpipe.stills.network.design import Answer, StartNetwork, covariances, ln_densities, off
from madpipe.stills.network.evaluate import network_score, start_scores
from madpipe.stills.network.exposures import _POLYNOMIALS, Batch, Exposures, _ratio
from madpipe.stills.network.grid import regridded
from madpipe.stills.network.infer import Predictor, predict_images
from madpipe.stills.network.loss import Loss
from madpipe.stills.network.partiality import (
    Boxes,
    GaussianPartiality,
    LearnedPartiality,
    compared,
    learn,
    minus_ln_likelihoods,
)
from madpipe.stills.network.records import StartList
from madpipe.stills.network.train import pulls, run, train, widening
from madpipe.stills.network.turns import rotation_of_six, rotation_of_vector, vector_of_rotation
from madpipe.stills.network.weights import TrainedStartNetwork, load_network, save_network, take_weights
from madpipe.stills.reflections.model import partiality, squared_radius
from madpipe.stills.simulate.crystals import draw_stills
from madpipe.stills.simulate.demo import demo
from madpipe.stills.simulate.sample import expected_images, scaled_to
from madpipe.stills.study import STILLS

SMALL = StillsTrainConfig(batch=8, steps=2, validate_every=1, validation_images=64, width=4)
CPU = torch.device("cpu")
DEMO = {**STILLS.samples["demo"], "photons": 1e5}


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load_network(shipped_weights("stills")))


@pytest.fixture(autouse=True)
def as_in_a_job():
    """One thread, single precision where nothing else is said."""
    before = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_num_threads(before[0])
    torch.set_default_dtype(before[1])


@pytest.fixture
def dice():
    return np.random.default_rng(7)


def bright(turn, spread=0.8):
    """The demo's crystal turned by a vector [degree] from the nominal orientation, a million photons."""
    scene = demo(np.zeros(3), math.radians(spread))
    scene = replace(scene, crystal=scene.crystal.turned(Rotation.from_rotvec(np.radians(turn)).as_matrix()))
    return scaled_to(scene, 1e6, 0.0)


def answered(predictor, scene, crystal=None, cells=5.0):
    """The network's hypotheses for a scene without noise."""
    told = crystal or demo(np.zeros(3)).crystal
    return predictor(expected_images(scene)[0], scene.beam, scene.panels[0], told, np.full(3, cells))


def test_rotations_are_scipy_s(dice):
    vectors = dice.normal(size=(20, 3))
    found = rotation_of_vector(torch.from_numpy(vectors))
    # the angle's square has 1e-12 added to it, which keeps the derivative at 0 finite
    assert_close(found, torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()), rtol=0, atol=1e-11)
    assert_close(vector_of_rotation(found), torch.from_numpy(vectors), rtol=0, atol=1e-10)


def test_six_numbers_make_a_rotation_whatever_they_are(dice):
    """Its own first two columns give a rotation back."""
    six = torch.from_numpy(dice.normal(size=(20, 6)))
    found = rotation_of_six(six)
    assert_close(found @ found.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(20, 3, 3), rtol=0, atol=1e-13)
    assert_close(torch.linalg.det(found), torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-13)
    assert_close(rotation_of_six(found[..., :2].transpose(1, 2).flatten(1)), found, rtol=0, atol=1e-13)


def test_rotations_have_a_slope_where_there_is_no_turn():
    six = torch.tensor([1.0, 0, 0, 0, 1, 0], requires_grad=True)
    vector_of_rotation(rotation_of_six(six)).sum().backward()
    assert torch.isfinite(six.grad).all()
    assert six.grad.abs().max() > 0.1


@pytest.mark.parametrize("number", sorted(_POLYNOMIALS))
def test_polynomials_of_one_cosine_are_the_lattice_s_ratio(number, dice):
    offsets = torch.from_numpy(dice.uniform(-0.5, 0.5, size=(1, 3, 50)))
    right = square(
        offsets.clone(), Cells(torch.full((3,), float(number), dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    )
    numbers = _POLYNOMIALS[number]
    found = torch.stack([_ratio(offsets[:, axis] + 3, numbers) for axis in range(3)]).prod(0)
    # about 20 operations; at zeros of the ratio the error is that of the largest, N^6
    assert_close(found, right, rtol=0, atol=20 * 2.2e-16 * number**6 * number)


def test_images_of_a_training_are_those_of_the_study_s_simulator():
    source = Exposures(SMALL, CPU)
    drawn = source.crystals(2, torch.Generator().manual_seed(3))
    for number in range(2):
        turn = drawn.rotation[number].double().numpy()
        law = Domains(drawn.vectors[number].double().numpy(), drawn.weights[number].double().numpy())
        scene = replace(demo(np.zeros(3), 1.0, law), cells=drawn.cells[number].double().numpy())
        scene = replace(scene, crystal=scene.crystal.turned(turn))
        panel, shift = scene.panels[0], drawn.shift[number].double().numpy()
        panel = replace(panel, origin=panel.origin + panel.pixel[0] * (shift[0] * panel.fast + shift[1] * panel.slow))
        right = image(scene, panel).ravel() / scene.scale / 100.0**2
        found = source.expected(drawn, number).numpy()
        # solid angle is that of a detector without the shift: 3 x dx / D^2 = 3 * 4.6 * 0.07 / 100^2
        assert np.abs(found - right).max() < 1.0e-4 * right.max()


def test_domains_of_a_training_have_the_spread_that_is_its_truth():
    drawn = Exposures(SMALL, CPU).crystals(50, torch.Generator().manual_seed(5))
    mean = (drawn.weights[..., None] * drawn.vectors).sum(1)
    rms = torch.rad2deg((drawn.weights * drawn.vectors.square().sum(2)).sum(1).sqrt())
    assert_close(rms, drawn.ln_spread.exp(), rtol=1e-5, atol=0)  # single precision
    assert mean.abs().max() < 1e-7


def test_density_is_that_of_a_mixture_of_gaussians(dice):
    root = torch.from_numpy(np.tril(dice.normal(size=(1, 2, 4, 4))) + 3 * np.eye(4))
    weights = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    rotation = rotation_of_vector(torch.from_numpy(dice.normal(scale=0.1, size=(1, 2, 3))))
    answer = Answer(rotation, torch.tensor([[0.1, -0.2]], dtype=torch.float64), root, weights.log())
    truth = rotation_of_vector(torch.tensor([[0.02, -0.1, 0.05]], dtype=torch.float64))
    apart = off(answer, truth, torch.tensor([0.3], dtype=torch.float64))
    for number in range(2):
        turned = Rotation.from_matrix((truth[0] @ rotation[0, number].T).numpy()).as_rotvec(degrees=True)
        assert_close(apart[0, number, :3], torch.from_numpy(turned), rtol=0, atol=1e-8)
    normal = torch.distributions.MultivariateNormal(torch.zeros(2, 4, dtype=torch.float64), covariances(answer)[0])
    right = normal.log_prob(apart[0]) + weights[0].log() + 2 * math.log(2 * math.pi)
    assert_close(ln_densities(answer, apart)[0], right, rtol=1e-10, atol=1e-10)


class Fixed(torch.nn.Module):
    """Answers the same to everything."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, seen, told):
        return self.answer


def test_loss_is_likelihood_and_absolute_errors_of_the_hypotheses_that_the_truth_favours():
    """The second hypothesis is the truth, the first far away: no absolute error, and the density is the second's."""
    truth = rotation_of_vector(torch.tensor([[0.1, 0.2, -0.1]]))
    rotation = torch.stack([torch.eye(3)[None], truth], dim=1)
    answer = Answer(
        rotation, torch.tensor([[0.5, -0.3]]), 2 * torch.eye(4).expand(1, 2, 4, 4), torch.full((1, 2), -0.7)
    )
    batch = Batch(torch.zeros(1, 2, 64, 64), torch.zeros(1, 5), truth, torch.tensor([-0.3]))
    value, terms = Loss(3.0)(Fixed(answer), batch)
    assert float(value) == pytest.approx(0.7 - 4 * math.log(2), abs=1e-4)
    off_by = Loss(3.0)(Fixed(answer), batch._replace(ln_spread=torch.tensor([-0.2])))
    # 0.1 in units of 0.1, a quarter of the four numbers; 2 x 0.1 standard errors
    assert float(off_by[0] - value) == pytest.approx(3.0 / 4 + 0.02, abs=1e-4)
    assert float(terms["absolute"]) < 1e-4


def test_errors_are_widened_until_two_thirds_of_the_truths_lie_within():
    source, network = Exposures(SMALL, CPU), StartNetwork(SMALL, torch.Generator().manual_seed(1)).eval()
    batches = [source.draw(0, torch.Generator().manual_seed(number)) for number in range(20)]
    factors = widening(network, batches)
    network.widening.copy_(factors)
    within = torch.cat([pulls(network, one) for one in batches]).abs() < 1
    assert factors.max() > 1.5
    # the best of two hypotheses may change with the factors: a few of 160 images
    assert float(within[:, :3].float().mean()) == pytest.approx(0.683, abs=0.04)
    assert float(within[:, 3].float().mean()) == pytest.approx(0.683, abs=0.04)


def test_an_image_of_the_demo_is_read_as_it_is():
    scene = demo()
    seen = expected_images(scene)[0]
    found = regridded(seen, scene.beam, scene.panels[0], 100.0)
    assert np.array_equal(found.counts, seen)
    assert np.allclose(found.shift, 0, atol=1e-12)
    assert np.allclose(found.frame, np.eye(3))


def test_small_pixels_are_joined_and_missing_ones_filled(dice):
    scene = demo()
    panel = replace(scene.panels[0], pixel=(0.05, 0.05), shape=(128, 128))
    fine = dice.poisson(3.0, size=(128, 128)).astype(float)
    found = regridded(fine, scene.beam, panel, 100.0)
    assert np.array_equal(found.counts, fine.reshape(64, 2, 64, 2).sum((1, 3)))
    fine[10:12, 20:22], fine[0, 0] = np.nan, np.nan
    filled = regridded(fine, scene.beam, panel, 100.0).counts
    assert filled[5, 10] == 4 * np.nanmedian(fine)  # nothing was measured there
    assert filled[0, 0] == pytest.approx(np.nansum(fine[:2, :2]) * 4 / 3)


def test_the_shift_of_an_image_is_that_of_a_training_s_detector():
    """Of the beam within its pixel; whole pixels are cut off and filled up."""
    scene = demo()
    panel = scene.panels[0]
    moved = replace(panel, origin=panel.origin + panel.pixel[0] * (0.3 * panel.fast - 0.2 * panel.slow))
    assert np.allclose(regridded(np.ones((64, 64)), scene.beam, moved, 100.0).shift, [0.3, -0.2])
    moved = replace(panel, origin=panel.origin + panel.pixel[0] * 1.3 * panel.fast)
    image_ = np.arange(64.0 * 64).reshape(64, 64) / 1e3
    found = regridded(image_, scene.beam, moved, 100.0)
    assert np.allclose(found.shift, [0.3, 0.0])
    assert np.array_equal(found.counts[:, 1:], image_[:, :-1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixel": (0.08, 0.08)}, "pixels of 0.08"),
        ({"fast": np.array([0.0, math.sin(0.1), math.cos(0.1)])}, "tilt"),
    ],
)
def test_a_detector_that_the_network_does_not_know_is_refused(change, said):
    scene = demo()
    panel = replace(scene.panels[0], **change)
    if "fast" in change:
        panel = replace(scene.panels[0], slow=np.array([math.sin(0.1), -math.cos(0.1), 0.0]))
    with pytest.raises(InputError, match=said):
        regridded(np.ones((64, 64)), scene.beam, panel, 100.0)


def test_the_answer_does_not_depend_on_the_laboratory_s_axes(predictor, dice):
    """Beam, detector and crystal turned together: so is the answer, and its covariance."""
    scene = bright([5.0, -4.0, 3.0])
    turn = Rotation.from_rotvec(dice.normal(size=3)).as_matrix()
    panel = scene.panels[0]
    moved = replace(panel, origin=turn @ panel.origin, fast=turn @ panel.fast, slow=turn @ panel.slow)
    seen, told = expected_images(scene)[0], demo(np.zeros(3)).crystal
    there = predictor(seen, Beam(turn @ scene.beam.direction, 1.0), moved, told.turned(turn), np.full(3, 5.0))
    for one, other in zip(answered(predictor, scene), there, strict=True):
        # single precision of the network's rotation, 1e-6 of 100 angstrom
        assert np.abs(one.crystal.turned(turn).axes - other.crystal.axes).max() < 1e-3
        assert np.abs(turn @ one.turn - other.turn).max() < 1e-3
        assert np.allclose(turn @ one.covariance[:3, :3] @ turn.T, other.covariance[:3, :3], atol=1e-5)


def test_a_mirrored_detector_shows_the_same(predictor):
    scene = bright([5.0, -4.0, 3.0])
    panel = scene.panels[0]
    width = panel.shape[1] * panel.pixel[0]
    mirrored = replace(panel, origin=panel.origin + width * panel.fast, fast=-panel.fast)
    seen = expected_images(scene)[0]
    told = demo(np.zeros(3)).crystal
    other = predictor(seen[:, ::-1].copy(), scene.beam, mirrored, told, np.full(3, 5.0))[0]
    assert np.abs(answered(predictor, scene)[0].turn - other.turn).max() < 1e-3


def test_the_answer_keeps_the_setting_of_the_told_crystal(predictor):
    scene, told = bright([3.0, 6.0, -5.0]), demo(np.zeros(3)).crystal
    right = answered(predictor, scene)[0]
    for setting in lattice_rotations(told)[::7]:
        found = answered(predictor, scene, Crystal(setting @ told.axes))[0]
        assert np.abs(found.crystal.axes - setting @ right.crystal.axes).max() < 1e-3


@pytest.mark.parametrize(
    ("crystal", "cells", "photons", "said"),
    [
        (Crystal(np.diag([100.0, 100.0, 120.0])), 5.0, 1e5, "cubic"),
        (demo(np.zeros(3)).crystal, 12.0, 1e5, "4 to 6 cells"),
        (demo(np.zeros(3)).crystal.turned(Rotation.from_rotvec([0, 0.7, 0]).as_matrix()), 5.0, 1e5, "standing upright"),
        (demo(np.zeros(3)).crystal, 5.0, 100.0, "photons"),
    ],
)
def test_what_the_network_was_not_trained_for_is_refused(predictor, crystal, cells, photons, said):
    scene = scaled_to(demo(), photons, 0.0)
    with pytest.raises(InputError, match=said):
        answered(predictor, scene, crystal, cells)


def test_the_shipped_network_finds_orientation_and_spread(predictor):
    """60 images of 1e5 photons; measured on 400 (docs): the limits are these figures and four standard errors of 60."""
    score = network_score(predictor, 60, 1e5, 1.0, seed=5, cells=5)
    assert score.turn_rms < 1.0
    assert score.spread_rms < 0.2
    share = math.sqrt(0.683 * 0.317 / 60)  # errors of an image are not independent
    assert score.within[0] == pytest.approx(0.683, abs=4 * share)


def test_a_fit_from_the_network_s_answer_succeeds_where_one_from_afar_may_not(predictor):
    score = start_scores(predictor, [14.0], trials=3, seed=2, methods=["network"])[0]
    assert score.recovered == 3


def test_a_training_is_the_same_each_time_and_its_file_too(tmp_path):
    first, history = run(SMALL.model_dump(), seed=1, checkpoint=tmp_path / "a.ckpt", code="x")
    second, _ = run(SMALL.model_dump(), seed=1, checkpoint=None, code="x")
    assert history.validation_step == [1, 2]
    assert (first.state["widening"] != 1).all()
    assert first.state.keys() == second.state.keys()
    assert all(torch.equal(first.state[name], second.state[name]) for name in first.state)
    for name, one in (("one", first), ("other", second)):
        save_network(tmp_path / f"{name}.safetensors", one)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()
    again = load_network(tmp_path / "one.safetensors")
    assert again.config == first.config
    assert all(torch.equal(again.state[name], first.state[name]) for name in first.state)


def test_a_training_goes_down():
    config = SMALL.model_copy(update={"batch": 16, "steps": 30, "validate_every": 15})
    _, history = train(config, torch.Generator().manual_seed(1))
    assert history.validation_loss[-1] < 0.7 * history.training_loss[0]


def test_a_training_may_begin_with_the_shipped_weights_of_its_design():
    shipped = load_network(shipped_weights("stills"))
    network = StartNetwork(shipped.config, torch.Generator().manual_seed(1))
    take_weights(network, shipped)
    assert torch.equal(network.answer.weight, shipped.state["answer.weight"].float())
    assert (network.widening == 1).all()
    with pytest.raises(InputError, match="begin: fresh"):
        train(SMALL.model_copy(update={"begin": "shipped"}), torch.Generator().manual_seed(1))


def test_weights_of_another_design_are_refused(tmp_path):
    network = StartNetwork(SMALL, torch.Generator().manual_seed(1))
    trained = TrainedStartNetwork.of(network, SMALL.model_copy(update={"width": 8}), "", History())
    save_network(tmp_path / "odd.safetensors", trained)
    with pytest.raises(InputError, match="own design"):
        load_network(tmp_path / "odd.safetensors")


def test_shipped_weights_are_of_the_overlay_s_design_and_small():
    """Their last steps were another training's, which began with the overlay's."""
    config, overlay = load_network(shipped_weights("stills")).config, STILLS.overlays["weights"]["train"]
    for name in ("width", "hypotheses", "cells", "photons", "background", "farthest"):
        assert getattr(config, name) == getattr(StillsTrainConfig(**overlay), name)
    assert shipped_weights("stills").stat().st_size < 5e6


def test_images_are_answered_and_a_fit_can_begin_at_the_list_that_is_written(predictor, tmp_path):
    generator = generator_for(1, "network")
    drawn = draw_stills(SimulatedStills(**DEMO), generator)
    counts = next(drawn.counts(generator))[0]
    sources = tuple(Source(tmp_path / "images.nxs", number) for number in range(2))
    images = Images((drawn.beam,) * 2, (drawn.panel,), sources, (1.0, 1.0), lambda number: (counts,))
    with pytest.warns(DataWarning, match="1 of 2 images"):
        listed, found = predict_images(images, [drawn.told[0], None], predictor, (5.0, 5.0, 5.0))
    row, other = listed.images
    assert other.failed == "no crystal"
    assert found[1].crystal is None
    assert "1 of 2 images" in listed.warnings
    apart = Rotation.from_matrix((np.linalg.inv(drawn.told[0].axes) @ drawn.truth.axes[0]).T)
    # four standard errors, and half a degree for what is not Gaussian
    assert np.all(np.abs(row.turn - apart.as_rotvec(degrees=True)) < 4 * np.array(row.turn_errors) + 0.5)
    write_expt(tmp_path / "start.expt", found)
    again = matched(images, read_expt(tmp_path / "start.expt"))[1]
    assert np.allclose(again[0].axes, found[0].crystal.axes, atol=1e-6)
    assert from_plain(StartList, to_plain(listed)) == listed


def boxes_of_law(law, generator, images=16, spots=150):
    """Spots with Gaussian profiles, whose partiality is exp(-law(u)), R = 1e-3: written apart from the study's."""
    count = images * spots
    excitation = 2e-3 * (2 * generator.random(count) - 1)
    inverse_d2 = generator.uniform(0.01, 0.25, count)
    image_ = np.repeat(np.arange(images), spots)
    ln_known = generator.normal(size=count) * 0.7
    ln_scale, b_factor = 6 + 0.3 * generator.normal(size=images), 5 * generator.normal(size=images)
    p = np.exp(-law((excitation / 1e-3) ** 2))
    amount = np.exp(ln_scale[image_] - b_factor[image_] * inverse_d2 / 4 + ln_known) * p
    x = np.arange(5) - 2.0
    profile = np.exp(-(x[:, None] ** 2 + x**2) / 2).ravel()
    profile = np.tile(profile / profile.sum(), (count, 1))
    background = np.full(count, 2.0)
    counts = generator.poisson(background[:, None] + amount[:, None] * profile).astype(float)
    columns = (counts, np.ones_like(counts), profile, background, ln_known, excitation**2, inverse_d2)
    return Boxes(*(torch.from_numpy(one) for one in columns), torch.from_numpy(image_))


def parted(boxes, first):
    """The first images, and the others numbered from 0."""
    rest = boxes.those(boxes.image >= first)
    return boxes.those(boxes.image < first), replace(rest, image=rest.image - first)


def both_learned(law, dice):
    """Both partialities, learned from half of the images; the other half."""
    known, held_out = parted(boxes_of_law(law, dice), 8)
    gaussian, learned = GaussianPartiality(1.2e-3), LearnedPartiality(1.2e-3, torch.Generator().manual_seed(1))
    learn(gaussian, known)
    learn(learned, known)
    return gaussian, learned, held_out


def test_the_gaussian_is_the_study_s(dice):
    model = GaussianPartiality(1e-3)
    with torch.no_grad():
        model.numbers.copy_(torch.tensor([0.2, -1.0], dtype=torch.float64))
    excitation, inverse_d2 = dice.normal(scale=1e-3, size=30), dice.uniform(0.01, 0.3, size=30)
    bandwidth = math.sqrt(2) * math.exp(-1.0) * 1e-3 / 0.1  # (b lambda)^2 / 2 d^4, lambda 1 angstrom
    right = partiality(excitation, squared_radius(1e-3 * math.exp(0.2), bandwidth, 1.0, inverse_d2))
    found = model(torch.from_numpy(excitation**2), torch.from_numpy(inverse_d2)).exp()
    assert_close(found, torch.from_numpy(right), rtol=1e-12, atol=0)


def test_any_learned_partiality_falls_from_one(dice):
    model = LearnedPartiality(1e-3, torch.Generator().manual_seed(2))
    with torch.no_grad():
        for one in model.parameters():
            one.copy_(torch.from_numpy(dice.normal(scale=2.0, size=tuple(one.shape))))
    u = torch.linspace(0, 20, 200, dtype=torch.float64) * 1e-6
    for inverse_d2 in (0.01, 0.1, 0.4):
        ln_p = model(u, torch.full_like(u, inverse_d2)).detach()
        assert ln_p[0] == 0
        assert (ln_p.diff() < 0).all()


def test_likelihood_is_least_where_model_and_counts_agree(dice):
    boxes = boxes_of_law(lambda u: u, dice, images=2, spots=20)
    model, own = GaussianPartiality(1e-3), torch.tensor([[6.0, 8.0], [5.0, -4.0]], dtype=torch.float64)
    ln_p = model(boxes.excitation2, boxes.inverse_d2)
    ln_scale, b_factor = own[boxes.image].T
    ln_amount = ln_scale - b_factor * boxes.inverse_d2 / 4 + ln_p + boxes.ln_known
    exact = boxes.background[:, None] + ln_amount.exp()[:, None] * boxes.profile
    at = replace(boxes, counts=exact.detach())
    assert minus_ln_likelihoods(model, own, at).abs().max() < 1e-3  # the least amount of 1e-6 photons
    deviance = 2 * minus_ln_likelihoods(model, own, boxes).detach()
    right = 2 * (exact - boxes.counts + torch.special.xlogy(boxes.counts, boxes.counts / exact)).sum(1)
    assert_close(deviance, right.detach(), rtol=1e-4, atol=1e-3)


def test_a_partiality_that_is_no_gaussian_is_learned(dice):
    """(1 + u)^-1.5: ln(1 + u) is one of the terms."""
    gaussian, learned, held_out = both_learned(lambda u: 1.5 * np.log1p(u), dice)
    score = compared(gaussian, learned, held_out)
    assert score.standard_errors > 3
    u = torch.tensor([0.25, 1.0, 2.25, 4.0], dtype=torch.float64) * 1e-6
    found = -learned(u, torch.full_like(u, 0.1)).detach()
    assert_close(found - found[1], 1.5 * torch.log1p(u * 1e6) - 1.5 * math.log(2), rtol=0, atol=0.06)


def test_a_gaussian_partiality_loses_nothing_by_learning(dice):
    gaussian, learned, held_out = both_learned(lambda u: u, dice)
    score = compared(gaussian, learned, held_out)
    assert abs(score.gain) < 4 * score.gain_error + 0.5
    assert float(gaussian.numbers[0].exp().detach()) * 1.2 == pytest.approx(1.0, abs=0.02)
    assert {one.name for one in fields(score)} >= {"gain", "gain_error"}
