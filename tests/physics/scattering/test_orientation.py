"""Averages over orientation against brute force, written apart, where fixed rules fail: long rods and wide disks."""

import numpy as np
import pytest
import torch
from scipy.special import j1

from madpipe.physics.scattering.orientation import directions, nodes_for
from madpipe.physics.scattering.shapes.registry import FORM_FACTORS


def brute(f, panels=3000):
    """Mean of f and f^2 over a hemisphere: 16 Gauss nodes in each of many panels of the angle."""
    node, weight = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(0, np.pi / 2, panels + 1)
    angle = ((edges[:-1] + edges[1:]) / 2)[:, None] + (edges[1] / 2) * node
    value, measure = f(np.cos(angle), np.sin(angle)), edges[1] / 2 * weight * np.sin(angle)
    return (measure * value).sum(), (measure * value**2).sum()


def rod(q, radius, length):
    def amplitude(cosine, sine):
        across = q * radius * sine
        return np.pi * radius**2 * length * 2 * j1(across) / across * np.sinc(q * length / 2 * cosine / np.pi)

    return amplitude


def spheroid(q, polar, equatorial):
    def amplitude(cosine, sine):
        x = q * np.hypot(polar * cosine, equatorial * sine)
        return 4 * np.pi / 3 * polar * equatorial**2 * 3 * (np.sin(x) - x * np.cos(x)) / x**3

    return amplitude


@pytest.mark.parametrize(
    ("name", "lengths", "q"),
    [
        ("cylinder", (20.0, 400.0), 0.3),
        ("cylinder", (20.0, 10000.0), 0.1),
        ("cylinder", (20.0, 10000.0), 0.5),  # q L / 2 = 2500
        ("cylinder", (2.0, 50000.0), 0.4),  # q L / 2 = 10000
        ("cylinder", (750.0, 10.0), 0.2),
        ("cylinder", (750.0, 10.0), 1.0),  # q R = 750
        ("cylinder", (3000.0, 25.0), 0.5),
        ("cylinder", (800.0, 1600.0), 0.7),
        ("ellipsoid", (20.0, 2000.0), 0.5),
        ("ellipsoid", (2000.0, 20.0), 0.5),
        ("ellipsoid", (50.0, 50.0 * (1 + 1e-12)), 0.1),
    ],
)
def test_long_rods_and_wide_disks_equal_brute_force(name, lengths, q):
    mean, square = brute({"cylinder": rod, "ellipsoid": spheroid}[name](q, *lengths))
    gram, first = FORM_FACTORS[name].gram_and_mean(torch.tensor([q]), torch.tensor([lengths]))
    assert abs(gram.item() / square - 1) < 1e-9
    assert abs(first.item() - mean) < 1e-9 * square**0.5


@pytest.mark.parametrize("lengths", [(40.0, 200.0, 600.0), (600.0, 200.0, 40.0), (300.0, 300.0, 300.0)])
def test_a_box_equals_the_sum_over_a_dense_grid_of_directions(lengths):
    q = 0.15
    node, weight = np.polynomial.legendre.leggauss(400)
    cosine, azimuth = (node[:, None] + 1) / 2, (np.arange(400) + 0.5) * np.pi / 800
    towards = (np.sqrt(1 - cosine**2) * np.cos(azimuth), np.sqrt(1 - cosine**2) * np.sin(azimuth), cosine)
    factors = [np.sinc(q * side / 2 * u / np.pi) for side, u in zip(lengths, towards, strict=True)]
    square = np.prod(lengths) ** 2 * (weight / 2) @ (factors[0] * factors[1] * factors[2]).__pow__(2).mean(1)
    gram = FORM_FACTORS["parallelepiped"].gram(torch.tensor([q]), torch.tensor([lengths]))
    assert abs(gram.item() / square - 1) < 1e-9


def test_an_ellipsoid_with_equal_axes_is_one_of_revolution_and_with_three_a_sphere():
    q = torch.logspace(-2, -0.3, 9)
    three = FORM_FACTORS["triaxial_ellipsoid"].gram(q, torch.tensor([[60.0, 60.0, 200.0], [80.0, 80.0, 80.0]]))
    two = FORM_FACTORS["ellipsoid"].gram(q, torch.tensor([[200.0, 60.0]]))
    one = FORM_FACTORS["sphere"].gram(q, torch.tensor([[80.0]]))
    assert ((three[0] / two[0] - 1).abs() < 1e-9).all()
    assert ((three[1] / one[0] - 1).abs() < 1e-9).all()


@pytest.mark.parametrize("polar", [16, 400, 3000])
def test_weights_sum_to_one_whatever_the_pieces(polar):
    pieces = list(directions(polar, 24, torch.zeros(1), most=1000))
    assert len(pieces) > 1 or polar * 24 <= 1000
    assert abs(sum(piece.weight.sum().item() for piece in pieces) - 1) < 1e-12
    second = sum((piece.weight * (piece.sine * piece.azimuth.cos()) ** 2).sum().item() for piece in pieces)
    assert abs(second - 1 / 3) < 1e-12


def test_more_phase_asks_for_more_nodes():
    counts = nodes_for(torch.logspace(0, 5, 200))
    assert (counts.diff() >= 0).all()
    assert (counts > 0.56 * torch.logspace(0, 5, 200)).all()
