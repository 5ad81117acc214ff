"""Distributions of sizes against closed forms of Schulz's, and against dense sums written apart."""

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from torch.testing import assert_close

from madpipe.physics.scattering.distributions import DISTRIBUTIONS, density, limits, node_counts, nodes_and_weights
from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.physics.scattering.shapes.size_averages import size_averages, spread_of

WIDTHS = (0.01, 0.1, 0.3, 0.5)


def moment(kind, width, power):
    """Mean power of the size by the rule itself."""
    p, still = torch.tensor([width]), torch.zeros(1)
    cut = limits(kind, p, 6.0, 1e-12)
    count = int(node_counts(kind, p, cut, still, 1e-12))
    x, weight = nodes_and_weights(kind, p, cut, still, count)
    return float((weight * x**power).sum())


@pytest.mark.parametrize("width", [0.003, *WIDTHS])
@pytest.mark.parametrize("kind", ["schulz", "lognormal"])
def test_mean_and_width_are_those_asked_for(kind, width):
    assert abs(moment(kind, width, 0) - 1) < 1e-9
    assert abs(moment(kind, width, 1) - 1) < 1e-9
    assert abs(sqrt(moment(kind, width, 2) - moment(kind, width, 1) ** 2) / width - 1) < 1e-9 / width**2


@pytest.mark.parametrize("width", [0.003, 0.05, 0.14])
@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_mean_and_width_are_those_asked_for_while_nothing_is_cut(kind, width):
    assert abs(moment(kind, width, 1) - 1) < 1e-9
    assert abs(sqrt(moment(kind, width, 2) - 1) / width - 1) < 1e-9 / width**2


def test_a_gaussian_cut_at_zero_is_scaled_back():
    assert abs(moment("gaussian", 0.5, 0) - 1) < 1e-11
    assert abs(moment("uniform", 0.9, 0) - 1) < 1e-11
    cut = np.exp(-2.0) / sqrt(2 * np.pi) * 0.5 / 0.9772498680518208  # of a normal from -2 standard deviations
    assert abs(moment("gaussian", 0.5, 1) - 1 - cut) < 1e-11


@pytest.mark.parametrize("width", [0.05, 0.2, 0.5])
def test_schulz_and_lognormal_third_moments_are_closed_forms(width):
    k = width**-2
    assert_close(moment("schulz", width, 3), (k + 1) * (k + 2) / k**2, rtol=1e-10, atol=0)
    assert_close(moment("lognormal", width, 6), (1 + width**2) ** 15, rtol=1e-10, atol=0)


def schulz_term(power, rate, k):
    """Mean of x^m exp(i w x) over Schulz's density of mean 1."""
    return np.exp(gammaln(k + power) - gammaln(k) - power * np.log(k) - (k + power) * np.log(1 - 1j * rate / k))


def schulz_product(q, one, other, k):
    r"""Mean product of the amplitudes of two balls of radii a + b x: Im A Im A' with A = (1 - iqR) exp(iqR)."""

    def mean(first, second, sign):
        (a, b), (c, d) = first, second
        left, right = np.array([1 - 1j * q * a, -1j * q * b]), np.array([1 - sign * 1j * q * c, -sign * 1j * q * d])
        phase, rate = q * (a + sign * c), q * (b + sign * d)
        polynomial = np.convolve(left, right)
        terms = [coefficient * schulz_term(power, rate, k) for power, coefficient in enumerate(polynomial)]
        return np.exp(1j * phase) * sum(terms)

    return (4 * np.pi / q**3) ** 2 * 0.5 * (mean(one, other, -1) - mean(one, other, +1)).real


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("name", "lengths", "varied"),
    [
        ("sphere", (100.0,), None),
        ("core_shell_sphere", (100.0, 20.0), None),
        ("core_shell_sphere", (100.0, 20.0), "core_radius"),
        ("vesicle", (100.0, 20.0), "core_radius"),
    ],
)
def test_schulz_balls_equal_their_closed_form(name, lengths, varied, width):
    """Heinemann's closed forms, q R from 3 (they cancel below) to 200."""
    form, q = FORM_FACTORS[name], torch.tensor([0.03, 0.07, 0.15, 0.4, 1.0, 2.0])
    found = size_averages(
        form, q, torch.tensor([lengths]), "schulz", torch.tensor([width]), spread_of(form, varied)
    ).gram[0]
    constant, varying = np.zeros(2), np.cumsum(lengths)
    if varied:
        constant, varying = np.array([0.0, lengths[1]]), np.array([lengths[0], lengths[0]])
    balls = list(zip(constant, varying, strict=False))[: len(lengths)]
    for place, wave in enumerate(q.tolist()):
        products = np.array([[schulz_product(wave, one, two, width**-2) for two in balls] for one in balls])
        outward = np.array([[1.0, 0.0], [-1.0, 1.0]])[: len(balls), : len(balls)]
        expected = outward @ products @ outward.T
        expected = expected[1:, 1:] if form.hollow else expected
        scale = np.sqrt(np.diag(expected))
        rounding = 1e-14 * np.diag(products).max() / scale.min() ** 2  # of differences of balls
        assert (np.abs(found[place].numpy() - expected) / np.outer(scale, scale)).max() < 1e-8 + rounding


