"""How finely a stack samples its speckles: simulated particles of known oversampling."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.mad.config import SimulatedSample
from madpipe.mad.measured.oversampling import oversampling_of
from madpipe.mad.simulate.sample import simulate

GRID = 96


def stack_of(oversampling, photons, **changes):
    sample = SimulatedSample(dimensions=2, grid=GRID, oversampling=oversampling, photons=photons, **changes)
    return simulate(sample, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("oversampling", [2.5, 4.0, 6.0, 10.0])
@pytest.mark.parametrize("shape", ["facetted", "smooth"])
def test_bright_speckles_tell_their_sampling(oversampling, shape):
    found = oversampling_of(stack_of(oversampling, 1e8, shape=shape))
    # the extent is whole points of GRID / oversampling, two of them at worst; the far ends of the autocorrelation fade
    assert oversampling / (1 + 2 * oversampling / GRID) < found < 1.35 * oversampling


def test_fewer_photons_never_make_it_finer_than_it_is():
    bright, dim = (oversampling_of(stack_of(4.0, photons)) for photons in (1e9, 1e6))
    assert dim >= bright


def test_few_photons_tell_nothing():
    assert oversampling_of(stack_of(4.0, 1e4)) is None
    constant = stack_of(4.0, 1e8)
    alone = np.zeros_like(constant.data)
    alone[:, 3, 5] = 1
    assert oversampling_of(replace(constant, data=alone)) is None


def test_masked_counts_have_no_say():
    stack = stack_of(3.0, 1e8)
    mask = np.zeros(stack.shape, dtype=np.uint32)
    mask[10, 20] = 1
    wild = stack.data.copy()
    wild[:, 10, 20] = 10_000_000
    kept, spoilt = (oversampling_of(replace(stack, mask=mask, data=data)) for data in (stack.data, wild))
    assert kept == spoilt
    assert oversampling_of(replace(stack, data=wild)) != kept


def test_axes_of_any_order_give_the_same():
    stack = stack_of(3.0, 1e8)
    turned = replace(stack, data=stack.data.swapaxes(1, 2), qy=stack.qx, qx=stack.qy, truth=None, f0=20.0)
    assert oversampling_of(turned) == pytest.approx(oversampling_of(stack), rel=1e-9)
