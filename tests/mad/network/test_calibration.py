"""Factors of the errors: normal and longer-tailed deviations, what they may depend on, phases, gaps in the truth."""

import math

import pytest
import torch
from scipy.stats import t as student
from torch.testing import assert_close

from madpipe.base.metrics import UNKNOWN_PHASE
from madpipe.mad.network.calibration import (
    LEVELS,
    PHASES,
    QUANTITIES,
    Setting,
    apply,
    circumstances,
    learnt,
    needed,
    packed,
    saturated,
    share_of_counts,
    unbounded,
    unpacked,
)
from madpipe.mad.records import Split

POINTS = 40_000
FEW = 2_000  # where it is not asked how well the layers learn
SIZE = 0.01  # of the stated errors: far from where a phase saturates
# a share of 40000 draws is known to 0.0023, the perceptron's share of them is less: four times that, and its finish
SHARE = 0.015


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def columns_of(error=SIZE, number=POINTS, value=1.0):
    columns = {name: torch.full((number,), value) for name in QUANTITIES}
    columns |= {f"{name}_errors": torch.full((number,), error) for name in QUANTITIES}
    return columns | {"chi2": torch.full((number,), 5.0), "dof": torch.full((number,), 5.0)}


def everywhere(values):
    return dict.fromkeys(QUANTITIES, values)


def known(columns, photons=None, share=0.5, **changes):
    """Circumstances of points that differ in their photons and their shares alone."""
    number = len(columns["chi2"])
    photons = torch.full((number,), 10.0) if photons is None else photons
    setting = Setting(**({"photons": photons, "energies": 8, "volume": False} | changes))
    shares = share if isinstance(share, torch.Tensor) else torch.full((number,), share)
    return circumstances(columns, everywhere(shares), setting)


def covered(columns, off, some=slice(None)):
    """Shares of the points of each quantity within their intervals of 68.3 and 95 %."""
    return torch.tensor(
        [
            [float((off[name].abs() < columns[f"{name}{end}"])[some].double().mean()) for name in QUANTITIES]
            for end in ("_errors", "_errors_95")
        ]
    )


def calibrated(columns, circumstance, off):
    return apply(columns, circumstance, learnt(circumstance, needed(columns, off), seeded()))


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_errors_that_are_wrong_by_a_factor_get_it(rng, scale):
    columns = columns_of()
    off = {name: scale * SIZE * torch.randn(POINTS, generator=rng) for name in QUANTITIES}
    found = calibrated(columns, known(columns), off)
    assert_close(covered(found, off), torch.tensor([[0.6827], [0.95]]).expand(2, 5), rtol=0, atol=SHARE)
    for name in QUANTITIES:
        # a quantile at 68 % of n draws has the relative error sqrt(0.68 0.32 / n) / (2 phi(1)) = 0.005; four of these
        assert_close(found[f"{name}_errors"], torch.full((POINTS,), scale * SIZE), rtol=0.04, atol=0)


def test_every_quantity_has_a_factor_of_its_own(rng):
    columns, drawn = columns_of(), SIZE * torch.randn(POINTS, generator=rng)
    found = calibrated(columns, known(columns), {name: (1 + row) * drawn for row, name in enumerate(QUANTITIES)})
    factors = torch.stack([found[f"{name}_errors"].mean() for name in QUANTITIES]) / SIZE
    assert_close(factors, torch.arange(1.0, 6.0), rtol=0.04, atol=0)


def test_long_tails_are_covered_at_both_shares(rng):
    """Student's t with two degrees of freedom: quantiles at 68.3 and 95 %, whose ratio is 3.2, not 1.96."""
    columns = columns_of()
    drawn = torch.randn(POINTS, generator=rng) / torch.empty(POINTS).exponential_(1.0, generator=rng).sqrt()
    found = calibrated(columns, known(columns), everywhere(SIZE * drawn))
    assert_close(
        covered(found, everywhere(SIZE * drawn)), torch.tensor([[0.6827], [0.95]]).expand(2, 5), rtol=0, atol=SHARE
    )
    wide, narrow = student.ppf(0.975, 2), student.ppf(0.5 + 0.6827 / 2, 2)
    ratio = (found["f_total_errors_95"] / found["f_total_errors"]).mean()
    # quantiles of n draws have the relative errors sqrt(p (1 - p) / n) / (k f(k)), 0.009 and 0.014; four of both
    assert float(ratio) == pytest.approx(wide / narrow, rel=4 * math.hypot(0.009, 0.014))


