"""Phasing against closed forms."""

import math

import pytest
import torch

from madpipe.physics import phasing
from madpipe.physics.alignment import align, average, register, remove_ramp, twin
from madpipe.physics.fourier import (
    centred,
    cornered,
    diffract,
    diffract_cornered,
    fourier_shift,
    grid,
    image,
    real_axis,
)

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


def slow_projection(density, modulus, weight):
    """The definition with centred transforms and a plain modulus; density and result cornered."""
    ndim = modulus.ndim
    factor = diffract(centred(density, ndim), ndim)
    moved = factor + weight * (modulus - factor.abs()) * factor.sgn()
    return cornered(image(moved, ndim), ndim)


def slow_er(density, project, support, beta):
    return project(density) * support


def slow_hio(density, project, support, beta):
    return torch.where(support, project(density), density - beta * project(density))


def slow_raar(density, project, support, beta):
    """Half the sum of the double reflection and the iterate, relaxed."""
    reflected = 2 * project(density) - density
    twice = 2 * reflected * support - reflected
    return beta / 2 * (twice + density) + (1 - beta) * project(density)


def slow_dm(density, project, support, beta):
    over = project(density) + (project(density) - density) / beta
    under = density * support - (density * support - density) / beta
    return density + beta * (over * support - project(under))


SLOW = {"er": slow_er, "hio": slow_hio, "raar": slow_raar, "dm": slow_dm}
steps = pytest.mark.parametrize("name", sorted(phasing.STEPS))


@pytest.fixture
def problem(case):
    """The case as a step sees it: cornered density, moduli and support; and the modulus."""
    density, modulus, known, support = case
    ndim = modulus.ndim
    return cornered(density, ndim), phasing.impose(modulus, known), cornered(support, ndim), cornered(modulus, ndim)


def test_projection_has_the_measured_modulus_and_keeps_the_phase(problem, rng):
    _, moduli, _, modulus = problem
    start = noise((2, *modulus.shape), rng)
    before, after = (diffract_cornered(d, modulus.ndim) for d in (start, phasing.project_modulus(start, moduli)))
    torch.testing.assert_close(after.abs(), modulus.expand_as(after.real), **ROUNDING)
    strong = modulus.expand_as(after.real) > 1e-3
    torch.testing.assert_close(after.sgn()[strong], before.sgn()[strong], rtol=1e-8, atol=1e-8)


def test_projection_leaves_unknown_points_as_they_are(case, rng):
    _, modulus, known, _ = case
    ndim = modulus.ndim
    known = known & (torch.rand(modulus.shape, generator=rng) < 0.5)
    start = noise(modulus.shape, rng)
    after = diffract(
        centred(phasing.project_modulus(cornered(start, ndim), phasing.impose(modulus, known)), ndim), ndim
    )
    torch.testing.assert_close(after[~known], diffract(start, ndim)[~known], **ROUNDING)
    torch.testing.assert_close(after.abs()[known], modulus[known], **ROUNDING)


def test_nothing_projects_to_nothing(problem):
    density, moduli, _, _ = problem
    assert not phasing.project_modulus(torch.zeros_like(density), moduli).any()


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0, 10.0])
def test_projection_relaxes_as_the_error_grows(case, rng, share):
    """One value of sigma / |F| everywhere within a shell of uniform |F|: w = (1 - s^2) / 1 with s^2 cut at 1."""
    _, modulus, known, _ = case
    ndim = modulus.ndim
    flat = torch.ones_like(modulus)
    start = noise(modulus.shape, rng)
    moduli = phasing.impose(flat, known, share * flat)
    weight = max(1 - share**2, 0.0)  # tau^2 = 1 - s^2, so that tau^2 / (tau^2 + s^2) = 1 - s^2
    expected = slow_projection(start, flat, weight)
    torch.testing.assert_close(phasing.project_modulus(start, moduli), expected, **ROUNDING)
    assert ndim == moduli.ndim


def test_a_weak_point_that_was_measured_well_is_imposed_and_a_noisy_one_floats(case):
    _, modulus, known, _ = case
    modulus = torch.ones_like(modulus)
    weak, noisy = (0, 3), (5, 3)  # far from each other; all in one or another wide shell
    error = torch.full_like(modulus, 1e-4)
    modulus[weak] = 1e-3
    error[noisy] = 1e3
    moduli = phasing.impose(modulus, known, error)
    free = centred(moduli.free, modulus.ndim)
    assert free[weak].max() < 1e-6
    assert free[noisy].min() > 1 - 1e-5


