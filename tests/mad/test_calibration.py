"""Factors of the errors: shares of normal and of longer-tailed deviations, interpolation, gaps, phases."""

import math

import pytest
import torch
from torch.testing import assert_close

from madpipe.mad.calibration import EDGES, PHASES, QUANTITIES, SHARES, key, share_of_counts
from madpipe.mad.calibration import apply as apply_by_share
from madpipe.mad.calibration import factors_of as factors_by_share

BINS = len(EDGES) + 1
POINTS = 20_000
COVERAGE = ((1.0, 0.6827), (1.96, 0.95))


def shares_of(value, number):
    """The same share of the counts for every quantity."""
    return {name: torch.full((number,), float(value)) for name in QUANTITIES}


def factors_of(deviations, photons, share=0.5):
    """Factors of points whose counts say half; one row for each quantity."""
    table = factors_by_share(deviations, shares_of(share, len(photons)), photons)
    assert table.shape == (5, len(SHARES) + 1, BINS)
    assert torch.equal(table[:, :1].expand_as(table), table)  # there is no other share, and all take this one's
    return table[:, 0]


def apply(columns, photons, factors, share=0.3):
    """Apply factors that do not depend on the share."""
    table = None if factors is None else factors[:, None].expand(-1, len(SHARES) + 1, -1)
    return apply_by_share(columns, shares_of(share, len(photons)), photons, table)


def everywhere(values):
    """The same deviations for every quantity."""
    return dict.fromkeys(QUANTITIES, values)


def at_photons(photons, number=POINTS):
    return torch.full((number,), float(photons))


def columns_of(error, number):
    return {f"{name}_errors": torch.full((number,), error) for name in QUANTITIES}


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_errors_that_are_wrong_by_a_factor_get_it(rng, scale):
    found = factors_of(everywhere(scale * torch.randn(POINTS, generator=rng)), at_photons(1e3))
    # a quantile at 68 % of n draws has the relative error sqrt(0.68 0.32 / n) / (2 phi(1)) = 0.0068; four of these
    assert_close(found, torch.full_like(found, scale), rtol=0.03, atol=0)


def test_every_quantity_has_a_factor_of_its_own(rng):
    drawn = torch.randn(POINTS, generator=rng)
    found = factors_of({name: (1 + row) * drawn for row, name in enumerate(QUANTITIES)}, at_photons(1.0))
    assert_close(found[:, 0], torch.arange(1.0, 6.0), rtol=0.03, atol=0)


def test_long_tails_miss_both_shares_by_the_same(rng):
    drawn = torch.randn(POINTS, generator=rng) / torch.empty(POINTS).exponential_(0.5, generator=rng).sqrt()
    factor = factors_of(everywhere(drawn), at_photons(10.0))[0, 0]
    misses = [float((drawn.abs() < multiple * factor).double().mean()) - share for multiple, share in COVERAGE]
    assert misses[0] > 0 > misses[1]
    assert abs(misses[0] + misses[1]) < 0.01  # candidates are 0.25 % of the points apart
    one_sigma = float((drawn.abs() < drawn.abs().quantile(0.6827)).double().mean())
    assert one_sigma == pytest.approx(0.6827, abs=1e-3)
    worst = abs(float((drawn.abs() < 1.96 * drawn.abs().quantile(0.6827)).double().mean()) - 0.95)
    assert max(map(abs, misses)) < worst


def test_applied_factors_bring_the_coverage(rng):
    photons = 10 ** (7 * torch.rand(10 * POINTS, generator=rng) - 1)
    deviations = (0.5 + photons.log10().abs() / 4) * torch.randn(len(photons), generator=rng)
    factors = factors_of(everywhere(deviations), photons)
    scaled = apply(columns_of(0.01, len(photons)), photons, factors)["f_total_errors"]
    for multiple, share in COVERAGE:
        inside = ((0.01 * deviations).abs() < multiple * scaled).double().mean()
        assert float(inside) == pytest.approx(share, abs=0.01)


def test_bins_without_points_take_the_nearest(rng):
    low, high = torch.randn(POINTS, generator=rng), 3 * torch.randn(POINTS, generator=rng)
    few = 100 * torch.randn(299, generator=rng)
    photons = torch.cat([at_photons(1.5), at_photons(1.5e5), at_photons(1.5e3, 299)])
    found = factors_of(everywhere(torch.cat([low, high, few])), photons)
    place = [sum(edge <= level for edge in EDGES) for level in (1.5, 1.5e5)]
    assert_close(found[:, : place[0] + 1], torch.ones(5, place[0] + 1), rtol=0.03, atol=0)
    assert_close(found[:, place[1] :], 3 * torch.ones(5, BINS - place[1]), rtol=0.03, atol=0)
    assert set(found[0].tolist()) == {float(found[0, 0]), float(found[0, -1])}