def test_the_wider_interval_holds_the_narrower_one():
    columns = columns_of(number=4)
    layers = [torch.zeros(2, 5, 5), torch.zeros(5, 2, 6)]
    layers[0][1] = 1.0
    layers[1][:, 1, -1] = -3.0  # a tenth of 1.96 errors
    found = apply(columns, known(columns), layers)
    for name in set(QUANTITIES) - set(PHASES):
        assert torch.equal(found[f"{name}_errors_95"], found[f"{name}_errors"])


@pytest.mark.parametrize("what", ["photons", "share"])
def test_factors_follow_what_is_known_of_a_point(rng, what):
    """Errors grow ever more wrong with photons, or with the share of the counts: every part is covered."""
    place = torch.rand(POINTS, generator=rng)
    columns = columns_of()
    given = {"photons": 10 ** (7 * place - 1)} if what == "photons" else {"share": place}
    off = everywhere(SIZE * torch.exp(1.5 * place) * torch.randn(POINTS, generator=rng))
    found = calibrated(columns, known(columns, **given), off)
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (place >= low) & (place < low + 0.25)
        expected = torch.tensor([[0.6827], [0.95]]).expand(2, 5)
        assert_close(covered(found, off, part), expected, rtol=0, atol=2 * SHARE)


def test_circumstances_are_those_of_the_point():
    columns = columns_of(0.5, 3, 2.0) | {"f_resonant": torch.full((3,), 1.0), "delta_phi": torch.zeros(3)}
    found = known(columns, torch.tensor([1.0, 10.0, 100.0]), 0.25, energies=5, volume=True)
    assert found.shape == (5, 5, 3)
    for row, name in enumerate(QUANTITIES):
        error = 0.5 / math.sqrt(1 - (0.5 / UNKNOWN_PHASE) ** 2) if name in PHASES else 0.5 / float(columns[name][0])
        alike = [0.25, math.log(error), 0.0, 1.0]
        expected = torch.tensor([[math.log(photons), *alike] for photons in (1.0, 10.0, 100.0)]).T
        assert_close(found[row], expected.float(), rtol=1e-5, atol=1e-6)


def test_how_far_a_prediction_was_widened_is_a_circumstance():
    full = torch.ones(1, 3).numpy()
    split = Split(
        photons=torch.tensor([[10.0, 30.0]]).numpy(),
        points=torch.tensor([1000]).numpy(),
        widened=torch.tensor([2.0]).numpy(),
        squared_error=full,
        squared_error_errors=full,
        uncalibrated=full,
        stated=full,
        of_fit=full,
        r_unseen=0.1,
        r_unseen_noise=0.1,
        usual=1.0,
    )
    found = known(columns_of(number=3), split=split)
    assert_close(found[:, 3], torch.full((5, 3), math.log(2.0), dtype=torch.float32))


def test_deviations_without_a_truth_do_not_count(rng):
    columns = columns_of()
    drawn = SIZE * torch.randn(POINTS, generator=rng)
    half = torch.where(torch.arange(POINTS) % 2 == 0, 2 * drawn, math.nan)
    off = dict(everywhere(drawn), f_total=torch.full((POINTS,), math.nan), delta_phi=half)
    found = calibrated(columns, known(columns), off)
    assert torch.equal(found["f_total_errors"], columns["f_total_errors"])
    assert_close(found["delta_phi_errors"], 2 * columns["delta_phi_errors"], rtol=0.06, atol=0)
    assert_close(found["f_normal_errors"], columns["f_normal_errors"], rtol=0.04, atol=0)


