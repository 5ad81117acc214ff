"""Training: particles of unit intensity, measurements drawn on the fly, statistics, reproducible weights."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from madpipe.base.errors import InputError
from madpipe.base.provenance import closure
from madpipe.base.runtime import generator_for
from madpipe.base.shipped import shipped_weights
from madpipe.mad.config import PriorConfig, TrainConfig
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.network import calibration
from madpipe.mad.network.design import build
from madpipe.mad.network.design.sums import brightness
from madpipe.mad.network.train import Source, begin_with, least_photons, run, statistics, train
from madpipe.mad.network.train import exposures as exposures_module
from madpipe.mad.network.train.calibrate import Answered, measured_particle, scores_of
from madpipe.mad.network.train.exposures import (
    Draw,
    draw_batch,
    draw_conditions,
    draw_energies,
    expose,
    scattered,
    tabulated,
)
from madpipe.mad.network.train.scenes import SLAB, draw_frames, draw_slabs, draw_volumes
from madpipe.mad.network.variants import VARIANTS
from madpipe.mad.network.weights import load_network, save_network
from madpipe.physics.atoms import dispersion_correction, edge_energy

PRIOR = PriorConfig(grid=16, volume_grid=16, oversampling=(2.0, 3.0), energies=(4, 6), photons=(1e3, 1e7))
CLEAN = PRIOR.model_copy(update={"disturbed": 0.0, "gap_share": 0.0})
TINY = TrainConfig(
    width=8,
    dilations=(1, 2),
    prior=PRIOR,
    particles=6,
    volumes=1,
    validation_particles=4,
    validation_volumes=1,
    batch=2,
    steps=4,
    validate_every=2,
    threads=1,
)

LAYERS = {"calibration.widening"} | {
    f"calibration.{kind}.{number}" for kind in ("predicted", "refined") for number in range(2)
}


@pytest.fixture(autouse=True, scope="module")
def _few_steps_of_calibration():
    """Half of a tiny training's time is its calibration's; that this one is good is test_calibration's to see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "_STEPS", (5, 1500))
        yield


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def frames():
    torch.set_default_dtype(torch.float64)
    return draw_frames(PRIOR, range(5), seeded(), "particles")


@pytest.fixture(scope="module")
def slabs():
    torch.set_default_dtype(torch.float64)
    return draw_slabs(PRIOR, range(1), seeded(), "volumes")


def config(**changes):
    return TINY.model_copy(update=changes)


def even(scenes):
    return torch.ones(len(scenes))


def batch_of(scenes, seed=2, **changes):
    return draw_batch(scenes, config(**changes), 1e3, even(scenes), seeded(seed))


# particles


def test_a_particle_scatters_one_photon_in_all(frames):
    total = (frames.resonant + frames.other).abs().square().sum((1, 2))
    assert_close(total, torch.ones_like(total), rtol=1e-5, atol=0)  # complex64
    volume = draw_volumes(PRIOR, range(1), seeded(), "volumes")
    assert float((volume.resonant + volume.other).abs().square().sum()) == pytest.approx(1, rel=1e-5)