def test_deviations_without_a_truth_do_not_count(rng):
    drawn = torch.randn(POINTS, generator=rng)
    none = dict(everywhere(drawn), delta_phi=torch.full((POINTS,), math.nan))
    half = dict(everywhere(drawn), delta_phi=torch.where(torch.arange(POINTS) % 2 == 0, drawn, math.nan))
    assert torch.equal(factors_of(none, at_photons(1.0))[2], torch.ones(BINS))
    assert_close(factors_of(half, at_photons(1.0))[2], torch.ones(BINS), rtol=0.04, atol=0)


def test_factors_are_interpolated_in_logarithms():
    factors = torch.ones(5, BINS)
    factors[:, 3] = 9.0  # between the third and the fourth edge: 1 to 10^0.5 photons
    centre = math.sqrt(EDGES[2] * EDGES[3])
    photons = torch.tensor([0.0, centre / 10**0.5, centre / 10**0.25, centre, centre * 10**0.25, 1e12])
    found = apply(columns_of(2.0, 6), photons, factors)["f_normal_errors"]
    assert_close(found, 2 * torch.tensor([1.0, 1.0, 3.0, 9.0, 3.0, 1.0]), rtol=1e-9, atol=0)


def test_phases_saturate_and_only_errors_change():
    columns = columns_of(1.5, 2) | {name: torch.tensor([3.0, -2.0]) for name in QUANTITIES}
    scaled = apply(columns, torch.tensor([1.0, 100.0]), 2 * torch.ones(5, BINS))
    for name in QUANTITIES:
        assert torch.equal(scaled[name], columns[name])
        expected = math.pi / math.sqrt(3) if name in PHASES else 3.0
        assert_close(scaled[f"{name}_errors"], torch.full((2,), expected), rtol=1e-12, atol=0)
    assert float(columns["f_total_errors"][0]) == 1.5  # what came in stays as it was


def test_no_factors_leave_the_errors_alone():
    columns = columns_of(7.0, 3)
    assert apply(columns, torch.ones(3), None) is columns


def test_keys_tell_frames_from_volumes_and_refined_from_predicted():
    assert len({key(ndim, refine=refine) for ndim in (2, 3) for refine in (False, True)}) == 4


def test_shares_of_the_counts_have_factors_of_their_own(rng):
    """Where the counts say little errors are three times too small, elsewhere right: each share gets its factor."""
    drawn = torch.randn(2 * POINTS, generator=rng)
    little = torch.arange(2 * POINTS) < POINTS
    deviations = everywhere(torch.where(little, 3 * drawn, drawn))
    shares = {name: torch.where(little, 0.025, 0.975) for name in QUANTITIES}
    table = factors_by_share(deviations, shares, at_photons(10.0, 2 * POINTS))
    places = [sum(edge <= share for edge in SHARES) for share in (0.025, 0.975)]
    assert_close(table[:, places].mean(-1), torch.tensor([3.0, 1.0]).expand(5, 2), rtol=0.03, atol=0)
    scaled = apply_by_share(columns_of(1.0, 2 * POINTS), shares, at_photons(10.0, 2 * POINTS), table)["f_total_errors"]
    for some in (little, ~little):
        inside = (deviations["f_total"].abs() < scaled)[some].double().mean()
        assert float(inside) == pytest.approx(0.6827, abs=0.01)


def test_factors_are_interpolated_in_the_share_too():
    table = torch.ones(5, len(SHARES) + 1, BINS)
    table[:, 0] = 4.0
    middles = [SHARES[0] / 2, (SHARES[0] + SHARES[1]) / 2]
    for share, factor in ((0.0, 4.0), (middles[0], 4.0), (sum(middles) / 2, 2.0), (middles[1], 1.0), (1.0, 1.0)):
        found = apply_by_share(columns_of(1.0, 1), shares_of(share, 1), torch.tensor([10.0]), table)
        assert float(found["f_resonant_errors"]) == pytest.approx(factor, rel=1e-9)


def test_share_is_what_the_errors_lost():
    after, before = columns_of(1.0, 3), columns_of(2.0, 3)
    assert_close(share_of_counts(after, before)["delta_phi"], torch.full((3,), 0.75), rtol=1e-12, atol=0)
    assert not bool(share_of_counts(before, before)["f_total"].any())
    assert not bool(share_of_counts(before, after)["f_total"].any())
