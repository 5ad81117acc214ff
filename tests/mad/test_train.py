"""Training data, augmentation, curriculum, determinism, and errors measured on particles never trained on."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from madpipe.base.provenance import closure
from madpipe.mad import train as training
from madpipe.mad.config import PriorConfig, SimulatedSample, TrainConfig
from madpipe.mad.forward import dispersion_ratio, in_resonant_gauge, mad_intensity
from madpipe.mad.network import Network, Unknowns
from madpipe.mad.sample import simulate
from madpipe.mad.train import photons_at, train
from madpipe.mad.train.errors import measure_errors
from madpipe.mad.train.frames import Frames, draw_patches, expose_frames, frames_of, simulate_frames

TINY = TrainConfig(
    particles=4,
    validation_particles=2,
    learning_rate=2e-3,
    steps=6,
    batch=4,
    validate_every=2,
    curriculum_steps=3,
    prior=PriorConfig(grid=16, slices=2, volume_share=0.25),
)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def frames():
    return simulate_frames(TINY, range(8), seeded(), "test particles")


def same_state(first, second):
    return all(torch.equal(tensor, second.state[name]) for name, tensor in first.state.items())


# what is trained on


def test_frames_hold_flat_particles_whole_and_slices_of_volumes(frames):
    numbers, counts = frames.particle.unique(return_counts=True)
    assert numbers.tolist() == list(range(8))
    assert counts.tolist() == [1, 1, 1, 2, 1, 1, 1, 2]  # every fourth is a volume, two slices each
    assert frames.expected.shape == (10, 16, 16, 8)
    assert frames.truth.shape == (10, 16, 16, 5)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_truth_of_a_frame_gives_its_intensities(dimensions):
    """All of sign of Delta_phi, f0, f', f'' and the place of each slice stand or fall with this."""
    sample = SimulatedSample(dimensions=dimensions, grid=16, noise=False, nonresonant_dispersion="mean")
    frames = frames_of(simulate(sample, seeded()), 0, 3, seeded())
    f_total, f_resonant, sine, cosine, f0 = frames.truth.unbind(-1)
    ratio = dispersion_ratio(frames.f_prime[:, None, None], frames.f_double_prime[:, None, None], f0[..., None])
    gauged = in_resonant_gauge(f_total, torch.atan2(sine, cosine))[..., None]
    intensity = mad_intensity(gauged, f_resonant[..., None].to(gauged.dtype), ratio)
    # float32: an intensity is rounded relative to (|F_T| + |rho F_A|)^2
    largest = (f_total[..., None] + ratio.abs() * f_resonant[..., None]).square()
    assert float(((intensity - frames.expected) / largest).abs().max()) < 20 * torch.finfo(torch.float32).eps
    assert len(frames.particle) == (1 if dimensions == 2 else 3)


def test_slices_are_drawn_by_the_root_of_their_intensity():
    # without strain the peak is sharp, and its root another distribution than itself
    sample = SimulatedSample(dimensions=3, grid=16, noise=False, misfit=0.0, strain_phase_rms=0.0)
    stack = simulate(sample, seeded())
    share = np.sqrt(stack.truth.expected.sum((0, 2, 3)))
    share = share / share.sum()
    planes = torch.as_tensor(np.moveaxis(stack.truth.expected, 0, -1), dtype=torch.float32)
    generator, draws = seeded(), 300
    hits = np.zeros(16)
    for _ in range(draws):
        plane = frames_of(stack, 0, 1, generator).expected[0]
        hits[int((planes - plane).abs().sum((1, 2, 3)).argmin())] += 1
    z = (hits - draws * share) / np.sqrt(draws * share * (1 - share))
    assert np.abs(z[draws * share > 5]).max() < 4


def test_every_particle_is_drawn_alike_whatever_its_slices(frames):
    draws = 4000
    hits = frames.draw(draws, seeded()).bincount(minlength=10).double()
    share = torch.tensor([1, 1, 1, 0.5, 0.5, 1, 1, 1, 0.5, 0.5]) / 8
    assert float(((hits - draws * share) / (draws * share * (1 - share)).sqrt()).abs().max()) < 4


def test_energies_shift_together_and_take_the_dispersion_along(frames):
    assert len(frames.f_prime[:, 4].unique()) == 8  # one shift per particle
    still = simulate_frames(
        TINY.model_copy(update={"prior": TINY.prior.model_copy(update={"energy_shift_ev": (0.0, 0.0)})}),
        range(3),
        seeded(),
        "",
    )
    assert len(still.f_prime[:, 4].unique()) == 1


