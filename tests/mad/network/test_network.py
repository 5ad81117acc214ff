"""What the network reads, and its layers: slow sums, no mark of the energies, reach, rims, any size."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from madpipe.mad.config import TrainConfig
from madpipe.mad.fit.cone import unknowns
from madpipe.mad.network.design import build
from madpipe.mad.network.design.frames import Statistics, from_polar
from madpipe.mad.network.design.sums import (
    BESIDE,
    CHANNELS,
    WINDOWS,
    Moments,
    Seen,
    beside_each,
    beside_middle,
    brightness,
    channels,
    design_rows,
    mean_normal,
    own_sums,
    windowed,
    windowed_middle,
)

F_PRIME = torch.tensor(
    [-5.8, -6.1, -6.6, -7.3, -9.0, -7.3, -6.5, -6.0], dtype=torch.float64
)  # Ni K, 8313 to 8348 eV [electron]
F_DOUBLE_PRIME = torch.tensor([0.51, 0.53, 0.55, 0.63, 2.1, 3.8, 3.8, 3.8], dtype=torch.float64)
F0 = 20.5
ROUNDING = {"rtol": 1e-10, "atol": 1e-10}  # float64: eigenvectors of matrices of condition 1e4
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}  # four layers, sums of some 300 products of order 1: 300 x 6e-8, and more


def statistics():
    """A normal prior of theta / r, and the moments of z / r^2 that follow, by draws."""
    mean = torch.tensor([1.05, 0.7, 0.05], dtype=torch.float64)
    root = torch.tensor([[0.1, 0, 0], [0.1, 0.25, 0], [0, 0.05, 0.3]], dtype=torch.float64)
    drawn = torch.randn(3, 4000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = unknowns(mean[:, None] + root @ drawn)
    return Statistics(Moments(z.mean(1), torch.linalg.cholesky(torch.cov(z))), mean, root)


PRIOR = statistics().linear


def draw_counts(rng, shape=(16, 16), batch=2, photons=50.0, energies=8):
    """Poisson counts of random rates, (batch, energy, *shape)."""
    return torch.poisson(photons * torch.rand(batch, energies, *shape, generator=rng), generator=rng)


def seen_of(counts, f_prime=F_PRIME, f_double_prime=F_DOUBLE_PRIME, f0=F0, exposure=None, good=None, background=0.0):
    """What a network sees of counts: sums in float64."""
    batch, energies = counts.shape[:2]
    exposure = torch.ones(energies) if exposure is None else exposure
    good = torch.ones(batch, *counts.shape[2:]) if good is None else good
    rows = design_rows(f_prime.expand(batch, -1), f_double_prime.expand(batch, -1), torch.full((batch,), f0))
    exposures = exposure.expand(batch, -1)
    own = own_sums(counts, good, torch.full_like(good, background), exposures, rows)
    dispersion = torch.cat([f_prime, f_double_prime]).expand(batch, -1)
    return Seen(windowed(own), mean_normal(rows, exposures), counts.ndim == 5, counts, dispersion)


def in_float32(seen):
    beside = None if seen.beside is None else seen.beside.float()
    seen = seen._replace(beside=beside)
    return seen._replace(
        sums=tuple(one.float() for one in seen.sums), counts=seen.counts.float(), dispersion=seen.dispersion.float()
    )


def network(seed=3, **changes):
    """A small network whose last layer says something."""
    values = {"width": 8, "dilations": (1, 2)} | changes
    generator = torch.Generator().manual_seed(seed)
    made = build(TrainConfig(**values), generator)
    made.describe(statistics())
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.Conv2d) and not bool(module.weight.any()):
                module.weight.normal_(0, 0.3, generator=generator)
    return made.eval()


@torch.no_grad()
def mean_of(net, seen):
    """The last answer's means as frames, (3, batch, y, x)."""
    prediction, intensity = net(seen)[-1]
    return prediction.mean.reshape(3, *intensity.shape)


# sums