@steps
@pytest.mark.parametrize("dtype", [torch.complex128, torch.complex64])
def test_a_step_is_its_definition(case, rng, name, dtype):
    _, modulus, known, support = case
    ndim = modulus.ndim
    known = known & (torch.rand(modulus.shape, generator=rng) < 0.8)
    error = torch.rand(modulus.shape, generator=rng) * modulus.mean()
    start = noise((3, *modulus.shape), rng)
    supports = cornered(torch.stack([support, support.roll(1, 0), support.roll(2, 1)]), ndim)
    moduli = phasing.impose(modulus, known, error)
    weight = 1 - centred(moduli.free, ndim)
    expected = SLOW[name](start, lambda x: slow_projection(x, modulus, weight), supports, 0.7)
    single = phasing.impose(modulus.to(dtype.to_real()), known, error.to(dtype.to_real()))
    found = phasing.STEPS[name](start.to(dtype), single, supports, 0.7, math.inf)
    close = ROUNDING if dtype == torch.complex128 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(found, expected.to(dtype), **close)


@steps
@pytest.mark.parametrize("beta", [0.7, 1.0])
def test_the_truth_is_a_fixed_point(problem, name, beta):
    density, moduli, support, _ = problem
    # the body's modulus is 1 everywhere, so a ceiling above it cuts nothing
    for ceiling in (math.inf, 1.25):
        found = phasing.STEPS[name](density, moduli, support, beta, ceiling)
        torch.testing.assert_close(found, density, **ROUNDING)


@steps
def test_a_step_changes_none_of_its_arguments(problem, rng, name):
    _, moduli, support, _ = problem
    start = noise(support.shape, rng)
    before = [start.clone(), *(part.clone() for part in moduli[:2]), support.clone()]
    phasing.STEPS[name](start, moduli, support, 0.8, 1.25)
    for old, new in zip(before, [start, *moduli[:2], support], strict=True):
        assert torch.equal(old, new)


@steps
def test_seeds_do_not_see_each_other(problem, rng, name):
    _, moduli, support, _ = problem
    starts = noise((3, *support.shape), rng)
    together = phasing.STEPS[name](starts, moduli, support, 0.8, 1.25)
    alone = phasing.STEPS[name](starts[1], moduli, support, 0.8, 1.25)
    torch.testing.assert_close(together[1], alone, **ROUNDING)


@steps
def test_the_ceiling_cuts_what_a_step_leaves_in_the_support(problem, rng, name):
    _, moduli, support, _ = problem
    start = noise(support.shape, rng)
    inside = slow_within_ceiling(phasing.project_modulus(start, moduli), support, 1.1)
    found = phasing.STEPS[name](start, moduli, support, 1.0, 1.1)
    if name != "dm":  # its overshoot is cut, not the projection
        torch.testing.assert_close(found[support], inside[support], **ROUNDING)
    free = phasing.STEPS[name](start, moduli, support, 1.0, math.inf)
    assert (found - free)[support].abs().max() > 0.01
    torch.testing.assert_close(found[~support], free[~support], **ROUNDING)


def slow_within_ceiling(density, support, ceiling):
    rms = density[support].abs().square().mean().sqrt()
    return torch.where(support, density.sgn() * density.abs().clamp(max=ceiling * rms), 0)


def test_the_difference_map_at_beta_1_is_hybrid_input_output(problem, rng):
    _, moduli, support, _ = problem
    start = noise((2, *support.shape), rng)
    dm, hio = (phasing.STEPS[name](start, moduli, support, 1.0, math.inf) for name in ("dm", "hio"))
    torch.testing.assert_close(dm, hio, **ROUNDING)


def test_error_reduction_never_raises_the_error(problem, rng):
    _, moduli, support, modulus = problem
    known = torch.ones_like(support)
    density = noise((3, *modulus.shape), rng) * support
    errors = []
    for _ in range(20):
        errors.append(phasing.fourier_error(density, modulus, known))
        density = phasing.error_reduction(density, moduli, support)
    falls = torch.stack(errors).diff(dim=0)
    assert falls.max() < 1e-12
    assert falls.sum(0).max() < -0.05  # and it does fall


def blurred(modulus, lengths):
    """Modulus under partial coherence: the autocorrelation times the Gaussian coherence of distance."""
    position = grid([real_axis(size, 1.0) for size in modulus.shape])
    coherence = torch.exp(-sum((r / length) ** 2 for r, length in zip(position, lengths, strict=True)) / 2)
    correlation = image(modulus.square().to(torch.complex128), modulus.ndim)
    return diffract(correlation * coherence, modulus.ndim).real.clamp(min=0).sqrt()


