"""Whole frames and volumes through a network: tiles, axes, stripes, units, masked points."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from madpipe.mad.config import TrainConfig
from madpipe.mad.fit.belief import product, quadratic
from madpipe.mad.fit.likelihood import solved
from madpipe.mad.measurement import without_counts
from madpipe.mad.network.design import build
from madpipe.mad.network.design.frames import Statistics
from madpipe.mad.network.design.sums import BESIDE, Moments, Seen, design_rows, mean_normal, own_sums, windowed
from madpipe.mad.network.predict import predict

ENERGIES = 5
F_PRIME, F_DOUBLE_PRIME = (-6.0, -7.0, -9.0, -7.0, -6.0), (0.5, 0.6, 2.0, 3.8, 3.9)
F0 = 20.0
ALL = 1 << 20
ALIKE = 1e-3  # of a standard error; float32 adds 300 products in another order, 2e-5, and precisions are exponentials


def network(symmetric=False, **changes):
    """A small network that answers at random; on demand one that treats both axes of a frame alike."""
    generator = torch.Generator().manual_seed(4)
    made = build(
        TrainConfig(**({"width": 8, "dilations": (1, 2), "energies_ev": range(ENERGIES)} | changes)), generator
    )
    z_mean = torch.tensor([1.1, 0.6, 0.7, 0.0])
    root = torch.tensor([[0.2, 0, 0], [0.1, 0.3, 0], [0, 0, 0.3]])
    made.describe(Statistics(Moments(z_mean, 0.4 * torch.eye(4)), torch.tensor([1.05, 0.7, 0.0]), root))
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.Conv2d):
                if not bool(module.weight.any()):
                    module.weight.normal_(0, 0.2, generator=generator)
                if symmetric:
                    module.weight.copy_((module.weight + module.weight.mT) / 2)
    return made.eval()


def measured(counts, good=None, background=None):
    """Counts of (energy, *shape) as a measurement with uneven exposures."""
    points = counts[0].numel()
    empty = without_counts(torch.tensor(F_PRIME), torch.tensor(F_DOUBLE_PRIME), F0, points)
    return replace(
        empty,
        intensity=counts.reshape(ENERGIES, points),
        exposure=torch.linspace(0.8, 1.2, ENERGIES),
        good=None if good is None else good.reshape(ENERGIES, points),
        background=None if background is None else background.reshape(ENERGIES, points),
    )


def draw(rng, shape, photons=50.0):
    return torch.poisson(photons * torch.rand(ENERGIES, *shape, generator=rng), generator=rng)


def answers(net, counts, points=ALL, **more):
    """Mean and precision over their own units, and the photons."""
    prediction, photons = predict(net, measured(counts, **more), tuple(counts.shape[1:]), points)
    return prediction.mean, prediction.precision, photons


def correlations(precision):
    """A precision over the roots of its diagonal: all units gone."""
    root = precision[[0, 3, 5]].sqrt()
    return precision / torch.stack([root[i] * root[j] for i in range(3) for j in range(i, 3)])


def assert_alike(one, other, tolerance=ALIKE):
    """Means within so many standard errors, precisions and photons within that share."""
    (mean, known, photons), (other_mean, other_known, other_photons) = one, other
    assert_close(other_photons, photons, rtol=tolerance, atol=0)
    assert_close(other_known[[0, 3, 5]], known[[0, 3, 5]], rtol=tolerance, atol=0)
    assert_close(correlations(other_known), correlations(known), rtol=0, atol=tolerance)
    assert float(quadratic(known, other_mean - mean).max()) < tolerance**2


@pytest.mark.parametrize("points", [1, 200, 400])
@pytest.mark.parametrize("passes", [1, 2])
def test_a_tiled_frame_is_the_untiled_one(rng, points, passes):
    counts, net = draw(rng, (40, 17)), network(passes=passes)
    assert_alike(answers(net, counts, points), answers(net, counts))


@pytest.mark.parametrize("points", [800, 850, 1000, 1300])
def test_a_tiled_frame_is_the_untiled_one_for_the_reference_design(rng, points):
    counts, net = draw(rng, (120, 16)), network(network="unet_patches")
    assert_alike(answers(net, counts, points), answers(net, counts))


@pytest.mark.parametrize("points", [30, 100, 250])
def test_a_tiled_volume_is_the_untiled_one(rng, points):
    counts, net = draw(rng, (9, 12, 10)), network()
    assert_alike(answers(net, counts, points), answers(net, counts))


def test_attention_forbids_tiles(rng):
    counts, net = draw(rng, (20, 16)), network(attention=True)
    assert_alike(answers(net, counts, 1), answers(net, counts))


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0)], ids=str)
def test_no_axis_of_a_volume_is_special(rng, order):
    """The layers here are alike along both axes of a frame; then a turned volume has the turned answer."""
    shape, net = (9, 11, 10), network(symmetric=True)
    counts = draw(rng, shape)
    turned = answers(net, counts.permute(0, *(1 + axis for axis in order)).contiguous())

    def turn(values):
        return values.reshape(-1, *shape).permute(0, *(1 + axis for axis in order)).flatten(1)

    mean, known, photons = answers(net, counts)
    assert_alike((turn(mean), turn(known), turn(photons)[0]), turned)


def test_a_volume_is_the_mean_of_its_slices_as_information(rng):
    """One slice at a time along each axis, in a plain loop over the network itself."""
    shape, net = (8, 9, 10), network()
    counts = draw(rng, shape)
    data = measured(counts)
    rows = design_rows(data.f_prime[None], data.f_double_prime[None], torch.tensor([F0]))
    blank, exposure = torch.zeros(1, *shape), data.exposure[None]
    own = own_sums(counts[None].float(), blank.float() + 1, blank.float(), exposure, rows)
    sums = windowed(own)
    known, pull = torch.zeros(6, *shape), torch.zeros(3, *shape)
    for axis in range(3):
        for number in range(shape[axis]):
            slices = tuple(one.select(2 + axis, number) for one in sums)
            places = [number + step for step in BESIDE]
            beside = [
                own.select(2 + axis, place) if 0 <= place < shape[axis] else 0 * own.select(2 + axis, 0)
                for place in places
            ]
            seen = Seen(slices, mean_normal(rows, exposure), volume=True, beside=torch.stack(beside, 1))
            with torch.no_grad():
                found, level = net(seen)[-1]
            units = torch.tensor([1, 1 / F0, 1 / F0])[:, None] * level.flatten().double().sqrt()
            pairs = torch.stack([units[i] * units[j] for i in range(3) for j in range(i, 3)])
            precision, mean = found.precision.double() / pairs / 3, found.mean.double() * units
            known.select(1 + axis, number).add_(precision.reshape(6, *level.shape[1:]))
            pull.select(1 + axis, number).add_(product(precision, mean).reshape(3, *level.shape[1:]))
    plain = answers(net, counts)
    assert_close(plain[1][[0, 3, 5]], known.flatten(1)[[0, 3, 5]], rtol=ALIKE, atol=0)
    mean = solved(known.flatten(1).unbind(0), pull.flatten(1))[0]
    assert float(quadratic(plain[1], plain[0] - mean).max()) < ALIKE**2


def test_a_volume_that_does_not_vary_along_z_has_no_stripes_there(rng):
    counts = draw(rng, (1, 10, 11)).expand(-1, 22, -1, -1).contiguous()
    mean, known, photons = answers(network(), counts)
    inner = slice(7, 15)  # half the widest window, the slices beside and the reach away from the ends
    slices = [each.reshape(-1, 22, 110)[:, inner] for each in (mean, known, photons)]
    for number in range(1, 8):
        first, other = ([each[:, place] for each in slices] for place in (0, number))
        assert_alike((*first[:2], first[2][0]), (*other[:2], other[2][0]))


def test_masked_points_are_predicted_from_their_surroundings(rng):
    counts = draw(rng, (20, 20), 1e4)
    good = torch.ones(ENERGIES, 20, 20, dtype=torch.bool)
    good[:, 8:11, 9], good[2, 3, 3] = False, False
    wild = counts.clone()
    wild[:, 8:11, 9], wild[2, 3, 3], wild[0, 3, 3] = 0, 0, 1e7  # a lone energy masked: the others have no say either
    first, second = (answers(network(), each * good, good=good) for each in (counts, wild))
    for one, other in zip(first, second, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9)
        assert bool(one.isfinite().all())
    level = first[2].reshape(20, 20)
    around = level[6:13, 6:13].mean()
    assert bool((level[8:11, 9] > 0.3 * around).all())
    assert bool((level[8:11, 9] < 3 * around).all())


def test_photons_are_those_of_all_energies_at_the_exposures_there_were(rng):
    counts = draw(rng, (16, 16), 1e6)
    photons = answers(network(), counts)[2]
    assert_close(photons, counts.sum(0).flatten(), rtol=1e-3, atol=10.0)


def test_prediction_scales_as_the_root_of_the_photons(rng):
    """At 1e6 photons and at 1e8 the network sees nearly the same; what it says is in sqrt(photon)."""
    rate = 0.5 + torch.rand(ENERGIES, 12, 12, generator=rng)
    net = network()
    with torch.no_grad():
        for body in net.bodies:
            body.leave.weight.zero_()  # the prior alone
    dim, bright = (answers(net, photons * rate) for photons in (1e6, 1e8))
    assert_close(bright[0], 10 * dim[0], rtol=1e-4, atol=1e-6)
    assert_close(bright[1], dim[1] / 100, rtol=1e-4, atol=1e-6 * float(dim[1].abs().max()))
    x, p, q = dim[0]
    assert_close(x, 1.05 * (dim[2] / ENERGIES).sqrt(), rtol=1e-3, atol=0)
    assert_close(p / x, torch.full_like(x, 0.7 / 1.05 / F0), rtol=1e-4, atol=0)
    assert_close(q / x, torch.zeros_like(x), rtol=0, atol=1e-6)


def test_background_is_taken_off(rng):
    counts = draw(rng, (14, 14), 1e5)
    background = torch.full_like(counts, 1e3)
    clean, foggy = answers(network(), counts), answers(network(), counts + background, background=background)
    assert_close(foggy[2], clean[2], rtol=1e-3, atol=1.0)
    deaf = answers(network(), counts + background)
    assert float((deaf[2] - clean[2]).min()) > 0.9e3 * ENERGIES
