"""The layers: the published design, any frame size, no count scale lost, nothing learnt from masked points."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from madpipe.mad.network import ARCHITECTURES, Measured, Network, Unknowns, normalised_counts

ENERGIES = 8
FLOAT32 = {
    "rtol": 1e-4,
    "atol": 1e-5,
}  # six layers, sums of up to 1152 products of order 1: 1152 x 6e-8, some of it twice
every_architecture = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))


def measured(rng, height=16, width=16, batch=2, photons=50.0, energies=ENERGIES):
    rate = photons * torch.rand(batch, energies, height, width, generator=rng)
    return Measured(
        torch.poisson(rate, generator=rng),
        torch.ones(batch, height, width, dtype=torch.bool),
        torch.linspace(-9, -5, energies).expand(batch, -1),
        torch.linspace(0.5, 4, energies).expand(batch, -1),
        torch.full((batch, height, width), 20.5),
    )


def network(architecture="cnn_patches", f0_channel=False, energies=ENERGIES, seed=3):
    return Network(architecture, energies, f0_channel, torch.Generator().manual_seed(seed)).eval()


@torch.no_grad()
def answers(net, case):
    return torch.stack(net(case)[:4], dim=1)


def test_layers_are_those_of_the_design():
    convolutions = [layer for layer in network().modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [32, 64, 128, 128, 64, 32, 4]
    assert [layer.kernel_size for layer in convolutions] == [(3, 3)] * 6 + [(1, 1)]
    assert convolutions[0].in_channels == ENERGIES + 2  # log r and the mask beside the energies
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network().modules()) == 6


@pytest.mark.parametrize("skip", ["fine", "middle"])
def test_unet_pools_twice_and_skips_at_both_levels(rng, skip):
    net, case = network("unet_patches"), measured(rng)
    sizes = []
    net.body.bottleneck.register_forward_hook(lambda module, _, output: sizes.append(output.shape[-2:]))
    plain = answers(net, case)
    assert sizes == [(4, 4)]
    below = net.body.to_middle if skip == "fine" else net.body.bottleneck
    below.register_forward_hook(lambda module, _, output: torch.zeros_like(output))  # what comes from below is cut off
    if skip == "middle":
        to_fine = net.body.to_fine
        to_fine.register_forward_pre_hook(lambda module, inputs: (inputs[0] * (torch.arange(96) < 64)[:, None, None],))
    cut, changed = answers(net, case), answers(net, case._replace(counts=case.counts.flip(1)))
    assert not torch.equal(cut, plain)
    assert float((changed - cut).abs().max()) > 1e-3


@every_architecture
@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (30, 13), (4, 5)])
def test_answers_frames_of_any_size_within_the_ranges(rng, architecture, shape):
    case = measured(rng, *shape)
    answer = network(architecture)(case)
    assert all(each.shape == (2, *shape) and each.dtype == torch.float32 for each in answer)
    assert float(answer.f_total.detach().min()) > 0
    assert float(answer.f_resonant.detach().min()) > 0
    assert float(answer.sine.detach().abs().max()) < 1
    assert float(answer.cosine.detach().abs().max()) < 1
    assert_close(answer.scale, (case.counts.mean(1) + 1).sqrt().float(), rtol=1e-6, atol=0)


@every_architecture
def test_every_input_reaches_the_answer(rng, architecture):
    net, case = network(architecture, f0_channel=True), measured(rng)
    plain = answers(net, case)
    for changed in (
        case._replace(counts=case.counts.flip(1)),
        case._replace(f_prime=case.f_prime - 1),
        case._replace(f_double_prime=case.f_double_prime + 1),
        case._replace(f0=case.f0 + 2),
        case._replace(good=torch.zeros_like(case.good)),
    ):
        # far above rounding at every one of the four answers
        assert bool(((answers(net, changed) - plain).abs().amax((0, 2, 3)) > 1e-3).all())


def test_f0_is_seen_only_when_asked_for(rng):
    case = measured(rng)
    net = network(f0_channel=False)
    assert torch.equal(answers(net, case), answers(net, case._replace(f0=case.f0 * 2)))


@pytest.mark.parametrize(("architecture", "step", "reach"), [("cnn_patches", 1, 6), ("unet_patches", 4, 24)])
def test_shifted_frame_has_the_shifted_answer_away_from_the_rim(rng, architecture, step, reach):
    net, case = network(architecture), measured(rng, 64, 64, batch=1)
    here = answers(net, case)
    there = answers(net, case._replace(counts=torch.roll(case.counts, (step, step), (2, 3))))
    inner = slice(reach + step, 64 - reach - step)
    moved = torch.roll(there, (-step, -step), (2, 3))
    assert_close(moved[..., inner, inner], here[..., inner, inner], **FLOAT32)


@every_architecture
def test_answer_does_not_depend_on_the_rest_of_the_batch(rng, architecture):
    net, case = network(architecture), measured(rng, batch=3)
    alone = Measured(*(each[1:2] for each in case))
    assert_close(answers(net, case)[1:2], answers(net, alone), **FLOAT32)


@pytest.mark.parametrize("photons", [0.02, 1.0, 30.0, 1e6])
def test_count_scale_is_never_lost(rng, photons):
    case = measured(rng, photons=photons)
    channels, scale = normalised_counts(case.counts, case.good)
    assert_close((channels * scale[:, None]).square(), case.counts, rtol=1e-12, atol=1e-12)
    assert bool((scale >= 1).all())
    assert float(channels.max()) <= math.sqrt(ENERGIES)  # all counts at one energy: n / (n / 8)


def test_far_above_one_photon_the_channels_are_the_spectrum_at_any_exposure(rng):
    counts = 1e6 * (1 + torch.rand(1, ENERGIES, 8, 8, generator=rng))
    good = torch.ones(1, 8, 8, dtype=torch.bool)
    once, scale = normalised_counts(counts, good)
    longer, longer_scale = normalised_counts(100 * counts, good)
    assert_close(longer, once, rtol=1e-6, atol=0)  # the 1 beside a million
    assert_close(longer_scale, 10 * scale, rtol=1e-6, atol=0)


def test_far_below_one_photon_the_channels_are_the_counts():
    counts = torch.zeros(1, ENERGIES, 8, 8)
    counts[0, 2, 3, 4] = 1.0
    channels, scale = normalised_counts(counts, torch.ones(1, 8, 8, dtype=torch.bool))
    assert_close(channels, counts / scale[:, None], rtol=1e-12, atol=0)
    assert float(scale.max()) == pytest.approx(math.sqrt(1 + 1 / ENERGIES), rel=1e-12)


@every_architecture
def test_masked_counts_have_no_say(rng, architecture):
    net, case = network(architecture), measured(rng)
    good = case.good.clone()
    good[:, 5:8, 3] = False
    wild = case.counts.clone()
    wild[:, :, 5:8, 3] = 1e9
    first, second = net(case._replace(good=good)), net(case._replace(good=good, counts=wild))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_masked_point_takes_its_scale_from_its_neighbours():
    counts = torch.full((1, ENERGIES, 9, 9), 99.0)
    counts[..., 4, 4] = 0
    good = torch.ones(1, 9, 9, dtype=torch.bool)
    good[0, 4, 4] = False
    channels, scale = normalised_counts(counts, good)
    assert_close(scale, torch.full((1, 9, 9), 10.0), rtol=1e-12, atol=0)
    assert_close(channels, torch.full_like(counts, math.sqrt(99) / 10), rtol=1e-12, atol=0)
    everything, unit = normalised_counts(counts, torch.zeros_like(good))
    assert float(everything.abs().max()) == 0
    assert float(unit.max()) == 1


def test_first_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    first, second, other = network(seed=3), network(seed=3), network(seed=4)
    torch.manual_seed(1)
    third = network(seed=3)
    torch.set_rng_state(before)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
        assert torch.equal(tensor, third.state_dict()[name])
    assert not torch.equal(first.head.weight, other.head.weight)


def test_structure_factors_follow_from_the_four_answers(rng):
    f_resonant = torch.complex(torch.randn(2, 5, 5, generator=rng), torch.randn(2, 5, 5, generator=rng))
    f_normal = torch.complex(torch.randn(2, 5, 5, generator=rng), torch.randn(2, 5, 5, generator=rng))
    f_total = f_resonant + f_normal
    phase = (f_total * f_resonant.conj()).angle()
    # sine and cosine off the unit circle: only their direction counts
    found = Unknowns(f_total.abs(), f_resonant.abs(), 0.3 * phase.sin(), 0.3 * phase.cos(), torch.ones(2, 5, 5))
    answer = found.structure_factors()
    rounding = {"rtol": 1e-12, "atol": 1e-12}
    assert_close(answer["delta_phi"], phase, **rounding)
    assert_close(answer["f_normal"], f_normal.abs(), **rounding)
    assert_close(answer["delta_phi_na"], (f_normal * f_resonant.conj()).angle(), **rounding)
    assert_close(answer["f_total"], f_total.abs(), **rounding)
    assert_close(answer["f_resonant"], f_resonant.abs(), **rounding)
