"""The contract of every shape in the registry: limits, volumes, voxels, scaling, gradients, both precisions."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from madpipe.physics.scattering.orientation import nodes_for
from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.physics.scattering.shapes.spheres import core_multi_shell

FORMS = list(FORM_FACTORS.values())
FINITE = [form for form in FORMS if not form.is_sheet]
VOXELS, PARTS, DIRECTIONS = 24, 6, 200  # along each axis of an octant; of a voxel; of q in the octant


def every(forms):
    return pytest.mark.parametrize("form", forms, ids=lambda form: form.name)


def defaults(form, batch=1):
    """Default lengths, and in further rows some 10 % others."""
    own = torch.tensor([spec.default for spec in form.lengths])
    return own * (1 + 0.1 * torch.arange(batch)[:, None] * torch.linspace(-1, 1, len(own) + 1)[1:])


def within_ball(half):
    return lambda x, y, z: x**2 + y**2 + z**2 < half**2


def within_ellipsoid(a, b, c):
    return lambda x, y, z: (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1


def within_rod(radius, length):
    return lambda x, y, z: (x**2 + y**2 < radius**2) & (z < length / 2)


def within_box(a, b, c):
    return lambda x, y, z: (x < a / 2) & (y < b / 2) & (z < c / 2)


def balls(*radii):
    return [within_ball(radius) for radius in np.cumsum(radii)]


# What each shape is made of, written apart from the kernels: from the inside outwards, then the half box around it.
SOLIDS = {
    "sphere": lambda r: (balls(r), 3 * [r]),
    "core_shell_sphere": lambda r, t: (balls(r, t), 3 * [r + t]),
    "core_multi_shell": lambda *r: (balls(*r), 3 * [sum(r)]),
    "vesicle": lambda r, t: (balls(r, t), 3 * [r + t]),
    "ellipsoid": lambda p, e: ([within_ellipsoid(e, e, p)], [e, e, p]),
    "triaxial_ellipsoid": lambda a, b, c: ([within_ellipsoid(a, b, c)], [a, b, c]),
    "cylinder": lambda r, h: ([within_rod(r, h)], [r, r, h / 2]),
    "core_shell_cylinder": lambda r, t, h: (
        [within_rod(r, h), within_rod(r + t, h + 2 * t)],
        [r + t, r + t, h / 2 + t],
    ),
    "bicelle": lambda r, t, f, h: (
        [within_rod(r, h), within_rod(r, h + 2 * f), within_rod(r + t, h + 2 * f)],
        [r + t, r + t, h / 2 + f],
    ),
    "hollow_cylinder": lambda r, t, h: ([within_rod(r, h), within_rod(r + t, h)], [r + t, r + t, h / 2]),
    "parallelepiped": lambda a, b, c: ([within_box(a, b, c)], [a / 2, b / 2, c / 2]),
}


def voxels(form):
    """Regions' shares of the voxels of an octant, the voxels' places and volume."""
    solids, half = SOLIDS[form.name](*(spec.default for spec in form.lengths))
    fine = [(np.arange(VOXELS * PARTS) + 0.5) / (VOXELS * PARTS) * extent for extent in half]
    filled = [solid(*np.meshgrid(*fine, indexing="ij", sparse=True)) for solid in solids]
    inside = [share.reshape(3 * (VOXELS, PARTS)).mean((1, 3, 5)) for share in filled]
    shells = [outer - inner for inner, outer in pairwise(inside)]
    axes = [axis.reshape(VOXELS, PARTS).mean(1) for axis in fine]
    return np.array(shells if form.hollow else [inside[0], *shells]), axes, 8 * np.prod(half) / VOXELS**3


def octant_directions():
    """Even spread of directions by the golden angle, folded into the octant that symmetry leaves."""
    number = np.arange(DIRECTIONS) + 0.5
    cosine, azimuth = number / DIRECTIONS, number * np.pi * (3 - 5**0.5)
    sine = np.sqrt(1 - cosine**2)
    return np.abs([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


@every(FINITE)
def test_voxels_summed_over_directions_agree_to_a_percent(form):
    regions, axes, volume = voxels(form)
    lengths = defaults(form)
    assert_close(form.volumes(lengths)[0].numpy(), regions.sum((1, 2, 3)) * volume, rtol=0.01, atol=0)
    rg = form.radius_of_gyration(lengths, torch.ones(1, len(form.regions)))[0]
    q = torch.tensor([0.3, 1.0, 2.0, 3.0]) / rg
    gram, mean = form.gram_and_mean(q, lengths)
    for place, wave in enumerate(q.tolist()):
        waves = [np.cos(wave * u[:, None] * axis) for u, axis in zip(octant_directions(), axes, strict=True)]
        amplitude = volume * np.einsum("kxyz,dx,dy,dz->dk", regions, *waves, optimize=True)
        summed = torch.tensor(amplitude.T @ amplitude / DIRECTIONS)
        scale = summed.diagonal().sqrt()
        assert ((gram[0, place] - summed).abs() / (scale[:, None] * scale)).max() < 0.01
        assert ((mean[0, place] - torch.tensor(amplitude.mean(0))).abs() / scale).max() < 0.01


@every(FINITE)
def test_at_zero_q_the_products_are_those_of_volumes(form):
    lengths = defaults(form, 3)
    gram, mean = form.gram_and_mean(torch.tensor([0.0, 1e-9]), lengths)
    volumes = form.volumes(lengths)
    assert_close(mean, volumes[:, None].expand_as(mean), rtol=1e-11, atol=0)  # sums of weights
    assert_close(gram, (volumes[:, :, None] * volumes[:, None])[:, None].expand_as(gram), rtol=1e-11, atol=0)


@every(FINITE)
def test_guinier_slope_is_the_radius_of_gyration(form):
    lengths = defaults(form, 3)
    contrasts = torch.linspace(1, 2, len(form.regions)).expand(3, -1)
    rg = form.radius_of_gyration(lengths, contrasts)
    q = torch.tensor([0.0, 1e-3, 2e-3]) / rg.max()
    intensity = torch.einsum("bk,bqkl,bl->bq", contrasts, form.gram(q, lengths), contrasts)
    near, far = (3 * (1 - intensity[:, place] / intensity[:, 0]) / q[place] ** 2 for place in (1, 2))
    assert_close(((4 * near - far) / 3).sqrt(), rg, rtol=1e-8, atol=0)  # the q^4 term is gone: 1e-12, rounding 1e-9


@every(FORMS)
def test_porod_limit_is_the_area_between_media(form):
    """A window of many oscillations leaves the limit; the next terms are as 1/q from edges, 1/q^2 from curvature."""
    least = min(spec.default for spec in form.lengths)
    lengths = defaults(form).clamp(max=3 * least)  # the larger the slower
    contrasts = torch.linspace(1, 2.5, len(form.regions))[None]
    q = torch.linspace(60.0, 140.0, 501) / least
    window = torch.sin(torch.linspace(0, torch.pi, len(q))) ** 2
    plateau = q**4 * torch.einsum("bk,bqkl,bl->bq", contrasts, form.gram(q, lengths), contrasts)[0]
    measured = (window * plateau).sum() / window.sum()
    assert_close(measured, form.porod_constant(lengths, contrasts)[0], rtol=0.015, atol=0)


@every(FORMS)
def test_scaling_all_lengths_scales_q(form):
    q, lengths, scale = torch.logspace(-3, 0, 12), defaults(form, 2), 3.7
    power = 4 if form.is_sheet else 6
    scaled = form.gram(q / scale, lengths * scale) / scale**power
    assert_close(scaled, form.gram(q, lengths), rtol=1e-9, atol=float(1e-12 * form.gram(q, lengths).max()))


@every(FORMS)
def test_gradients_are_those_of_differences(form):
    q = torch.tensor([0.003, 0.02, 0.09, 0.31])
    lengths = defaults(form, 2)[1]

    def values(of):
        gram, mean = form.gram_and_mean(q, of[None])
        return torch.cat([gram[0].flatten(1), mean[0]], dim=1)

    slopes = torch.autograd.functional.jacobian(values, lengths)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", ".*torch.jit.script", DeprecationWarning
        )  # torch's own, where it looks for it
        forwards = torch.func.jacfwd(values)(lengths)
    for place, length in enumerate(lengths):
        step = torch.zeros_like(lengths)
        step[place] = 1e-3 * min(1.0, length)
        near, far = ((values(lengths + k * step) - values(lengths - k * step)) / (2 * k * step[place]) for k in (1, 2))
        expected = (4 * near - far) / 3
        bound = 1e-6 * (expected.abs() + values(lengths).abs().amax(1, keepdim=True) / length)
        assert bool(((slopes[..., place] - expected).abs() < bound).all())
        assert bool(((forwards[..., place] - slopes[..., place]).abs() <= 1e-10 * bound / 1e-6).all())


@every(FORMS)
def test_products_are_positive_semidefinite_and_exceed_those_of_means(form):
    gram, mean = form.gram_and_mean(torch.logspace(-3, -0.3, 20), defaults(form, 2))
    scale = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    scatter = (gram - mean[..., :, None] * mean[..., None, :]) / (scale[..., :, None] * scale[..., None, :])
    assert torch.linalg.eigvalsh(scatter).min() > -1e-9


@every(FORMS)
def test_single_precision_follows_double(form):
    q, lengths = torch.logspace(-4, -1, 30), defaults(form, 2)
    if not form.is_sheet:
        q = torch.cat([torch.zeros(1), q])
    gram = form.gram(q.float(), lengths.float())
    assert gram.dtype == torch.float32
    scale = form.gram(q, lengths).diagonal(dim1=-2, dim2=-1).sqrt()
    largest = scale.flip(1).cummax(1).values.flip(1).unsqueeze(-1) * scale.flip(1).cummax(1).values.flip(1).unsqueeze(
        -2
    )
    reach = 1 + (q * form.reach(lengths)[:, None])[..., None, None]
    assert ((gram.double() - form.gram(q, lengths)).abs() / largest / reach).max() < 3e-5  # a phase rounds to eps q L


@every(FORMS)
def test_rows_do_not_depend_on_their_neighbours(form):
    q, lengths = torch.logspace(-3, -0.3, 9), defaults(form, 3)
    alone = torch.cat([form.gram(q, row[None]) for row in lengths])
    assert_close(form.gram(q, lengths), alone, rtol=1e-12, atol=0)


@every([form for form in FORMS if form.name in ("sphere", "cylinder", "hollow_cylinder", "vesicle")])
def test_outer_volume_is_that_of_the_material(form):
    of = {
        "sphere": lambda r: 4 / 3 * np.pi * r**3,
        "cylinder": lambda r, h: np.pi * r**2 * h,
        "hollow_cylinder": lambda r, t, h: np.pi * ((r + t) ** 2 - r**2) * h,
        "vesicle": lambda r, t: 4 / 3 * np.pi * ((r + t) ** 3 - r**3),
    }
    expected = of[form.name](*(spec.default for spec in form.lengths))
    assert_close(form.outer_volume(defaults(form))[0].item(), expected, rtol=1e-13, atol=0)


def test_a_matched_pair_has_no_radius_of_gyration():
    form = FORM_FACTORS["core_shell_sphere"]
    lengths = defaults(form)
    core, shell = form.volumes(lengths)[0]
    matched = torch.stack([1 / core, -0.99 / shell])[None]
    assert bool(form.radius_of_gyration(lengths, matched).isnan().all())
    assert form.radius_of_gyration(lengths, matched + 1j * matched.abs()).dtype == torch.float64


def test_a_shell_without_thickness_is_not_there():
    q = torch.logspace(-3, -0.5, 20)
    onion = core_multi_shell(2).gram(q, torch.tensor([[60.0, 10.0, 0.0]]))
    assert_close(onion[..., :2, :2], FORM_FACTORS["core_shell_sphere"].gram(q, torch.tensor([[60.0, 10.0]])))
    assert onion[..., 2, :].abs().max() == 0


def test_the_last_bits_of_a_length_do_not_change_a_curve():
    """Where the count of nodes changes, the curve goes on: the two rules agree to 1e-10."""
    form, q, radius = FORM_FACTORS["cylinder"], torch.tensor([0.2]), 15.0
    short, long = 900.0, 1100.0
    count = [nodes_for(q * (radius + length / 2)) for length in (short, long)]
    assert count[0] < count[1]
    for _ in range(60):
        middle = (short + long) / 2
        short, long = (middle, long) if nodes_for(q * (radius + middle / 2)) == count[0] else (short, middle)
    below, above = form.gram(q, torch.tensor([[radius, short * (1 - 1e-14)], [radius, long * (1 + 1e-14)]]))
    assert_close(below, above, rtol=1e-10, atol=0)