def test_training_and_validation_share_no_particle(monkeypatch):
    drawn = []
    original = training.simulate_frames

    def watching(config, particles, generator, label):
        drawn.append(set(particles))
        return original(config, particles, generator, label)

    used = {}

    def no_loop(model, draw, loss, validation, *rest, **options):
        generator = seeded()
        used["training"] = [draw(step, generator)[1] for step in range(20)]
        used["validation"] = [batch[1] for batch in validation]
        return training.History()

    monkeypatch.setattr(training, "simulate_frames", watching)
    monkeypatch.setattr(training.training, "train", no_loop)
    train(TINY, seeded())
    assert [len(particles) for particles in drawn] == [4, 2]
    assert not drawn[0] & drawn[1]
    # a value of Delta_phi is a point's fingerprint, whatever the exposure
    points = {name: torch.cat([target.sine.flatten() for target in targets]) for name, targets in used.items()}
    shared = np.intersect1d(points["training"].numpy(), points["validation"].numpy())
    assert set(shared.tolist()) <= {0.0}  # the controls' Delta_phi is zero everywhere


# patches


def test_patch_is_a_piece_of_a_frame_in_one_of_eight_orientations(frames):
    numbers = torch.arange(frames.truth[..., 4].numel(), dtype=torch.float32).reshape(frames.truth.shape[:3])
    truth = torch.cat([frames.truth[..., :4], numbers[..., None]], -1)  # f0 tells where each point comes from
    measured, target = draw_patches(replace(frames, truth=truth), 200, 8, (10.0, 10.0), seeded())
    source = measured.f0.long()
    frame, row, column = source // 256, source // 16 % 16, source % 16
    assert torch.equal(frame, frame[:, :1, :1].expand_as(frame))
    down, right = (torch.stack([row, column]).diff(dim=axis) for axis in (2, 3))
    assert torch.equal(down, down[:, :, :1, :1].expand_as(down)), "rows of a patch are no straight lines of the frame"
    assert torch.equal(right, right[:, :, :1, :1].expand_as(right))
    steps = torch.cat([down[:, :, 0, 0], right[:, :, 0, 0]]).T.unique(dim=0).tolist()
    along_axes = [[a, 0, 0, b] for a in (-1, 1) for b in (-1, 1)]
    swapped = [[0, a, b, 0] for a in (-1, 1) for b in (-1, 1)]
    assert sorted(steps) == sorted(along_axes + swapped)  # 200 patches miss one of eight with a chance of 2e-11
    exposure = target.expected.sum((1, 2, 3)) / frames.expected[frame, row, column].sum((1, 2, 3))
    root, flat = exposure.sqrt()[:, None, None], frames.truth[frame, row, column]
    moved = frames.expected[frame, row, column].movedim(-1, 1)
    assert_close(target.expected, moved * exposure[:, None, None, None], rtol=1e-5, atol=0)
    for one, other in zip(
        target[:4], (flat[..., 0] * root, flat[..., 1] * root, flat[..., 2], flat[..., 3]), strict=True
    ):
        assert_close(one, other, rtol=1e-5, atol=0)
    assert torch.equal(measured.f_prime, frames.f_prime[frame[:, 0, 0]])
    assert torch.equal(measured.f_double_prime, frames.f_double_prime[frame[:, 0, 0]])


def test_exposures_are_log_uniform_in_their_range(frames):
    low, high = 0.02, 2e5
    _, target = draw_patches(frames, 2000, 8, (low, high), seeded())
    position = torch.log(target.expected.mean((1, 2, 3)) / low) / math.log(high / low)
    assert float(position.min()) > -1e-4
    assert float(position.max()) < 1 + 1e-4
    z = (position.mean() - 0.5) / math.sqrt(1 / 12 / 2000)
    assert abs(float(z)) < 4
    z = (position.square().mean() - 1 / 3) / math.sqrt(4 / 45 / 2000)
    assert abs(float(z)) < 4


def test_counts_are_poisson_about_the_expected_photons(frames):
    measured, target = draw_patches(frames, 500, 8, (0.5, 50.0), seeded())
    assert torch.equal(measured.counts, measured.counts.round())
    excess, variance = (measured.counts - target.expected).double(), target.expected.double()
    assert abs(float(excess.sum() / variance.sum().sqrt())) < 4
    # variance of the square of a Poisson deviation: mu + 2 mu^2
    z = (excess.square() - variance).sum() / (variance + 2 * variance.square()).sum().sqrt()
    assert abs(float(z)) < 4