def test_slabs_are_slices_of_their_volume_along_every_axis(slabs):
    volume = draw_volumes(PRIOR, range(1), seeded(), "volumes").resonant[0]
    assert slabs.resonant.shape == (12, SLAB, 16, 16)
    assert set(slabs.particle) == {0}
    for number, slab in enumerate(slabs.resonant):
        turned = volume.movedim(number // 4, 0)
        assert any(torch.equal(slab, turned[first : first + SLAB]) for first in range(16 - SLAB + 1))


def test_parts_of_the_data_share_no_particle(frames):
    more = draw_frames(PRIOR, range(5, 9), seeded(2), "particles")
    assert not set(frames.particle) & set(more.particle)
    one = seeded()
    first, second = (draw_frames(PRIOR, each, one, "particles") for each in (range(3), range(3, 6)))
    for this in first.resonant:
        assert not any(torch.equal(this, other) for other in second.resonant)


def test_particles_whose_kinds_sit_elsewhere_stand_out(frames):
    whole = frames.resonant + frames.other
    same = replace(frames, resonant=whole, other=2 * whole)
    assert float(same.standing_out().abs().max()) < 1e-5
    apart = torch.zeros_like(frames.resonant)
    apart[:, 3, 3] = 1
    beside = apart.roll(1, -1)
    assert_close(replace(frames, resonant=apart, other=beside).standing_out(), torch.ones(5).float())
    alone = replace(frames, resonant=torch.zeros_like(whole), other=whole)
    assert float(alone.standing_out().max()) < 1e-5


# measurements


@pytest.mark.parametrize("kind", ["frames", "slabs", "patches"])
def test_a_batch_is_the_generator_s(request, kind):
    scenes = request.getfixturevalue("slabs" if kind == "slabs" else "frames")
    network = "unet_patches" if kind == "patches" else "frames"
    first, second, other = (batch_of(scenes, seed, network=network, patch=8) for seed in (2, 2, 3))
    for one, again in zip(first[0].sums, second[0].sums, strict=True):
        assert torch.equal(one, again)
    assert torch.equal(first[1].theta, second[1].theta)
    assert first[0].sums[0].shape != other[0].sums[0].shape or not torch.equal(first[0].sums[0], other[0].sums[0])
    shape = {"frames": (2, 6, 16, 16), "slabs": (2, 6, 16, 16), "patches": (4, 6, 8, 8)}[kind]
    assert first[0].sums[0].shape == shape
    assert first[0].volume == (kind == "slabs")


def test_truth_obeys_the_equation(frames):
    """Expected intensities are a.u(theta) when the partner's f', f'' do not vary and f', f'' are as known."""
    generator = seeded(4)
    conditions = [draw_conditions(config(prior=CLEAN), 5, 1e5, generator) for _ in range(3)]
    still = [replace(one, partner=one.partner.mean().expand(5)) for one in conditions]
    pair = torch.stack([frames.resonant[:3], frames.other[:3]])
    intensity, f_total, f_resonant = scattered(pair, still)
    _, target = expose(intensity, f_total, f_resonant, still, torch.ones(3, 16, 16), generator)
    u = unknowns(target.theta.double()).reshape(4, 3, 16, 16)
    calculated = torch.einsum("bki,ibyx->bkyx", target.rows, u)
    # float32 of F_T, F_A and their products near extinctions: 1e-6 of the largest intensity there
    assert float((calculated - target.expected).abs().max()) < 1e-5 * float(target.expected.max())
    assert_close(calculated.float(), target.expected.float(), rtol=1e-3, atol=1e-5 * float(target.expected.max()))


def test_photons_are_those_of_the_brightest_energy(frames, slabs):
    generator = seeded(4)
    for scenes in (frames, slabs):
        conditions = [draw_conditions(config(), 5, 1e5, generator)]
        pair = torch.stack([scenes.resonant[:1], scenes.other[:1]])
        intensity = scattered(pair, conditions)[0]
        middle = intensity[0, :, SLAB // 2] if scenes is slabs else intensity[0]
        assert float(middle.flatten(1).sum(1).max()) == pytest.approx(conditions[0].photons, rel=1e-4)
        whole = scattered(pair, conditions, whole=True)[0][0]
        assert float(whole.flatten(1).sum(1).max()) == pytest.approx(conditions[0].photons, rel=1e-4)


def test_counts_average_to_the_expected_ones(frames):
    """Sums of exposed counts, over many draws, are those of intensity times exposure; background is taken off."""
    generator = seeded(4)
    condition = replace(draw_conditions(config(prior=CLEAN), 5, 1e5, generator), background=0.3)
    intensity, *truth = scattered(torch.stack([frames.resonant[:1], frames.other[:1]]), [condition])
    draws = 400
    many = intensity.expand(draws, -1, -1, -1)
    each = [one.expand(draws, -1, -1) for one in truth]
    seen, target = expose(many, *each, [condition] * draws, torch.ones(draws, 16, 16), generator)
    expected = (intensity[0] * condition.exposure[:, None, None]).double()
    dark = 0.3 * float(intensity.mean()) * condition.exposure.sum()
    assert_close(seen.sums[0][:, 5], torch.full_like(seen.sums[0][:, 5], float(dark)), rtol=1e-4, atol=0)
    assert_close(target.expected[0], intensity[0])
    variance = expected.sum(0) + dark
    z = (seen.sums[0][:, 0].double().mean(0) - expected.sum(0)) / (variance / draws).sqrt()
    assert float(z.abs().max()) < 4.5  # 256 points
    assert float(z.square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / 256))
    assert float(seen.sums[0][0, 4, 0, 0]) == pytest.approx(float(condition.exposure.sum()), rel=1e-6)


def test_energies_lie_in_the_prior_s_range_and_number(frames):
    draw, numbers = Draw(seeded()), set()
    for _ in range(300):
        found = draw_energies(6, PRIOR, draw)
        assert bool((found.diff() >= 0).all())
        assert float(found.abs().max()) <= PRIOR.energy_range_ev
    for seed in range(60):
        numbers.add(batch_of(frames, seed, batch=1)[1].expected.shape[1])
    assert numbers == {4, 5, 6}


def test_conditions_stay_within_the_prior():
    generator = seeded()
    drawn = [draw_conditions(config(), 6, 1e4, generator) for _ in range(300)]
    photons, exposure = (
        torch.stack(each) for each in ([torch.tensor(c.photons) for c in drawn], [c.exposure for c in drawn])
    )
    assert float(photons.min()) >= 1e4
    assert float(photons.max()) <= PRIOR.photons[1]
    assert float((exposure - 1).abs().max()) <= PRIOR.monitor
    share = sum(one.background > 0 for one in drawn) / 300
    assert share == pytest.approx(PRIOR.disturbed, abs=4 * math.sqrt(PRIOR.disturbed * 0.8 / 300))
    assert all(bool((one.f_double_prime >= 0).all()) for one in drawn)
    calm = [draw_conditions(config(prior=CLEAN), 6, 1e4, generator) for _ in range(50)]
    for one in calm:
        assert one.background == 0
        assert bool((one.scale == 1).all())
        assert_close(one.ratio * one.f0, torch.complex(one.f_prime, one.f_double_prime), rtol=1e-12, atol=0)
    assert len({round(one.f0, 6) for one in calm}) > 10


def test_dispersion_is_that_of_the_tables():
    centre = edge_energy("Ni", "K")
    energy = centre + torch.tensor([-60.0, -33.3, 15.7, 50.2])
    found = torch.stack(tabulated("Ni", energy, centre, 90.0))
    # linear between nodes 1 eV apart; away from the edge f', f'' bend by less than 0.01 per eV^2
    assert_close(found, torch.stack(dispersion_correction("Ni", energy)), rtol=0, atol=0.01)


def test_gaps_and_beam_stops_are_masked_and_hide_their_counts(frames):
    gaps = PRIOR.model_copy(update={"gap_share": 1.0})
    seen, _ = batch_of(frames, prior=gaps, batch=8)
    dark = seen.sums[0][:, 4] == 0
    assert bool(dark.flatten(1).any(1).all())
    assert not bool(dark.flatten(1).all(1).any())
    assert bool(dark[:, 8, 8].all())  # the beam stop is in the middle
    assert not bool(seen.sums[0].movedim(1, -1)[dark].any())
    open_frames, _ = batch_of(frames, prior=CLEAN, batch=8)
    assert bool((open_frames.sums[0][:, 4] > 0).all())


def test_patches_are_cut_alike_from_everything(frames):
    _, target = batch_of(frames, network="unet_patches", patch=8, prior=CLEAN)
    assert target.expected.shape[1:] == (8, 8, 8)
    modulus2 = target.theta[0].square().reshape(4, 8, 8)
    mean = target.expected.mean(1)
    # |F_T|^2 follows the intensity point by point: another patch would not correlate
    for one, other in zip(modulus2, mean, strict=True):
        assert float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) > 0.9


