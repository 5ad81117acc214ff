"""The Fourier pair against the sum that defines it."""

import math

import pytest
import torch
from torch.testing import assert_close

from madpipe.physics.fourier import diffract, fourier_shift, grid, image, q_axis, real_axis


@pytest.mark.parametrize("shape", [(6,), (5, 4), (4, 5, 6)])
def test_diffract_is_the_sum_with_a_plus_sign(shape, rng):
    density = torch.randn(shape, generator=rng, dtype=torch.complex128)
    r = grid([real_axis(n, 2.0) for n in shape]).reshape(len(shape), -1)
    q = grid([q_axis(n, 2.0) for n in shape]).reshape(len(shape), -1)
    expected = torch.exp(1j * (q.T @ r)) @ density.reshape(-1)
    assert_close(diffract(density, len(shape)).reshape(-1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(7, 8), (4, 5, 6)])
def test_image_undoes_diffract_in_batches(shape, rng):
    density = torch.randn((3, *shape), generator=rng, dtype=torch.complex128)
    assert_close(image(diffract(density, len(shape)), len(shape)), density, rtol=0, atol=1e-13)


def test_moving_an_object_forward_turns_the_phase_forward(rng):
    density = torch.zeros(16, dtype=torch.complex128)
    density[8] = 1
    moved = torch.roll(density, 3)
    assert_close(diffract(moved, 1), torch.exp(3j * q_axis(16, 1.0)), rtol=0, atol=1e-13)


def test_shift_by_whole_voxels_is_a_roll(rng):
    density = torch.randn(8, 9, generator=rng, dtype=torch.complex128)
    shifted = fourier_shift(density, torch.tensor([2.0, -3.0]))
    assert_close(shifted, torch.roll(density, (2, -3), (0, 1)), rtol=0, atol=1e-13)


def test_q_axis_samples_the_reciprocal_cell():
    axis = q_axis(128, 50.0)
    assert axis[64] == 0
    assert_close(axis[65] - axis[64], torch.tensor(2 * math.pi / (128 * 50.0)))
