"""Profiles stay inside their constraints whatever the free numbers are, and come back from their values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from madpipe.base.derivatives import along
from madpipe.rocking.prior import LEAST_STRAIN, RANGES
from madpipe.rocking.profiles import (
    Implanted,
    Spline,
    draw_implanted,
    from_free,
    implanted_strain,
    implanted_strain_slopes,
    profile_names,
    to_free,
)

seven = st.lists(st.floats(-30, 30, allow_subnormal=False), min_size=7, max_size=7)


@given(seven)
@settings(max_examples=200, deadline=None)
def test_any_seven_numbers_are_an_allowed_layer(numbers):
    peak, surface, end, range_1, second, inner, range_2 = from_free(torch.tensor(numbers)).tolist()
    slack = 1e-9
    assert surface <= peak + slack
    assert surface + second <= 0.03 + slack
    assert range_1 <= end + 1e-6
    assert inner <= end + 1e-6
    assert 0.001 - slack <= peak <= 0.031 + slack
    assert 0.0005 - slack <= surface <= 0.0305
    assert 500 - 1e-6 <= end <= 7000 + 1e-6
    assert 50 - 1e-6 <= range_1 <= 5050 + 1e-6
    assert 0.001 - slack <= second <= 0.031
    assert 500 - 1e-6 <= inner <= 5000 + 1e-6
    assert -6500 - 1e-6 <= range_2 <= 0


def test_values_of_the_prior_come_back():
    for values in draw_implanted(300, torch.Generator().manual_seed(1)):
        off = (from_free(to_free(values)) - values).abs() / torch.tensor(RANGES)
        assert off.max() < 2e-4  # the bounds themselves are at infinity


def test_the_prior_keeps_its_constraints_and_is_even():
    peak, surface, end, range_1, second, inner, range_2 = draw_implanted(4000, torch.Generator().manual_seed(2)).T
    assert bool(((surface <= peak) & (surface + second <= 0.03) & (range_1 <= end) & (inner <= end)).all())
    share = ((range_2 + 6500) / 6500).numpy()  # free of the constraints
    assert np.abs(np.quantile(share, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.04


def test_strain_takes_its_values_where_the_definition_has_them():
    values = torch.tensor([0.012, 0.006, 3500.0, 1200.0, 0.004, 2200.0, -800.0])
    depth = torch.tensor([0.0, 1200.0, 2200.0 - 1e-6, 2200.0 + 1e-6, 3500.0])
    first = implanted_strain(depth, torch.tensor([0.012, 0.006, 3500.0, 1200.0, LEAST_STRAIN * 1.0001, 2200.0, -800.0]))
    both = implanted_strain(depth, values)
    assert float(first[0]) == pytest.approx(0.006 + LEAST_STRAIN, rel=1e-3)
    assert float(first[1]) == pytest.approx(0.012 + LEAST_STRAIN, rel=1e-2)
    assert float(first[4]) == pytest.approx(LEAST_STRAIN, rel=1e-6)
    assert float(both[0]) == pytest.approx(0.010, rel=1e-6)
    assert float(both[2] - both[3]) == pytest.approx(LEAST_STRAIN, rel=1e-3)


def test_slopes_of_the_strain_are_its_derivatives():
    values = draw_implanted(40, torch.Generator().manual_seed(4)).T[..., None]
    depth = torch.linspace(3.0, 6900.0, 120).expand(40, -1)
    found = implanted_strain_slopes(depth, values)
    directions = torch.eye(7).view(7, 7, 1, 1)
    for place, direction in enumerate(directions):
        _, (right,) = along(lambda each: [implanted_strain(depth, each)], values, direction.expand_as(values))
        torch.testing.assert_close(found[place], right, rtol=1e-9, atol=1e-12 * float(right.abs().max()))


def test_many_layers_at_once_are_those_one_by_one():
    free = to_free(draw_implanted(5, torch.Generator().manual_seed(5)).T)
    depth = torch.linspace(0.0, 6000.0, 31)
    for profile, columns in ((Implanted(25.0), free), (Spline(2000.0, 4, 3, 25.0), free)):
        for part in (0, 1):
            one_by_one = torch.stack([profile.at(depth, one)[part] for one in columns.T], dim=1)
            torch.testing.assert_close(profile.at(depth, columns)[part].expand_as(one_by_one), one_by_one)


def test_sublayers_end_where_the_bells_do():
    free = to_free(torch.tensor([0.012, 0.006, 3500.0, 1200.0, 0.004, 2200.0, -800.0]))
    thickness, strain, disorder = Implanted(25.0).layers(free)
    edges = torch.cumsum(thickness, 0)
    assert float(edges[-1]) == pytest.approx(3500.0)
    assert float((edges - 2200.0).abs().min()) < 1e-6
    assert float(thickness.max()) <= 25.0
    assert (strain > 0).all()
    assert (disorder == 1).all()


def test_splines_end_in_the_perfect_crystal():
    profile = Spline(2000.0, 6, 8, 25.0)
    free = torch.linspace(-2.0, 2.0, 14)
    strain, disorder = profile.at(torch.tensor([0.0, 1999.9999, 2001.0]), free)
    assert abs(float(strain[1])) < 1e-6
    assert float(strain[2]) == 0.0
    assert float(disorder[1]) == pytest.approx(1.0, abs=1e-5)
    assert 0 < float(disorder[0]) < 1
    thickness, at_gauss, _ = profile.layers(free)
    assert float(thickness.sum()) == pytest.approx(2000.0)
    depth = (torch.arange(len(thickness)) + 0.5) * thickness
    middle, _ = profile.at(depth, free)
    assert at_gauss.mean(dim=1) == pytest.approx(middle, abs=1e-5)
    assert profile_names(profile)[:2] == ["strain_0", "strain_1"]