def test_reference_design_has_its_own_energies():
    generator = seeded()
    for _ in range(20):
        one = draw_conditions(config(network="unet_patches"), 8, 1e4, generator)
        table = [dispersion_correction("Ni", torch.tensor(TINY.energies_ev) + shift)[1] for shift in (-1.01, 1.01)]
        assert bool((one.f_double_prime[[0, 1, 2, 5, 6, 7]] >= torch.minimum(*table)[[0, 1, 2, 5, 6, 7]] - 0.05).all())
        assert bool((one.f_double_prime[[0, 1, 2, 5, 6, 7]] <= torch.maximum(*table)[[0, 1, 2, 5, 6, 7]] + 0.05).all())


# statistics and curriculum


def test_statistics_are_the_moments_of_the_truth(frames, slabs):
    source = Source(config(batch=8), frames, slabs)
    found, again = (statistics(source, seeded(5)) for _ in range(2))
    assert torch.equal(found.root, again.root)
    thetas = []
    generator = seeded(6)
    for _ in range(40):
        _, target = source.draw(0, generator)
        mean = target.expected.mean(1).flatten().double()
        thetas.append((target.theta.double() / mean.sqrt())[:, mean > 1e-3 * mean.mean()].clamp(-5, 5))
    theta = torch.cat(thetas, 1)
    # five particles, forty batches: other draws move the mean by a few per cent of its spread
    assert float(((found.mean - theta.mean(1)) / theta.std(1)).abs().max()) < 0.5
    assert_close((found.root @ found.root.T).diagonal().sqrt(), theta.std(1), rtol=0.5, atol=0)
    assert float(torch.linalg.det(found.linear.root)) > 0
    assert_close(found.root.triu(1), torch.zeros(3, 3))
    assert float(found.linear.mean[0]) == pytest.approx(float(found.mean[0] ** 2), rel=0.3)


