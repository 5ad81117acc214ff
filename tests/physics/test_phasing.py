"""Phasing against closed forms."""

import math

import pytest
import torch

from madpipe.physics import phasing
from madpipe.physics.alignment import align, average, register, twin
from madpipe.physics.fourier import diffract, fourier_shift, grid, image, real_axis

SHAPES = [(24, 25), (12, 13, 16)]
# float64, three transforms of at most 2500 points: eps x sqrt(log N) x sums is below 1e-13 of the largest term
ROUNDING = {"rtol": 1e-10, "atol": 1e-11}


def box(shape, half):
    position = grid([real_axis(size, 1.0) for size in shape])
    return (position.abs() <= half).all(0)


def noise(shape, rng):
    return torch.randn(shape, generator=rng, dtype=torch.complex128)


@pytest.fixture(params=SHAPES, ids=["2d", "3d"])
def case(request, rng):
    """A body with a strong phase, its moduli, and everything known."""
    shape = request.param
    support = box(shape, 3)
    position = grid([real_axis(size, 1.0) for size in shape])
    density = support * torch.exp(0.3j * (position[0] + 0.4 * position[1].square()))
    modulus = diffract(density, len(shape)).abs()
    return density, modulus, torch.ones(shape, dtype=torch.bool), support


def test_projection_has_the_measured_modulus_and_keeps_the_phase(case, rng):
    _, modulus, known, _ = case
    start = noise((2, *modulus.shape), rng)
    before, after = (diffract(d, modulus.ndim) for d in (start, phasing.project_modulus(start, modulus, known)))
    torch.testing.assert_close(after.abs(), modulus.expand_as(after.real), **ROUNDING)
    strong = modulus.expand_as(after.real) > 1e-3
    torch.testing.assert_close(after.sgn()[strong], before.sgn()[strong], rtol=1e-8, atol=1e-8)


def test_projection_leaves_unknown_points_as_they_are(case, rng):
    _, modulus, known, _ = case
    known = known & (torch.rand(modulus.shape, generator=rng) < 0.5)
    start = noise(modulus.shape, rng)
    after = diffract(phasing.project_modulus(start, modulus, known), modulus.ndim)
    torch.testing.assert_close(after[~known], diffract(start, modulus.ndim)[~known], **ROUNDING)
    torch.testing.assert_close(after.abs()[known], modulus[known], **ROUNDING)


@pytest.mark.parametrize(
    "step",
    [
        phasing.error_reduction,
        lambda *a: phasing.hybrid_input_output(*a, 0.9),
        lambda *a: phasing.relaxed_reflections(*a, 0.9),
    ],
    ids=["er", "hio", "raar"],
)
def test_the_truth_is_a_fixed_point(case, step):
    density, modulus, known, support = case
    torch.testing.assert_close(step(density, modulus, known, support), density, **ROUNDING)


def test_error_reduction_never_raises_the_error(case, rng):
    _, modulus, known, support = case
    density = noise((3, *modulus.shape), rng) * support
    errors = []
    for _ in range(20):
        errors.append(phasing.fourier_error(density, modulus, known))
        density = phasing.error_reduction(density, modulus, known, support)
    falls = torch.stack(errors).diff(dim=0)
    assert falls.max() < 1e-12
    assert falls.sum(0).max() < -0.05  # and it does fall


def test_steps_outside_the_support_follow_their_formulas(case, rng):
    _, modulus, known, support = case
    start = noise(modulus.shape, rng)
    projected = phasing.project_modulus(start, modulus, known)
    outside = ~support
    hio = phasing.hybrid_input_output(start, modulus, known, support, 0.7)
    raar = phasing.relaxed_reflections(start, modulus, known, support, 0.7)
    torch.testing.assert_close(hio[outside], (start - 0.7 * projected)[outside])
    torch.testing.assert_close(raar[outside], (0.7 * start + (1 - 1.4) * projected)[outside])
    for found in (hio, raar):
        torch.testing.assert_close(found[support], projected[support])


def test_error_reduction_is_the_projection_cut_to_the_support(case, rng):
    _, modulus, known, support = case
    start = noise(modulus.shape, rng)
    expected = phasing.project_modulus(start, modulus, known)
    expected[~support] = 0
    torch.testing.assert_close(phasing.error_reduction(start, modulus, known, support), expected)


def test_raar_is_the_relaxed_average_of_reflections(case, rng):
    _, modulus, known, support = case
    start, beta = noise(modulus.shape, rng), 0.8
    projected = phasing.project_modulus(start, modulus, known)
    reflected = 2 * projected - start
    twice = 2 * reflected * support - reflected
    definition = beta / 2 * (twice + start) + (1 - beta) * projected
    found = phasing.relaxed_reflections(start, modulus, known, support, beta)
    torch.testing.assert_close(found, definition, **ROUNDING)