def test_own_sums_are_a_plain_loop(rng):
    counts, exposure = draw_counts(rng, (5, 4), energies=8), torch.linspace(0.5, 1.5, 8).expand(2, -1)
    good = (torch.rand(2, 5, 4, generator=rng) < 0.8).double()
    background = torch.rand(2, 5, 4, generator=rng)
    rows = design_rows(F_PRIME.expand(2, -1), F_DOUBLE_PRIME.expand(2, -1), torch.tensor([20.0, 21.0]))
    found = own_sums(counts, good, background, exposure, rows)
    for at in [(1, 3, 2), (0, 0, 0), (0, 4, 3), (1, 1, 1)]:
        frame, *point = at
        linear = sum(rows[frame, k] * counts[(frame, k, *point)] for k in range(8))
        rest = torch.stack([exposure[frame].sum(), background[at]])
        assert_close(found[(frame, slice(None), *point)], good[at] * torch.cat([linear, rest]), **ROUNDING)


@pytest.mark.parametrize("slices", [slice(0, 7), slice(0, 1), slice(1, 4), slice(5, 7), slice(3, 4)], ids=str)
def test_slices_beside_are_a_volume_s_own_and_nothing_beyond_it(rng, slices):
    own = torch.rand(7, 6, 3, 4, generator=rng)
    found = beside_each(own, slices)
    assert found.shape == (slices.stop - slices.start, len(BESIDE), 6, 3, 4)
    for number in range(slices.start, slices.stop):
        for place, step in enumerate(BESIDE):
            expected = own[number + step] if 0 <= number + step < 7 else torch.zeros(6, 3, 4)
            assert torch.equal(found[number - slices.start, place], expected)


def test_slices_beside_the_middle_of_a_slab_are_those_of_the_volume(rng):
    own = torch.rand(2, 6, 7, 5, 4, generator=rng)
    found = beside_middle(own)
    for slab, expected in zip(own, found, strict=True):
        assert torch.equal(beside_each(slab.movedim(1, 0), slice(3, 4))[0], expected)


def test_a_slice_beside_that_is_alike_reads_alike_and_a_frame_has_none(rng):
    seen = in_float32(seen_of(draw_counts(rng)))
    frame, _ = channels(seen, PRIOR)
    volume, _ = channels(seen._replace(beside=torch.stack([seen.sums[0]] * len(BESIDE), 1), volume=True), PRIOR)
    beside = slice(30, 30 + 5 * len(BESIDE))
    assert not bool(frame[:, beside].any())
    assert_close(volume[:, beside], volume[:, :5].repeat(1, len(BESIDE), 1, 1), **FLOAT32)
    assert torch.equal(volume[:, :30], frame[:, :30])


def test_a_slice_beside_is_read_as_what_it_is_over_its_own_brightness(rng):
    """Many photons of z: R^-1 (z / r^2 - mean), and the brightness of the point over its own."""
    counts = draw_counts(rng, photons=1e9)
    bright = counts[:, :1].expand_as(counts) * torch.linspace(0.9, 1.1, 8)[:, None, None]
    seen, other = (in_float32(seen_of(each)) for each in (counts, bright))
    found, intensity = channels(seen._replace(beside=torch.stack([other.sums[0]] * 4, 1), volume=True), PRIOR)
    alone, level = channels(other, PRIOR)
    assert_close(found[:, 30:34], alone[:, :4], rtol=1e-2, atol=1e-2)
    assert_close(found[:, 34], (intensity / level).log() / 2, rtol=1e-3, atol=1e-3)


def test_rows_make_the_equation_linear():
    ratio = torch.complex(F_PRIME, F_DOUBLE_PRIME) / F0
    f_total, f_resonant = torch.tensor(1.3 + 0.2j), torch.tensor(0.7 - 0.5j)
    cross = f_total * f_resonant.conj()
    z = torch.stack([f_total.abs() ** 2, f_resonant.abs() ** 2, cross.real, cross.imag])
    rows = design_rows(F_PRIME[None], F_DOUBLE_PRIME[None], torch.tensor([F0]))[0]
    assert_close(rows @ z, (f_total + ratio * f_resonant).abs().square(), **ROUNDING)