def test_curriculum_starts_bright_and_ends_at_the_prior_s_least():
    plain, slow = config(curriculum=0), config(steps=20, curriculum=0.5)
    assert least_photons(0, plain) == pytest.approx(1e3)
    found = [least_photons(step, slow) for step in range(0, 14)]
    assert found[0] == pytest.approx(1e7)
    assert found[5] == pytest.approx(math.sqrt(1e7 * 1e3))
    assert found[10] == found[13] == pytest.approx(1e3)
    dim = config(steps=20, curriculum=0.5, prior=PRIOR.model_copy(update={"photons": (10.0, 1e4)}))
    assert least_photons(0, dim) == pytest.approx(1e4)


def test_source_draws_volumes_as_often_as_told(frames, slabs):
    generator = seeded()
    source = Source(config(volume_share=0.3, batch=1), frames, slabs)
    share = sum(source.draw(0, generator)[0].volume for _ in range(200)) / 200
    assert share == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 200))
    assert Source(config(network="unet_patches"), frames, slabs).volume_share == 0
    skewed = Source(config(sensitive_share=0.5), frames, slabs).kinds[0][1]
    assert float(skewed.sum()) == pytest.approx(1, rel=1e-9)
    assert not torch.equal(skewed, skewed[0].expand(5))


# training


@pytest.fixture(scope="module")
def trained():
    torch.set_default_dtype(torch.float64)
    return train(TINY, seeded())


def written(tmp_path, name, one):
    save_network(tmp_path / name, one)
    return (tmp_path / name).read_bytes()


def test_same_training_gives_the_same_bytes(tmp_path, trained):
    torch.manual_seed(99)  # torch's own generator has no say
    again, history = train(TINY, seeded())
    assert written(tmp_path, "first", trained[0]) == written(tmp_path, "second", again)
    assert history == trained[1]
    other, _ = train(TINY, seeded(2))
    assert written(tmp_path, "other", other) != written(tmp_path, "first", trained[0])


def test_resumed_training_gives_the_same_bytes(tmp_path, trained, monkeypatch):
    checkpoint = tmp_path / "train.ckpt"
    plain = Source.draw

    def pulled_plug(self, step, generator):
        if step == 3 and self.kinds[0][0].particle[0] == 0:
            raise KeyboardInterrupt
        return plain(self, step, generator)

    monkeypatch.setattr(Source, "draw", pulled_plug)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, seeded(), checkpoint=checkpoint)
    assert checkpoint.exists()
    monkeypatch.undo()
    resumed, history = train(TINY, seeded(), checkpoint=checkpoint)
    assert written(tmp_path, "resumed", resumed) == written(tmp_path, "first", trained[0])
    assert history == trained[1]


def test_a_job_trains_by_a_generator_of_its_name(tmp_path):
    """The name is part of the numbers: released weights were drawn by it."""
    own = config(steps=2)
    found, history = run(own.model_dump(mode="json"), seed=5, checkpoint=tmp_path / "state", code="abc")
    right, expected = train(own, generator_for(5, "mad_train", "frames"), code="abc")
    assert history == expected
    assert (found.config, found.fingerprint) == (own, "abc")
    assert all(torch.equal(found.state[name], tensor) for name, tensor in right.state.items())


def test_history_is_finite_and_weights_are_calibrated(trained):
    made, history = trained
    for losses in (history.training_loss, history.validation_loss, *history.terms.values()):
        assert all(map(math.isfinite, losses))
    assert history.step == [1, 2, 3, 4]
    assert set(made.calibration) == LAYERS
    assert all(bool(layer.isfinite().all()) for layer in made.calibration.values())
    kinds = {f"{scenes}, {kind}" for scenes in ("frames", "volumes") for kind in ("predicted", "refined")}
    assert set(made.about["validation"]) == kinds
    assert all(tensor.isfinite().all() for tensor in made.state.values())


def test_another_number_of_threads_is_refused():
    """Their number is part of the weights: sums are grouped by it."""
    with pytest.raises(InputError, match=r"made with 2 CPU threads.*torch has 1.*fix_threads\(2\)"):
        train(TINY.model_copy(update={"threads": 2}), seeded())


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_trains(variant):
    tiny = TINY.model_copy(update={"steps": 2, "validation_volumes": 0, "volumes": 0, "volume_share": 0.0})
    changes = {name: value for name, value in VARIANTS[variant].items() if name != "width"}
    made, history = train(tiny.model_copy(update=changes), seeded())
    assert all(map(math.isfinite, history.training_loss + history.validation_loss))
    assert set(made.calibration) == LAYERS
    assert set(made.about["validation"]) == {"frames, predicted", "frames, refined"}


