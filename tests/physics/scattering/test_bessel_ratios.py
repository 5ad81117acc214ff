"""Amplitudes of slab, disc and ball near zero and far from it, with their slopes, in both precisions."""

import mpmath
import numpy as np
import pytest
import torch

from madpipe.physics.scattering.bessel_ratios import (
    ball_amplitude,
    bessel_j0,
    bessel_j1,
    disc_amplitude,
    slab_amplitude,
)

EXACT = {
    slab_amplitude: lambda x: mpmath.sin(x) / x,
    disc_amplitude: lambda x: 2 * mpmath.besselj(1, x) / x,
    ball_amplitude: lambda x: 3 * (mpmath.sin(x) - x * mpmath.cos(x)) / x**3,
}
PLACES = [1e-12, 1e-6, 1e-3, 0.1, 0.4999999, 0.5, 0.5000001, 1.0, 3.0, 4.9999, 5.0, 5.0001, 7.9, 30.0, 801.3]
amplitudes = pytest.mark.parametrize("amplitude", EXACT, ids=lambda function: function.__name__)


@amplitudes
def test_values_and_slopes_near_zero_and_far_from_it(amplitude):
    x = torch.tensor(PLACES, requires_grad=True)
    value = amplitude(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    with mpmath.workdps(60):
        expected = [float(EXACT[amplitude](mpmath.mpf(place))) for place in PLACES]
        steep = [float(mpmath.diff(EXACT[amplitude], mpmath.mpf(place), h=mpmath.mpf(10) ** -25)) for place in PLACES]
    envelope = 1 / np.maximum(1, np.array(PLACES))
    assert (np.abs(value.detach().numpy() - expected) < 2e-15 * envelope + 2e-16 * (np.array(PLACES) > 100)).all()
    assert (np.abs(slope.numpy() - steep) < 2e-14 * np.minimum(1, PLACES) * np.maximum(1, PLACES * envelope)).all()


@amplitudes
def test_zero_gives_one_and_no_slope(amplitude):
    x = torch.zeros(3, requires_grad=True)
    (slope,) = torch.autograd.grad(amplitude(x).sum(), x)
    assert (amplitude(x) == 1).all()
    assert (slope == 0).all()


@amplitudes
def test_they_are_even_and_keep_the_precision_given(amplitude):
    x = torch.linspace(0.01, 20, 500)
    assert torch.equal(amplitude(-x), amplitude(x))
    single = amplitude(x.float())
    assert single.dtype == torch.float32
    assert (single.double() - amplitude(x)).abs().max() < 4e-6  # closed forms at 0.5: eps 3/x^2, and the rounding of x


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # where torch looks for forward rules
@amplitudes
def test_both_directions_and_the_second_order_of_differentiation(amplitude):
    x = torch.tensor([0.2, 0.7, 5.0, 11.0], requires_grad=True)
    assert torch.autograd.gradcheck(amplitude, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(amplitude, x)


def test_bessel_functions_are_those_of_mpmath():
    """Torch's own miss by 1e-6 near 5."""
    x = torch.linspace(0.0, 40.0, 301)
    for found, order in ((bessel_j0(x), 0), (bessel_j1(x), 1)):
        expected = torch.tensor([float(mpmath.besselj(order, place)) for place in x.tolist()])
        assert (found - expected).abs().max() < 2e-15