def test_noise_is_new_in_every_draw_and_repeats_with_the_seed(frames):
    generator = seeded()
    first, second = (draw_patches(frames, 4, 8, (10.0, 10.0), generator)[0].counts for _ in range(2))
    again = draw_patches(frames, 4, 8, (10.0, 10.0), seeded())[0].counts
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_some_patches_have_a_gap_right_across(frames):
    patches = 2000
    good = draw_patches(frames, patches, 8, (1.0, 1.0), seeded())[0].good
    hidden = ~good
    has_gap = hidden.flatten(1).any(1)
    assert abs(float(has_gap.double().mean()) - 0.15) < 4 * math.sqrt(0.15 * 0.85 / patches)
    rows, columns = hidden.all(2), hidden.all(1)
    across = (rows.any(1) ^ columns.any(1)) & has_gap
    assert torch.equal(across, has_gap)
    width = torch.maximum(rows.sum(1), columns.sum(1))[has_gap]
    assert set(width.tolist()) == {1, 2, 3, 4}
    assert rows.any(1).sum() > 0
    assert columns.any(1).sum() > 0


def test_curriculum_goes_from_bright_to_the_least_exposure():
    config = TINY.model_copy(update={"curriculum_steps": 10})
    low, high = config.prior.photons_per_point
    least = [photons_at(step, config)[0] for step in range(15)]
    assert least[0] == pytest.approx(100)
    assert all(later < earlier for earlier, later in pairwise(least[:11]))
    assert least[10:] == pytest.approx([low] * 5)
    assert {photons_at(step, config)[1] for step in range(15)} == {high}
    assert photons_at(0, config.model_copy(update={"curriculum_steps": 0}))[0] == pytest.approx(low)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"patch": 80}, "fit into a frame of 64 pixels"),
        ({"prior": PriorConfig(photons_per_point=(0.0, 10.0))}, "0 < least <= largest"),
        ({"prior": PriorConfig(photons_per_point=(10.0, 1.0))}, "0 < least <= largest"),
    ],
)
def test_patches_that_cannot_be_drawn_are_refused_at_the_start(values, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(**values)


# training


@pytest.fixture(scope="module")
def trained():
    torch.set_default_dtype(torch.float64)
    return train(TINY, seeded())


def test_training_is_the_same_to_the_bit_for_a_seed(trained):
    again, history = train(TINY, seeded())
    assert same_state(trained[0], again)
    assert trained[1] == history
    assert all(torch.equal(trained[0].errors[name], again.errors[name]) for name in again.errors)
    other, _ = train(TINY, seeded(2))
    assert not same_state(trained[0], other)


def test_global_generator_and_default_dtype_have_no_say(trained):
    torch.manual_seed(77)
    torch.set_default_dtype(torch.float32)
    again, _ = train(TINY, seeded())
    assert same_state(trained[0], again)


@pytest.mark.parametrize("network", ["cnn_patches", "unet_patches"])
def test_interrupted_training_goes_on_to_the_same_bits(tmp_path, monkeypatch, network):
    config = TINY.model_copy(update={"network": network, "f0_channel": True})
    whole, history = train(config, seeded())
    path = tmp_path / "train.ckpt"
    steps = []
    original = training.draw_patches

    def pulled_plug(*arguments):
        steps.append(1)
        if len(steps) == 6 + 4:  # after the six validation batches, in the fourth step
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(training, "draw_patches", pulled_plug)
    with pytest.raises(KeyboardInterrupt):
        train(config, seeded(), checkpoint=path)
    monkeypatch.undo()
    resumed, resumed_history = train(config, seeded(), checkpoint=path)
    assert same_state(whole, resumed)
    assert resumed_history == history
    assert all(torch.equal(whole.errors[name], resumed.errors[name]) for name in whole.errors)


@pytest.mark.parametrize("changed", ["config", "code", "seed"])
def test_checkpoint_of_another_training_is_not_gone_on_from(tmp_path, caplog, changed):
    path = tmp_path / "train.ckpt"
    train(TINY.model_copy(update={"steps": 2}), seeded(), checkpoint=path, code="a")
    config = TINY.model_copy(update={"steps": 2, "learning_rate": 1e-3 if changed == "config" else 2e-3})
    with caplog.at_level("INFO", logger="madpipe"):
        train(config, seeded(5 if changed == "seed" else 1), checkpoint=path, code="b" if changed == "code" else "a")
    assert "starts anew" in caplog.text


def test_weights_know_what_they_are_for(trained):
    network, history = trained
    assert network.energies_ev == TINY.energies_ev
    assert (network.element, network.edge, network.architecture) == ("Ni", "K", "cnn_patches")
    assert network.config == TINY.model_dump(mode="json")
    assert network.dispersion.shape == (2, 2, 8)
    assert bool((network.dispersion[0] <= network.dispersion[1]).all())
    assert history.step[-1] == 6


# error bars


class Off(nn.Module):
    """Answers |F_T| = 1.5 r, |F_A| = 1.2 r, Delta_phi = 3: what the case below is, but for what is added."""

    def __init__(self, f_total=0.0, f_resonant=0.0, phase=0.0):
        super().__init__()
        self.added = nn.Parameter(torch.tensor([1.5 + f_total, 1.2 + f_resonant, 3.0 + phase]))

    def forward(self, measured):
        scale = (measured.counts.mean(1) + 1).sqrt()
        flat = [each.expand_as(scale) for each in self.added]
        return Unknowns(flat[0], flat[1], flat[2].sin(), flat[2].cos(), scale)


def flat_frames(frames):
    """Frames of one brightness with |F_T| = 1.5, |F_A| = 1.2 roots of the mean intensity, Delta_phi = 3."""
    truth = torch.tensor([1.5, 1.2, math.sin(3), math.cos(3), 20.0], dtype=torch.float32)
    return replace(frames, expected=torch.ones_like(frames.expected), truth=truth.repeat(*frames.expected.shape[:3], 1))


@pytest.mark.parametrize(
    ("wrong", "name", "size"),
    [
        ({"f_total": 0.2}, "f_total", 0.2),
        ({"f_resonant": -0.3}, "f_resonant", 0.3),
        ({"phase": 0.5}, "delta_phi", 0.5),  # across pi
        ({"phase": -0.5}, "delta_phi", 0.5),
    ],
)
def test_error_table_is_what_the_network_gets_wrong(frames, wrong, name, size):
    photons, errors = measure_errors(Off(**wrong), flat_frames(frames), (1e4, 1e4), seeded())
    # counts of 1e4 photons at 8 energies leave r uncertain by 1 / (2 sqrt(8e4)) = 0.2 %
    answered = (1.5 + wrong.get("f_total", 0.0)) ** 2
    assert_close(photons, torch.full_like(photons, answered * 1e4), rtol=0.02, atol=0)
    for each in ("f_total", "f_resonant", "delta_phi"):
        assert_close(errors[each], torch.full_like(photons, size if each == name else 0.0), rtol=0.01, atol=0.004)


def test_error_table_covers_dark_to_bright_in_rising_order(frames):
    network = Network("cnn_patches", 8, False, seeded())
    many = frames.part(torch.arange(len(frames.particle)).repeat(8))
    photons, errors = measure_errors(network, many, TINY.prior.photons_per_point, seeded())
    assert bool((photons.diff() > 0).all())
    assert float(photons[0]) <= 0.3
    assert float(photons[-1]) > 1e3
    for name in ("f_total", "f_resonant", "delta_phi", "f_normal", "delta_phi_na"):
        assert errors[name].shape == photons.shape
        assert bool((errors[name] > 0).all())
    assert float(errors["delta_phi"].max()) < math.pi


def test_error_table_of_a_control_says_that_its_phase_is_undetermined(frames):
    empty = flat_frames(frames)
    empty.truth[..., 1] = 0.0
    photons, errors = measure_errors(Off(), empty, (1e4, 1e4), seeded())
    assert_close(errors["delta_phi"], torch.full_like(photons, math.pi / math.sqrt(3)), rtol=1e-12, atol=0)
    assert_close(errors["f_resonant"], torch.full_like(photons, 1.2), rtol=0.01, atol=0)


def test_phases_without_meaning_are_left_out_of_the_table(frames):
    """In the controls F_A or F_N vanishes: any phase is as good as another there."""
    empty = flat_frames(frames)
    no_resonant = empty.truth.clone()
    no_resonant[:5, ..., 1] = 0.0
    photons, errors = measure_errors(Off(), replace(empty, truth=no_resonant), (1e4, 1e4), seeded())
    assert_close(errors["delta_phi"], torch.zeros_like(photons), rtol=0, atol=0.004)
    # half the particles are off by 1.2, in 64 frames drawn: their share is known to sqrt(0.25 / 64)
    assert float(errors["f_resonant"][0]) ** 2 / 1.2**2 == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 64))


def test_whole_frames_are_exposed_to_the_range(frames):
    measured, target = expose_frames(frames, (3.0, 300.0), seeded())
    mean = target.expected.mean((1, 2, 3))
    assert float(mean.min()) > 3 * 0.999
    assert float(mean.max()) < 300 * 1.001
    assert bool(measured.good.all())
    assert isinstance(frames.part(torch.tensor([0])), Frames)


# what a change reruns


def test_an_edit_of_the_loss_reruns_the_training_but_not_the_inference():
    assert "madpipe.mad.loss" in closure("madpipe.mad.train")
    assert not {"madpipe.mad.loss", "madpipe.mad.train"} & set(closure("madpipe.mad.infer"))