@pytest.mark.parametrize("changes", [{"network": "unet_patches", "patch": 8}, {"precision": "mixed"}], ids=str)
def test_other_kinds_train(changes):
    made, history = train(config(steps=2, **changes), seeded())
    assert all(map(math.isfinite, history.training_loss + history.validation_loss))
    assert made.network() is not None


def test_a_short_training_learns():
    """Forty steps on bright frames lower the loss of the same validation batches."""
    prior = CLEAN.model_copy(update={"photons": (1e6, 1e7)})
    longer = config(steps=40, batch=4, validate_every=4, prior=prior, particles=24, volumes=0, validation_volumes=0)
    _, history = train(longer.model_copy(update={"learning_rate": 5e-3, "corrected": 0.0, "curriculum": 0.0}), seeded())
    assert history.validation_loss[-1] < history.validation_loss[0] - 0.1  # of some 4; the batches are the same
    assert history.best_step > 20


def test_scores_are_relative_rms_errors_by_shell():
    squares = {"f_resonant": torch.tensor([[1.0, 4.0, 9.0], [4.0, 4.0, 9.0]])}
    squares["f_normal"] = torch.tensor([[0.0, 0.0, 1.0], [1.0, 1.0, 4.0]])
    found = Answered({}, squares, torch.zeros(5, 10, 3), torch.zeros(5, 2, 3))
    scores = scores_of([found], [torch.tensor([2.0, 5.0, 50.0])])
    assert scores == {
        "1-10": {"f_resonant": pytest.approx(math.sqrt(5 / 8)), "f_normal": 0.0},
        "10-100": {"f_resonant": pytest.approx(1.0), "f_normal": pytest.approx(0.5)},
    }


@pytest.mark.parametrize(("composition", "missing"), [("pure_resonant", 3), ("no_resonant", 1), ("janus", None)])
def test_what_is_missing_is_calibrated_to_95_per_cent_alone(frames, composition, missing):
    """Quantities in order F_T, F_A, Delta_phi, F_N and the other phase, which has no truth where either is missing."""
    prior = CLEAN.model_copy(update={"compositions": (composition,)})
    scenes = draw_frames(prior, range(1), seeded(), "particles")
    network = build(config(), seeded())
    network.describe(statistics(Source(config(volume_share=0.0), frames, frames), seeded()))
    sample = measured_particle(network.eval(), config(prior=prior), scenes, 0, seeded(), kept=40)
    for answered in sample.answers:
        assert answered.circumstances.shape == (5, 5, 40)
        known = torch.isfinite(answered.needed)
        assert bool((known.all(2) | ~known.any(2)).all())  # all points or none
        moduli = known[[0, 1, 3], :, 0].tolist()
        expected = [[row != missing, True] for row in (0, 1, 3)]
        assert moduli == expected
        assert bool(known[4].any()) == (missing is None)
        off = answered.deviations["f_normal" if missing == 3 else "f_resonant"]
        assert bool(off.isfinite().any()) == (missing is None)


def test_brightness_of_a_batch_is_near_the_mean_intensity(frames):
    seen, target = batch_of(frames, prior=CLEAN.model_copy(update={"photons": (1e6, 1e7)}))
    level, mean = brightness(seen.sums)[0], target.expected.mean(1)
    bright = mean > 1000
    assert bool(bright.any())
    # 4000 counts and more: 1.6 % each; exposures of 0.7 to 1.3 weigh the energies anew: 0.3 of their spread
    assert float((level / mean - 1).abs()[bright].max()) < 0.3


def test_an_edit_of_the_loss_reruns_the_training_but_not_the_inference():
    assert "madpipe.mad.network.loss" in closure("madpipe.mad.network.train")
    assert exposures_module.__name__ in closure("madpipe.mad.network.train")
    assert not {"madpipe.mad.network.loss", "madpipe.mad.network.train"} & set(closure("madpipe.mad.network.infer"))


def test_a_training_begins_with_the_weights_asked_for():
    config = TrainConfig(width=64, begin="first")
    network = build(config, generator_for(1, "begin"))
    begin_with(network, config)
    kept = load_network(shipped_weights("mad", "weights_first.safetensors")).state
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


def test_weights_of_another_design_are_refused():
    config = TrainConfig(width=8, begin="first")
    with pytest.raises(InputError, match=r"begin: first needs the design of these weights \(width: 64\)"):
        begin_with(build(config, generator_for(1, "begin")), config)