def dense(form, q, lengths, kind, width, spread, panels=4000):
    """Averages by 16 nodes in each of many panels of ln x."""
    span = {"lognormal": (-4.5, 4.5), "schulz": (-9.0, 2.5)}.get(kind, (-22.0, np.log(1 + 9 * width)))
    if kind == "uniform":
        span = (np.log(1 - sqrt(3) * width), np.log(1 + sqrt(3) * width))
    elif width < 0.12:
        span = (np.log(1 - 8 * width), np.log(1 + 9 * width))
    node, weight = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(*span, panels + 1)
    y = ((edges[:-1] + edges[1:]) / 2)[:, None] + (edges[1] - edges[0]) / 2 * node
    x = torch.tensor(np.exp(y).ravel())
    share = x * torch.tensor(np.tile(weight * (edges[1] - edges[0]) / 2, panels))
    share = share * density(kind, x[None], torch.tensor([width]))[0]
    sizes = lengths * (1 + spread * (x[:, None] - 1))
    packed = torch.stack([share @ form.at_points(wave.expand(len(x)), sizes) for wave in q])
    return *form.unpacked(packed[None]), share @ form.volumes(sizes)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.parametrize("varied", [None, "core_radius", "thickness"])
def test_averages_equal_a_dense_sum(kind, width, varied):
    form, q = FORM_FACTORS["core_shell_sphere"], torch.tensor([0.0005, 0.01, 0.045, 0.2, 2.0])
    lengths, spread = torch.tensor([100.0, 20.0]), spread_of(form, varied)
    found = size_averages(form, q, lengths[None], kind, torch.tensor([width]), spread)
    gram, mean, volumes = dense(form, q, lengths, kind, width, spread)
    scale = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    assert ((found.gram - gram).abs() / (scale[..., :, None] * scale[..., None, :])).max() < 1e-8
    assert ((found.mean - mean).abs() / scale).max() < 1e-8
    assert_close(found.volumes[0], volumes, rtol=1e-8, atol=0)
    assert_close(found.outer_volume, volumes.sum()[None], rtol=1e-8, atol=0)


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_rods_of_spread_length_equal_a_dense_sum(kind):
    form, q = FORM_FACTORS["cylinder"], torch.tensor([0.003, 0.05, 0.3])
    lengths, spread = torch.tensor([15.0, 300.0]), spread_of(form, "length")
    found = size_averages(form, q, lengths[None], kind, torch.tensor([0.25]), spread)
    gram, _, volumes = dense(form, q, lengths, kind, 0.25, spread, panels=100)
    assert_close(found.gram, gram, rtol=1e-8, atol=0)
    assert_close(found.volumes[0], volumes, rtol=1e-8, atol=0)


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.parametrize("width", [0.08, 0.4])
def test_gradients_of_width_and_lengths_are_those_of_differences(kind, width):
    form, q = FORM_FACTORS["core_shell_sphere"], torch.tensor([0.004, 0.05, 0.2])
    spread = spread_of(form, "core_radius")

    def values(numbers):
        found = size_averages(form, q, numbers[None, :2], kind, numbers[2:], spread)
        return torch.cat([found.gram.flatten(), found.volumes.flatten()]) / scale

    at, scale = torch.tensor([70.0, 12.0, width]), 1.0
    scale = values(at).abs()
    slopes = torch.autograd.functional.jacobian(values, at)
    for place in range(3):
        step = torch.zeros(3)
        step[place] = 1e-3 * at[place]
        near, far = ((values(at + k * step) - values(at - k * step)) / (2 * k * step[place]) for k in (1, 2))
        # the error of the rule, 1e-9, over the step
        assert_close(slopes[:, place] * at[place], (4 * near - far) / 3 * at[place], rtol=1e-5, atol=1e-5)


def test_a_looser_tolerance_is_kept():
    form, q = FORM_FACTORS["sphere"], torch.logspace(-3, 0, 30)
    for kind in DISTRIBUTIONS:
        given = (form, q, torch.tensor([[80.0], [120.0]]), kind, torch.tensor([0.1, 0.35]), spread_of(form, None))
        exact, loose = size_averages(*given).gram, size_averages(*given, tolerance=1e-5).gram
        assert (loose / exact - 1).abs().max() < 2e-5


def test_an_unknown_length_is_named():
    with pytest.raises(ValueError, match="height"):
        spread_of(FORM_FACTORS["cylinder"], "height")


def test_a_narrow_schulz_keeps_its_norm():
    """k = 1e8: terms of 1e9 would cancel in the logarithm if it were not written as ln(1 + d) - d."""
    assert abs(moment("schulz", 1e-4, 0) - 1) < 1e-9