def test_the_truth_is_a_fixed_point_under_partial_coherence(case):
    density, modulus, known, _ = case
    ndim = modulus.ndim
    lengths = [5.0, 7.0, 6.0][:ndim]
    measured = blurred(modulus, lengths)
    moduli = phasing.impose(measured, known, None, lengths)
    start = cornered(density, ndim)
    torch.testing.assert_close(phasing.project_modulus(start, moduli), start, rtol=1e-8, atol=1e-8)
    assert (phasing.project_modulus(start, moduli._replace(coherence=None)) - start).abs().max() > 0.05
    error = phasing.fourier_error(start, cornered(measured, ndim), cornered(known, ndim), moduli.coherence)
    assert error < 1e-7


def test_partial_coherence_taken_into_account_gives_the_better_image(rng):
    truth, support = lopsided_body()
    known, lengths = torch.ones_like(support), [8.0, 8.0]
    measured = blurred(diffract(truth, 2).abs(), lengths)
    found = {}
    for name, taken in (("taken", lengths), ("ignored", None)):
        density = noise((6, *support.shape), rng) * cornered(support, 2)
        moduli = phasing.impose(measured, known, None, taken)
        density = run(density, moduli, cornered(support, 2))
        errors = phasing.fourier_error(density, cornered(measured, 2), cornered(known, 2), moduli.coherence)
        found[name] = align(centred(density[errors.argmin()], 2), truth).correlation
    assert found["taken"] > 0.999
    assert 1 - found["ignored"] > 5 * (1 - found["taken"])


def lopsided_body():
    position = grid([real_axis(24, 1.0)] * 2)
    support = (position[0].abs() <= 4) & (position[1].abs() <= 3) & (position.sum(0) < 4)
    return support * torch.exp(1j * torch.sin(position[0] / 2)), support


def run(density, moduli, support, name="hio", beta=0.9):
    for _ in range(300):
        density = phasing.STEPS[name](density, moduli, support, beta, math.inf)
    for _ in range(100):
        density = phasing.error_reduction(density, moduli, support)
    return density


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_held_out_points_are_the_share_asked_for_in_balls_off_the_centre(rng, share):
    known = torch.ones(64, 48, 40, dtype=torch.bool)
    known[:20] = False
    held = phasing.draw_held_out(known, share, 6.0, rng)
    radius = grid([real_axis(size, 1.0) for size in known.shape]).norm(dim=0)
    assert not held[~known].any()
    assert not held[radius <= 6.0].any()
    allowed = known & (radius > 6)
    # balls of 19 points: the count of points in them has at most 19 times a Poisson count's variance
    expected = share * int(allowed.sum())
    assert abs(int(held.sum()) - expected) < 4 * math.sqrt(19 * expected)
    inner = held & held.roll(1, 0) & held.roll(-1, 0)
    assert inner.sum() > held.sum() / 10  # singles would give share^2


def test_no_share_holds_out_nothing(rng):
    assert not phasing.draw_held_out(torch.ones(20, 20, dtype=torch.bool), 0.0, 2.0, rng).any()


def test_held_out_points_tell_a_wrong_support(rng):
    """A support too small misses at the held-out points; one too large fits what it was given better than them."""
    truth, support = lopsided_body()
    modulus, known = diffract(truth, 2).abs(), torch.ones_like(support)
    held = phasing.draw_held_out(known, 0.06, 4.0, rng)
    moduli = phasing.impose(modulus, known & ~held)
    cases = {"true": support, "small": support & support.roll(1, 0), "large": phasing.dilate(support, 3)}
    free = {}
    for name, tried in cases.items():
        density = run(noise((6, *support.shape), rng) * cornered(tried, 2), moduli, cornered(tried, 2))
        free[name] = float(phasing.fourier_error(density, cornered(modulus, 2), cornered(held, 2)).min())
    assert free["true"] < 0.2 * min(free["small"], free["large"])


def test_ceiling_cuts_moduli_and_keeps_phases(rng):
    density = noise((2, 9, 8), rng)
    support = torch.ones(2, 9, 8, dtype=torch.bool)
    support[:, 0] = False
    cut = phasing.within_ceiling(density, support, 1.25, 2)
    for seed in range(2):
        torch.testing.assert_close(cut[seed], slow_within_ceiling(density[seed], support[seed], 1.25))


def test_fourier_error_of_a_scaled_image_is_the_scale(problem):
    density, _, support, modulus = problem
    known = torch.ones_like(support)
    torch.testing.assert_close(phasing.fourier_error(1.07 * density, modulus, known), torch.tensor(0.07), **ROUNDING)
    held_out = torch.zeros_like(known)
    held_out[0] = True
    torch.testing.assert_close(phasing.fourier_error(0.5 * density, modulus, held_out), torch.tensor(0.5), **ROUNDING)