def test_ceiling_cuts_moduli_and_keeps_phases(rng):
    density = noise((2, 9, 8), rng)
    support = torch.ones(2, 9, 8, dtype=torch.bool)
    cut = phasing.within_ceiling(density, support, 1.25, 2)
    rms = density.abs().square().mean((1, 2), keepdim=True).sqrt()
    torch.testing.assert_close(cut.abs(), torch.minimum(density.abs(), 1.25 * rms))
    torch.testing.assert_close(cut.sgn(), density.sgn())


def test_fourier_error_of_a_scaled_image_is_the_scale(case):
    density, modulus, known, _ = case
    torch.testing.assert_close(phasing.fourier_error(1.07 * density, modulus, known), torch.tensor(0.07), **ROUNDING)
    held_out = torch.zeros_like(known)
    held_out[0] = True
    torch.testing.assert_close(phasing.fourier_error(0.5 * density, modulus, held_out), torch.tensor(0.5), **ROUNDING)


def test_iterations_find_a_body_of_unknown_phases(rng):
    shape = (24, 24)
    position = grid([real_axis(24, 1.0)] * 2)
    support = (position[0].abs() <= 4) & (position[1].abs() <= 3) & (position.sum(0) < 4)
    truth = support * torch.exp(1j * torch.sin(position[0] / 2))
    modulus, known = diffract(truth, 2).abs(), torch.ones(shape, dtype=torch.bool)
    density = noise((6, *shape), rng) * support
    for _ in range(300):
        density = phasing.hybrid_input_output(density, modulus, known, support, 0.9)
    for _ in range(100):
        density = phasing.error_reduction(density, modulus, known, support)
    best = int(phasing.fourier_error(density, modulus, known).argmin())
    assert phasing.fourier_error(density, modulus, known)[best] < 1e-3
    assert align(density[best], truth).correlation > 0.999


@pytest.mark.parametrize("shape", [(32, 33), (24, 20, 21)])
def test_autocorrelation_of_a_centrosymmetric_convex_body_gives_the_body(shape):
    half = 3
    body = box(shape, half)
    intensity = diffract(body.to(torch.complex128), len(shape)).abs().square()
    found = phasing.autocorrelation_support(intensity, torch.zeros_like(intensity))
    assert torch.equal(found, body)


def test_autocorrelation_support_ignores_noise(rng):
    body = box((64, 64), 8)
    expected = diffract(body.to(torch.complex128), 2).abs().square()
    expected = expected * (1e6 / expected.sum())
    counts = torch.poisson(expected, generator=rng)
    found = phasing.autocorrelation_support(counts, counts)
    assert not (found & ~body).any()
    assert found.sum() > 0.7 * body.sum()


def test_dilation_and_interior_of_one_voxel_and_of_a_box():
    point = box((9, 9, 9), 0)
    assert phasing.dilate(point, 1).sum() == 7  # itself and 6 neighbours
    assert phasing.dilate(point, 2).sum() == 25  # |x| + |y| + |z| <= 2
    assert torch.equal(phasing.interior(phasing.dilate(point, 1), 3), point)
    assert torch.equal(phasing.interior(box((11, 10), 3), 2), box((11, 10), 2))


def test_smoothing_is_a_gaussian_of_unit_sum():
    density = torch.zeros(33, 32, dtype=torch.complex128)
    density[16, 16] = 2j
    smooth = phasing.smoothed_modulus(density, 2.0, 2)
    radius2 = grid([real_axis(33, 1.0), real_axis(32, 1.0)]).square().sum(0)
    # aliasing of exp(-q^2 sigma^2 / 2) at q = pi and the wrapped tail at 16 voxels are below exp(-19)
    torch.testing.assert_close(smooth, 2 * torch.exp(-radius2 / 8) / (8 * math.pi), rtol=0, atol=1e-8)


def test_shrink_to_threshold_halves_at_a_smoothed_edge():
    body = box((32, 32), 6).to(torch.complex128)
    assert torch.equal(phasing.shrink_to_threshold(body, 0.7, 0.4, 2), body.real > 0)


def test_shrink_to_volume_keeps_the_body_where_a_bright_spot_defeats_the_threshold():
    body = box((32, 32), 6)
    density = body.to(torch.complex128)
    density[16, 16] = 30.0
    wanted = int(body.sum())
    kept = phasing.shrink_to_volume(density[None], 0.5, wanted, phasing.dilate(body, 3))[0]
    assert torch.equal(kept, body)
    assert phasing.shrink_to_threshold(density, 0.5, 0.3, 2).sum() < wanted / 10


def test_transfer_function_is_the_resultant_length(case):
    density, modulus, _, _ = case
    agreed = phasing.transfer_function(torch.stack([density, density]), modulus)
    turned = phasing.transfer_function(torch.stack([density, 1j * density]), modulus)
    bright = modulus > 1e-6
    torch.testing.assert_close(agreed[bright], torch.ones_like(agreed[bright]))
    torch.testing.assert_close(turned[bright], torch.full_like(agreed[bright], math.sqrt(0.5)))