@pytest.mark.parametrize("shape", [(18, 9), (9, 8, 7)])
def test_windows_are_slow_sums_with_nothing_beyond_the_rim(rng, shape):
    own = torch.randn(1, 6, *shape, generator=rng)
    sums = windowed(own)
    widths = WINDOWS[len(shape)]
    assert all(width % 2 for width in widths)
    assert list(widths) == sorted(set(widths))  # each wider than the one before, the first the point itself
    assert widths[0] == 1
    assert len(sums) == len(WINDOWS[len(shape)])
    for one, width in zip(sums, WINDOWS[len(shape)], strict=True):
        for point in [tuple(0 for _ in shape), tuple(size - 1 for size in shape), tuple(size // 2 for size in shape)]:
            about = tuple(slice(max(0, at - width // 2), at + width // 2 + 1) for at in point)
            slow = own[(0, slice(None), *about)].flatten(1).sum(1)
            assert_close(one[(0, slice(None), *point)], slow, **ROUNDING)


def test_a_slab_s_middle_is_the_volume_s_slice(rng):
    own = torch.randn(2, 6, 11, 8, 9, generator=rng)
    whole = windowed(own)
    for first in (0, 2, 4):
        slab = windowed_middle(own[:, :, first : first + 7])
        for one, other in zip(whole, slab, strict=True):
            assert_close(other, one[:, :, first + 3], **ROUNDING)


def test_mean_normal_is_weighted_by_exposure():
    rows = design_rows(F_PRIME[None], F_DOUBLE_PRIME[None], torch.tensor([F0]))
    exposure = torch.linspace(1, 3, 8)
    slow = sum(tau * torch.outer(a, a) for tau, a in zip(exposure, rows[0], strict=True)) / exposure.sum()
    assert_close(mean_normal(rows, exposure[None])[0], slow, **ROUNDING)


# channels


def test_an_energy_measured_in_two_halves_changes_nothing(rng):
    counts = draw_counts(rng)
    half = torch.tensor([1.0] * 3 + [0.5] * 2 + [1.0] * 4)
    split = torch.cat([counts[:, :3], 0.3 * counts[:, 3:4], 0.7 * counts[:, 3:4], counts[:, 4:]], 1)
    double = [torch.cat([f[:4], f[3:]]) for f in (F_PRIME, F_DOUBLE_PRIME)]
    once, twice = seen_of(counts), seen_of(split, *double, exposure=half)
    assert_close(channels(twice, PRIOR)[0], channels(once, PRIOR)[0], **ROUNDING)
    assert_close(channels(twice, PRIOR)[1], channels(once, PRIOR)[1], **ROUNDING)


def test_neither_order_of_energies_nor_unit_of_electrons_matters(rng):
    counts, order = draw_counts(rng), torch.tensor([3, 7, 1, 0, 6, 2, 5, 4])
    exposure = torch.linspace(0.7, 1.3, 8)
    plain = channels(seen_of(counts, exposure=exposure), PRIOR)[0]
    mixed = seen_of(counts[:, order], F_PRIME[order], F_DOUBLE_PRIME[order], exposure=exposure[order])
    assert_close(channels(mixed, PRIOR)[0], plain, **ROUNDING)
    scaled = seen_of(counts, 2.5 * F_PRIME, 2.5 * F_DOUBLE_PRIME, 2.5 * F0, exposure=exposure)
    assert_close(channels(scaled, PRIOR)[0], plain, **ROUNDING)
    other = channels(seen_of(counts, 2.5 * F_PRIME, 2.5 * F_DOUBLE_PRIME, F0, exposure=exposure), PRIOR)[0]
    assert float((other - plain).abs().max()) > 0.1


@pytest.mark.parametrize("kind", ["dark", "masked", "all masked", "bright", "background", "one photon"])
def test_channels_are_finite_whatever_came(rng, kind):
    counts, good, background = draw_counts(rng), torch.ones(2, 16, 16), 0.0
    if kind == "dark":
        counts = torch.zeros_like(counts)
    elif kind == "masked":
        good[:, 2:7] = 0
    elif kind == "all masked":
        good[:] = 0
    elif kind == "bright":
        counts = 1e9 * counts
    elif kind == "background":
        counts, background = -counts, 1e5
    else:
        counts = torch.zeros_like(counts)
        counts[0, 0, 5, 5] = 1
    seen = in_float32(seen_of(counts, good=good, background=background))
    found, intensity = channels(seen, PRIOR)
    assert found.shape == (2, CHANNELS, 16, 16)
    assert bool(found.isfinite().all())
    assert bool((intensity > 0).all())
    answer, _ = network()(seen)[-1]
    assert bool(answer.mean.isfinite().all())
    assert bool(answer.precision.isfinite().all())
    assert bool((answer.precision[[0, 3, 5]] > 0).all())


def test_brightness_is_the_point_s_own_where_bright_and_the_neighbourhood_s_where_masked():
    counts, good = torch.full((1, 8, 17, 17), 100.0), torch.ones(1, 17, 17)
    counts[..., 8, 8], good[0, 3, 3] = 1e8, 0
    own, *_, wide = brightness(seen_of(counts, good=good).sums)
    assert float(own[0, 8, 8]) == pytest.approx(1e8, rel=1e-6)  # the neighbourhood counts for four photons of 8e8
    assert float(own[0, 3, 3]) == pytest.approx(float(brightness(seen_of(counts, good=good).sums[1:])[0][0, 3, 3]))
    flat = brightness(seen_of(torch.full((1, 8, 17, 17), 100.0)).sums)
    for level in (*flat, wide[:, :1, :1]):
        assert float((level - level.flatten()[0]).abs().max()) < 0.5 / 64 * 100  # the widest adds half a photon
    dark = brightness(seen_of(torch.zeros(1, 8, 17, 17)).sums)[0]
    assert float(dark.max()) < 0.5 / 64 * 8  # half a photon in the widest window, cut by a corner
    assert float(dark.min()) > 0


def test_estimates_tend_to_the_truth_as_photons_grow():
    theta = torch.tensor([[1.0], [0.6], [0.3]])
    z = unknowns(theta)[:, 0]
    rows = design_rows(F_PRIME[None], F_DOUBLE_PRIME[None], torch.tensor([F0]))[0]
    rate = rows @ z
    zeta = torch.linalg.solve(PRIOR.root, (z / rate.mean() - PRIOR.mean))
    misses = []
    for photons in (1e5, 1e7, 1e9):
        found = channels(seen_of((photons * rate).reshape(1, 8, 1, 1).expand(1, 8, 9, 9)), PRIOR)[0]
        misses.append(float((found[0, :4, 4, 4] - zeta).abs().max()))
        variance = ((found[0, 5:9, 4, 4] - 1) * 6).exp()
        assert float(variance.min()) > 0.99e-7
        assert float(variance.max()) <= 1 + 1e-9
    assert misses[2] < 1e-2 * misses[1] * 1.5  # the prior's pull goes as one over the photons
    assert misses[1] < misses[0]
    assert misses[2] < 1e-3


def test_estimate_is_the_mean_of_the_posterior(rng):
    """Linear Gaussian estimate by a dense solve: counts of variance r^2, prior of unit covariance."""
    counts = draw_counts(rng, (5, 5), batch=1)
    seen = seen_of(counts)
    found, intensity = channels(seen, PRIOR)
    photons = intensity[0, 2, 2] * 8
    matrix = PRIOR.root.T @ seen.normal[0] @ PRIOR.root
    residual = PRIOR.root.T @ (seen.sums[0][0, :4, 2, 2] - photons * seen.normal[0] @ PRIOR.mean)
    expected = torch.linalg.solve(torch.eye(4) + photons * matrix, residual)
    assert_close(found[0, :4, 2, 2], expected.clamp(-8, 8), rtol=1e-8, atol=1e-8)
    variance = torch.linalg.inv(torch.eye(4) + photons * matrix).diagonal()
    assert_close(((found[0, 5:9, 2, 2] - 1) * 6).exp(), variance, rtol=1e-8, atol=1e-12)


def test_background_dilutes_what_counts_say(rng):
    counts = draw_counts(rng, photons=1000.0)
    clean, drowned = (channels(seen_of(counts, background=level), PRIOR)[0] for level in (0.0, 1e7))
    assert float(drowned[:, :4].abs().max()) < 0.1 * float(clean[:, :4].abs().max())
    assert bool((drowned[:, 5:9] > clean[:, 5:9]).all())


# layers


@pytest.mark.parametrize("shape", [(16, 16), (9, 13), (1, 5)])
@pytest.mark.parametrize("changes", [{}, {"passes": 2}, {"polar": True}, {"attention": True}], ids=str)
def test_frames_of_any_size_are_answered(rng, shape, changes):
    seen = in_float32(seen_of(draw_counts(rng, shape)))
    answers = network(**changes)(seen)
    assert len(answers) == changes.get("passes", 1)
    for prediction, intensity in answers:
        assert prediction.mean.shape == (3, 2 * shape[0] * shape[1])
        assert intensity.shape == (2, *shape)
        assert prediction.mean.dtype == prediction.precision.dtype == torch.float32
        xx, xa, xb, aa, ab, bb = prediction.precision.double().detach()
        matrix = torch.stack([xx, xa, xb, xa, aa, ab, xb, ab, bb]).T.reshape(-1, 3, 3)
        assert float(torch.linalg.eigvalsh(matrix).min()) > 0


@pytest.mark.parametrize("passes", [1, 2])
def test_reach_is_what_it_says(rng, passes):
    seen = in_float32(seen_of(draw_counts(rng, (25, 25), batch=1)))
    net = network(passes=passes)
    assert net.reach == 4 * passes
    moved = tuple(one.clone() for one in seen.sums)
    for one in moved:
        one[0, :4, 12, 12] *= 1.5
    changed = (mean_of(net, seen._replace(sums=moved)) - mean_of(net, seen))[:, 0].abs().amax(0) > 0
    rows, columns = changed.nonzero().T - 12
    assert int(rows.abs().max()) == int(columns.abs().max()) == net.reach


def test_attention_sees_everything(rng):
    net = network(attention=True)
    assert net.reach is None
    seen = in_float32(seen_of(draw_counts(rng, (25, 25), batch=1)))
    moved = tuple(one.clone() for one in seen.sums)
    for one in moved:
        one[0, :4, 1, 1] *= 1.5
    changed = (mean_of(net, seen._replace(sums=moved)) - mean_of(net, seen)).abs()
    assert float(changed[..., 24, 24].max()) > 0


def test_frames_of_a_batch_do_not_tell_on_each_other(rng):
    counts = draw_counts(rng, (12, 12), batch=3)
    together = mean_of(network(), in_float32(seen_of(counts)))
    alone = mean_of(network(), in_float32(seen_of(counts[1:2])))
    assert_close(together[:, 1:2], alone, **FLOAT32)


def test_a_shifted_frame_has_the_shifted_answer_away_from_the_rims(rng):
    counts = draw_counts(rng, (40, 40), batch=1)
    net = network()
    plain, shifted = (mean_of(net, in_float32(seen_of(each))) for each in (counts, counts.roll((3, 5), (2, 3))))
    inner = 4 + 7 + 5  # reach, half the widest window and the shift
    there = plain.roll((3, 5), (2, 3))[..., inner:-inner, inner:-inner]
    assert_close(shifted[..., inner:-inner, inner:-inner], there, **FLOAT32)


def test_an_untrained_network_answers_the_prior(rng):
    net = build(TrainConfig(width=8, dilations=(1, 2)), torch.Generator().manual_seed(1))
    net.describe(statistics())
    mean = mean_of(net, in_float32(seen_of(draw_counts(rng))))
    assert_close(mean, statistics().mean.float()[:, None, None, None].expand_as(mean), **FLOAT32)


def test_whitening_is_the_inverse_of_the_root(rng):
    """At the start the precision is exp(2 x first guess) times the inverse prior covariance."""
    net = build(TrainConfig(width=8, dilations=(1, 2)), torch.Generator().manual_seed(1))
    net.describe(statistics())
    precision = net(in_float32(seen_of(draw_counts(rng))))[-1][0].precision[:, 0].detach().double()
    root = statistics().root
    inverse = torch.linalg.inv(root @ root.T)
    expected = torch.stack([inverse[i, j] for i in range(3) for j in range(i, 3)])
    assert_close(precision / precision[0], expected / expected[0], rtol=1e-4, atol=1e-6)
    assert float(precision[0] / expected[0]) == pytest.approx(math.e, rel=1e-4)


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(1)
    first = network().state_dict()
    torch.manual_seed(2)
    second = network().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = network(seed=4).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_polar_answers_lie_on_the_circle(rng):
    raw = 2 * torch.randn(4, 100, generator=rng)
    (x, a, b), circle = from_polar(*raw)
    assert bool((x > 0).all())
    # the length that cos and sin are divided by has 1e-6 added to its square
    modulus = nn.functional.softplus(raw[1]) * (circle / (circle + 1e-6)).sqrt()
    assert_close(torch.hypot(a, b), modulus, rtol=1e-10, atol=1e-12)
    assert_close(torch.atan2(b, a), torch.atan2(raw[3].tanh(), raw[2].tanh()), rtol=1e-10, atol=1e-12)
    assert_close(circle, raw[2].tanh().square() + raw[3].tanh().square(), rtol=1e-12, atol=0)
    found = network(polar=True)(in_float32(seen_of(draw_counts(rng))))[-1][0]
    assert found.circle.shape == found.mean[0].shape
    assert network()(in_float32(seen_of(draw_counts(rng))))[-1][0].circle is None


def test_second_pass_reads_the_counts_again(rng):
    """The first answers of both are the same; the second one's layers see what the counts made of it."""
    seen = in_float32(seen_of(draw_counts(rng)))
    net = network(passes=2)
    first, second = net(seen)
    assert not torch.equal(first[0].mean, second[0].mean)
    with torch.no_grad():
        net.bodies[1].leave.weight.zero_()
    again = net(seen)
    assert_close(again[1][0].mean, again[0][0].mean, **FLOAT32)


# the reference design


@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (4, 5)])
def test_patch_network_answers_frames_of_any_size(rng, shape):
    seen = in_float32(seen_of(draw_counts(rng, shape)))
    prediction, intensity = network(network="unet_patches")(seen)[-1]
    assert prediction.mean.shape == (3, 2 * shape[0] * shape[1])
    assert intensity.shape == (2, *shape)
    assert bool((prediction.mean[0] > 0).all())
    assert bool((prediction.precision[[0, 3, 5]] > 0).all())
    assert not bool(prediction.precision[[1, 2, 4]].any())


def test_patch_network_reads_counts_and_dispersion_and_no_masked_point(rng):
    counts, good = draw_counts(rng), torch.ones(2, 16, 16)
    good[:, 5, 5] = 0
    net, seen = network(network="unet_patches"), in_float32(seen_of(counts, good=good))
    plain = mean_of(net, seen)
    assert not torch.equal(mean_of(net, seen._replace(counts=seen.counts.flip(1))), plain)
    assert not torch.equal(mean_of(net, seen._replace(dispersion=seen.dispersion + 1)), plain)
    wild = seen.counts.clone()
    wild[..., 5, 5] = 1e6
    assert torch.equal(mean_of(net, seen._replace(counts=wild)), plain)


def test_patch_network_reaches_no_farther_than_it_says(rng):
    net, seen = network(network="unet_patches"), in_float32(seen_of(draw_counts(rng, (72, 72), batch=1)))
    for place in (34, 35, 36, 37):  # the four places that a point may have in the coarsest grid
        wild = seen.counts.clone()
        wild[..., place, place] += 1e4
        changed = (mean_of(net, seen._replace(counts=wild)) - mean_of(net, seen))[:, 0].abs().amax(0) > 0
        assert int((changed.nonzero() - place).abs().max()) <= net.reach