def test_phases_saturate_and_only_errors_change(rng):
    columns = columns_of(1.2, 2)
    layers = learnt(known(columns_of(1.2)), torch.full((5, 2, POINTS), math.log(3.0)), seeded())
    found = apply(columns, known(columns), layers)
    for name in QUANTITIES:
        assert torch.equal(found[name], columns[name])
        bare = 3 * 1.2 / math.sqrt(1 - (1.2 / UNKNOWN_PHASE) ** 2)
        expected = (bare**-2 + UNKNOWN_PHASE**-2) ** -0.5 if name in PHASES else 3.6
        assert float(found[f"{name}_errors"][0]) == pytest.approx(expected, rel=0.01)
    assert float(columns["f_total_errors"][0]) == 1.2  # what came in stays as it was


def test_saturation_has_an_inverse_below_its_limit():
    errors = torch.tensor([1e-6, 0.1, 1.0, 1.8, UNKNOWN_PHASE])
    assert_close(saturated(unbounded(errors)), errors, rtol=1e-8, atol=0)
    assert float(unbounded(errors)[1]) == pytest.approx(0.1 / math.sqrt(1 - (0.1 / UNKNOWN_PHASE) ** 2), rel=1e-12)
    assert float(saturated(torch.tensor(1e9))) == pytest.approx(UNKNOWN_PHASE, rel=1e-9)


def test_a_factor_that_is_needed_just_covers(rng):
    columns = columns_of(0.7, 50)
    off = everywhere(1.5 * torch.randn(50, generator=rng))
    need = needed(columns, off)
    for row, name in enumerate(QUANTITIES):
        for level, (multiple, _) in enumerate(LEVELS):
            factor = need[row, level].double().exp()
            error = columns[f"{name}_errors"]
            scaled = saturated(factor * unbounded(error)) if name in PHASES else factor * error
            miss = off[name].abs() / multiple
            reachable = miss < 0.999 * UNKNOWN_PHASE if name in PHASES else miss < math.inf
            assert_close(scaled[reachable], miss[reachable], rtol=1e-4, atol=0)


def test_nothing_is_extrapolated(rng):
    columns, photons = columns_of(number=FEW), 10 ** (2 * torch.rand(FEW, generator=rng))
    off = everywhere(SIZE * photons.log10() * torch.randn(FEW, generator=rng))
    circumstance = known(columns, photons)
    layers = learnt(circumstance, needed(columns, off), seeded())
    few = columns_of(number=3)
    found = apply(few, known(few, torch.tensor([1e9, 1e12, 1e30])), layers)["f_total_errors"]
    assert torch.equal(found[:2], found[1:])
    near = apply(few, known(few, torch.tensor([2.0, 20.0, 99.0])), layers)["f_total_errors"]
    assert bool((near.diff().abs() > 1e-3 * near[1:]).all())  # within what was seen it does depend on them


def test_layers_are_the_generator_s_and_come_back_from_where_they_are_kept(rng):
    columns = columns_of(number=FEW)
    circumstance = known(columns)
    need = needed(columns, everywhere(SIZE * torch.randn(FEW, generator=rng)))
    first, again, other = (learnt(circumstance, need, seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])
    kept = packed(first, refine=True) | packed(other, refine=False)
    assert len(kept) == 4
    for layers, refine in ((first, True), (other, False)):
        assert all(torch.equal(*pair) for pair in zip(unpacked(kept, refine=refine), layers, strict=True))


def test_without_layers_errors_are_as_claimed():
    columns = columns_of(7.0, 3)
    assert unpacked({}, refine=True) is None
    assert apply(columns, known(columns), None) is columns


def test_share_is_what_the_errors_lost():
    after, before = columns_of(1.0, 3), columns_of(2.0, 3)
    assert_close(share_of_counts(after, before)["delta_phi"], torch.full((3,), 0.75), rtol=1e-12, atol=0)
    assert not bool(share_of_counts(before, before)["f_total"].any())
    assert not bool(share_of_counts(before, after)["f_total"].any())