def test_shell_mean_of_the_radius_is_the_radius():
    radius = grid([real_axis(21, 1.0), real_axis(20, 1.0)]).norm(dim=0).round()
    means = phasing.shell_mean(radius, torch.ones_like(radius))
    torch.testing.assert_close(means, torch.arange(len(means), dtype=torch.float64))


@pytest.mark.parametrize("charge", [1, -1, 2])
def test_vortices_in_a_plane_are_counted(charge):
    # the axis lies inside one square for each unit of charge: 2 is two vortices apart
    x, y = grid([real_axis(20, 1.0)] * 2) + 0.5
    centres = [(0, 0)] if abs(charge) == 1 else [(0, 4), (0, -4)]
    phase = sum(torch.atan2(y - b, x - a) for a, b in centres) * (1 if charge > 0 else -1)
    everywhere = torch.ones(20, 20, dtype=torch.bool)
    density = torch.polar(torch.ones_like(phase), phase)
    assert phasing.count_vortices(density, everywhere, 2) == abs(charge)
    assert phasing.count_vortices(density, everywhere & (x > 2), 2) == 0
    assert phasing.count_vortices(density.abs() * torch.exp(2.5j * x), everywhere, 2) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_dislocation_line_counts_once_per_voxel_of_its_length(axis):
    position = grid([real_axis(size, 1.0) for size in (8, 9, 10)]) + 0.5
    first, second = (position[other] for other in range(3) if other != axis)
    density = torch.exp(1j * torch.atan2(first, second))
    everywhere = torch.ones(8, 9, 10, dtype=torch.bool)
    assert phasing.count_vortices(density[None], everywhere[None], 3).tolist() == [(8, 9, 10)[axis]]


@pytest.fixture(params=[(32, 33), (20, 21, 24)], ids=["2d", "3d"])
def smooth_object(request, rng):
    """A lop-sided object without content at the Nyquist frequency, so that fractions of a voxel are well defined."""
    shape = request.param
    position = grid([real_axis(size, 1.0) for size in shape])
    envelope = torch.exp(-((position[0] - 1) ** 2) / 8 - position[1:].square().sum(0) / 10)
    density = envelope * torch.exp(1j * (0.3 * position[0] + 0.1 * position[1] ** 2 + 0.05 * position[0] ** 2))
    q = grid([real_axis(size, 2 / size) for size in shape])
    return image(diffract(density, len(shape)) * (q.abs().amax(0) < 0.9), len(shape))


def test_twin_has_the_conjugate_structure_factor(rng):
    for shape in SHAPES:
        density = noise(shape, rng)
        expected = diffract(density, len(shape)).conj()
        torch.testing.assert_close(diffract(twin(density, len(shape)), len(shape)), expected.resolve_conj(), **ROUNDING)
        torch.testing.assert_close(twin(twin(density, len(shape)), len(shape)), density)


@pytest.mark.parametrize("twinned", [False, True])
def test_alignment_recovers_shift_twin_and_phase(smooth_object, twinned):
    ndim = smooth_object.ndim
    shift = torch.tensor([0.37, -2.81, 1.5])[:ndim]
    other = fourier_shift(smooth_object, shift) * (2.0 * torch.exp(torch.tensor(1.1j)))
    found = align(twin(other, ndim) if twinned else other, smooth_object)
    assert found.twinned is twinned
    torch.testing.assert_close(found.shift, -shift, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.density / 2, smooth_object, rtol=0, atol=1e-6)
    assert abs(found.correlation - 1) < 1e-9


def test_register_gives_the_overlap(smooth_object):
    _, overlap = register(smooth_object, 3j * smooth_object)
    torch.testing.assert_close(overlap, 3j * smooth_object.abs().square().sum().to(torch.complex128))


def test_support_moves_with_the_density(smooth_object):
    ndim = smooth_object.ndim
    support = smooth_object.abs() > 0.3
    moved = align(smooth_object.roll(3, 0), smooth_object, support.roll(3, 0), allow_twin=False)
    assert torch.equal(moved.support, support)
    turned = align(twin(smooth_object, ndim), smooth_object, twin(support, ndim))
    assert torch.equal(turned.support, support)


def test_average_of_moved_twins_is_the_object(smooth_object):
    ndim = smooth_object.ndim
    shift = torch.tensor([0.4, 1.3, -2.2])[:ndim]
    copies = [smooth_object, 1j * fourier_shift(smooth_object, shift), twin(smooth_object, ndim)]
    mean, aligned = average(torch.stack(copies))
    torch.testing.assert_close(mean, smooth_object, rtol=0, atol=1e-6)
    assert aligned.shape == (3, *smooth_object.shape)