@pytest.mark.parametrize(("name", "beta"), [("hio", 0.9), ("raar", 0.9), ("dm", 0.9), ("dm", 1.0)])
def test_iterations_find_a_body_of_unknown_phases(rng, name, beta):
    truth, support = lopsided_body()
    modulus, known = diffract(truth, 2).abs(), torch.ones_like(support)
    start = noise((6, *support.shape), rng) * cornered(support, 2)
    density = run(start, phasing.impose(modulus, known), cornered(support, 2), name, beta)
    errors = phasing.fourier_error(density, cornered(modulus, 2), known)
    assert errors.min() < 1e-3
    assert align(centred(density[errors.argmin()], 2), truth).correlation > 0.999


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


@pytest.mark.parametrize("level", [0.3, 0.5, 0.7])
def test_shrink_to_level_puts_an_edge_where_the_smoothed_step_has_that_level(level):
    """A half-space smoothed by s voxels: erfc(x / (s sqrt 2)) / 2 is the level; a bright spot moves it little."""
    size, sigma = 64, 2.0
    place = real_axis(size, 1.0)[:, None].expand(size, size)
    body = (place.abs() < 16).to(torch.complex128)
    loose = place.abs() < 22
    found = phasing.shrink_to_level(body, sigma, level, loose)
    smooth = phasing.smoothed_modulus(body, sigma, 2)
    rms = float(smooth[loose].square().mean().sqrt())
    outward = (place[:, 0] - 15.5).clamp(min=-8)  # the edge of the voxels inside lies at 15.5
    expected = 0.5 * torch.erfc(outward / (sigma * math.sqrt(2))) > level * rms
    upper = place[:, 0] > 8
    assert torch.equal(found[upper, 0], expected[upper])
    kept = phasing.shrink_to_threshold(body, sigma, level, 2).sum()
    body[32, 32] = 100.0
    lost = found.sum() - phasing.shrink_to_level(body, sigma, level, loose).sum()
    assert lost < (kept - phasing.shrink_to_threshold(body, sigma, level, 2).sum()) / 3


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
    agreed = phasing.transfer_function(torch.stack([density, density]))
    turned = phasing.transfer_function(torch.stack([density, 1j * density]))
    bright = modulus > 1e-6
    torch.testing.assert_close(agreed[bright], torch.ones_like(agreed[bright]))
    torch.testing.assert_close(turned[bright], torch.full_like(agreed[bright], math.sqrt(0.5)))


def test_shell_mean_of_the_radius_is_the_radius():
    radius = grid([real_axis(21, 1.0), real_axis(20, 1.0)]).norm(dim=0).round()
    means = phasing.shell_mean(radius, torch.ones_like(radius))
    torch.testing.assert_close(means, torch.arange(len(means), dtype=torch.float64))


@pytest.mark.parametrize(("limit", "expected"), [(0.5, 0.5), (1 / math.e, 1 - 1 / math.e), (0.04, 0.96)])
def test_resolution_of_a_transfer_function_that_falls_linearly(limit, expected):
    radius = grid([real_axis(size, 1.0) for size in (64, 80)]).norm(dim=0).round()
    transfer = (1 - radius / 32).clamp(min=0)
    known = torch.ones(64, 80, dtype=torch.bool)
    assert phasing.resolution(transfer, known, limit) == pytest.approx(expected, abs=1e-12)
    # shells that were not measured are passed over; the line through the others is the same
    assert phasing.resolution(transfer, known & (radius % 3 > 0), limit) == pytest.approx(expected, abs=1e-12)


def test_resolution_at_its_ends():
    known = torch.ones(20, 20, dtype=torch.bool)
    assert phasing.resolution(torch.ones(20, 20), known) == 1.0
    assert phasing.resolution(torch.zeros(20, 20), known) == 0.0


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


@pytest.mark.parametrize("ramp", [(0.0, 0.0, 0.0), (0.31, -0.043, 0.2), (-1.2, 0.7, 0.01)])
def test_a_ramp_is_found_and_taken_off(smooth_object, ramp):
    flat, _ = remove_ramp(smooth_object)
    position = grid([real_axis(size, 1.0) for size in flat.shape])
    ramp = torch.tensor(ramp)[: flat.ndim]
    tilted = flat * torch.exp(-1j * torch.tensordot(ramp, position, dims=1))
    found = remove_ramp(tilted)
    torch.testing.assert_close(found.ramp, ramp, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.density, flat, rtol=0, atol=1e-8)
    # the brightest of the grid's points is then the origin, and no step along q leads higher
    factor = diffract(found.density, flat.ndim).abs()
    assert int(factor.argmax()) == ravel(flat.shape)
    for shift in position.flatten(1).T[:3] / 1e3:
        tried = (found.density * torch.exp(1j * torch.tensordot(shift, position, dims=1))).sum().abs()
        assert tried <= factor.max()


def ravel(shape):
    """Flat index of the origin of a centred grid."""
    index = 0
    for size in shape:
        index = index * size + size // 2
    return index


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
