"""Rates: truth within their errors, wrong schemes rejected, what is not determined named."""

import h5py
import numpy as np
import pytest
from scipy.optimize import nnls

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.kinetics.rates.elimination import eliminated
from madpipe.kinetics.rates.fit import fit_rates
from madpipe.kinetics.rates.settings import RatesSettings
from madpipe.kinetics.schemes.concentrations import concentrations, initial_amounts
from madpipe.kinetics.schemes.parse import parse_scheme
from madpipe.kinetics.schemes.response import response_of

RADII = (20.0, 28.0, 24.0, 35.0)  # of the species, spheres [angstrom]


def curves_of(q, intensity, sigma, time):
    return Curves(q=q, intensity=intensity, sigma=sigma, absolute=1, names="", title="", time=time)


def series(text, values, seed, noise=0.01, drift=0.0, width=0.0, points=150):
    """Spheres that turn into others, with noise relative to the mean curve; concentrations too."""
    rng = np.random.default_rng(seed)
    q, time = np.geomspace(0.01, 0.3, points), np.geomspace(0.01, 30, 60)
    scheme = parse_scheme(text)
    amounts, _ = concentrations(scheme, np.log(values), response_of(time, width, 0.0), initial_amounts(scheme))
    x = q * np.array(RADII[: len(scheme.species)])[:, None]
    species = (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2 * (x / q / RADII[0]) ** 3 + 1e-3
    clean = amounts @ species
    sigma = np.broadcast_to(noise * clean.mean(axis=0), clean.shape)
    if drift:
        walks = drift * rng.normal(size=(2, len(time))).cumsum(axis=1) / np.sqrt(len(time))
        clean = clean * (1 + walks[0])[:, None] + walks[1][:, None] * clean.mean()
    return curves_of(q, clean + sigma * rng.normal(size=clean.shape), sigma, time), amounts


def rmse(found, amounts):
    return np.sqrt(np.mean(np.square(found.concentration - amounts)))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A->B", [1.0]),
        ("A->B->C", [3.0, 0.3]),
        ("A->B->C", [0.7, 0.7]),
        ("M->D->M", [3.0, 0.3]),
        ("2A<->A2", [1.0, 0.2]),
        ("finke-watzky", [0.01, 2.0]),
        ("avrami", [0.5, 2.5]),
        ("stretched", [0.5, 0.6]),
    ],
)
def test_rates_are_found_within_their_errors(text, values):
    data, amounts = series(text, values, seed=4)
    found = fit_rates(data, RatesSettings(scheme=text))
    assert not found.rejected
    assert found.drift == "none"
    pulls = np.log(found.values / values) / found.relative_error
    assert np.abs(pulls).max(axis=1).min() < 4
    # of equal rates the data tell the sum, and of their difference the square alone
    assert rmse(found, amounts) <= (0.02 if values == [0.7, 0.7] else 0.003)


def test_a_drifting_beam_and_buffer_are_found_and_borne():
    for seed in (1, 2):
        data, amounts = series("A->B->C", [3.0, 0.3], seed, drift=0.03)
        found = fit_rates(data, RatesSettings(scheme="A->B->C"))
        assert found.drift == "both"
        assert not found.rejected
        assert rmse(found, amounts) <= 0.008


def test_the_instrument_s_response_is_part_of_the_fit():
    data, _ = series("A->B", [20.0], seed=5, width=0.05)
    found = fit_rates(data, RatesSettings(scheme="A->B", instrument_time=0.05))
    assert abs(np.log(found.values[0, 0] / 20)) < 4 * found.relative_error[0, 0]
    with pytest.warns(DataWarning, match="scheme rejected"):
        fit_rates(data, RatesSettings(scheme="A->B", drift="none"))


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_errors_are_the_spread_over_draws(noise):
    """40 draws of two parameters: the standard deviation of 80 pulls is known to 8 %."""
    pulls = []
    for seed in range(40):
        data, _ = series("A->B->C", [3.0, 0.3], 100 + seed, noise, points=60)
        found = fit_rates(data, RatesSettings(scheme="A->B->C", drift="none", starts=12, refined=2))
        pulls.append(np.log(found.values[0] / [3.0, 0.3]) / found.relative_error[0])
    assert 0.76 < np.std(pulls) < 1.24  # 1 with three of its standard deviations
    assert np.abs(np.mean(pulls, axis=0)).max() < 3 / np.sqrt(40)


def test_exchanged_rates_are_both_reported_and_the_impossible_comes_last():
    data, _ = series("A->B->C", [0.3, 3.0], seed=6)
    found = fit_rates(data, RatesSettings(scheme="A->B->C"))
    assert found.values.shape == (2, 2)
    np.testing.assert_allclose(found.values[0], found.values[1][::-1], rtol=0.05)
    assert found.chi2[0] == pytest.approx(found.chi2[1], rel=1e-6)
    if max(found.negative) > 5:
        assert found.negative[0] < 5


def test_rates_that_the_data_do_not_tell_are_named():
    """Of A<->B with free curves the sum of both rates is known, they are not."""
    data, _ = series("A<->B", [1.0, 0.5], seed=7)
    found = fit_rates(data, RatesSettings(scheme="A<->B"))
    assert found.undetermined.split() == ["k1", "k-1"]
    assert found.relaxation[0] == pytest.approx(1.5, rel=4 * found.relaxation_error[0])
    assert found.relaxation_error[0] < 0.01


def test_a_series_in_which_nothing_changes_is_told():
    data, _ = series("A->B", [1.0], seed=6)
    still = np.repeat(data.intensity.mean(axis=0)[None], len(data.time), axis=0)
    noisy = still + data.sigma * np.random.default_rng(6).normal(size=still.shape)
    found = fit_rates(curves_of(data.q, noisy, data.sigma, data.time), RatesSettings(scheme="A->B", drift="none"))
    assert "1 of 2 components are above the noise" in found.verdict
    assert "are above the noise" not in fit_rates(data, RatesSettings(scheme="A->B", drift="none")).verdict


def test_a_wrong_scheme_is_rejected():
    data, _ = series("A->B->C", [3.0, 0.3], seed=8)
    with pytest.warns(DataWarning, match="scheme rejected"):
        found = fit_rates(data, RatesSettings(scheme="A->B"))
    assert found.rejected
    for seed in range(10):
        data, _ = series("A->B", [1.0], seed)
        assert not fit_rates(data, RatesSettings(scheme="A->B", drift="none", starts=8)).rejected


def test_sigmas_that_are_wrong_by_a_factor_reject_nothing():
    data, _ = series("A->B", [1.0], seed=9)
    doubled = curves_of(data.q, data.intensity, 2 * data.sigma, data.time)
    found = fit_rates(doubled, RatesSettings(scheme="A->B"))
    right = fit_rates(data, RatesSettings(scheme="A->B"))
    assert not found.rejected
    assert found.noise_level == pytest.approx(0.5, rel=0.03)
    np.testing.assert_allclose(found.relative_error, right.relative_error, rtol=1e-3)


def test_msba_does_not_rise_and_fall_with_one_exponential_each(shared):
    with h5py.File(shared / "kinetics" / "msba.h5") as file:
        some = file["q"][:] > 0.015
        intensity, sigma = (file[name][:][:, some].astype(float) for name in ("intensity", "sigma"))
        data = curves_of(file["q"][:][some], intensity, sigma, file["time"][:] * 1e-3)
    for drift in ("none", "auto"):
        with pytest.warns(DataWarning, match="scheme rejected"):
            found = fit_rates(data, RatesSettings(scheme="M->D->M", drift=drift))
        assert found.rejected
        assert found.rank == 3
        assert found.noise_level == pytest.approx(0.47, abs=0.02)  # the sigmas are twice too large
        assert found.chi2[0] > 2 * found.chi2_floor


def test_non_negative_curves_are_those_of_nnls():
    rng = np.random.default_rng(3)
    columns, data = rng.random((30, 3)), rng.normal(size=(30, 25))
    found = eliminated(columns, np.zeros((1, 30, 3)), data, non_negative=True)
    for place in range(25):
        np.testing.assert_allclose(found.curves[:, place], nnls(columns, data[:, place])[0], atol=1e-12)


def test_slope_is_the_central_difference_of_the_deviance():
    rng = np.random.default_rng(1)
    columns, slopes, data = rng.random((20, 3)), rng.normal(size=(2, 20, 3)), rng.normal(size=(20, 15))
    for signed in (False, True):
        found = eliminated(columns, slopes, data, signed)
        for place in range(2):
            step = 1e-5 * slopes[place]
            ends = [eliminated(columns + way * step, slopes, data, signed).deviance for way in (1, -1)]
            assert 2 * found.slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_non_negative_curves_keep_the_rates():
    data, amounts = series("A->B->C", [3.0, 0.3], seed=10, points=60)
    found = fit_rates(data, RatesSettings(scheme="A->B->C", non_negative=True, refined=2, drift="none"))
    assert rmse(found, amounts) <= 0.002
    assert found.curves.min() >= 0


def test_a_series_without_times_or_too_short_is_refused():
    data, _ = series("A->B", [1.0], seed=1)
    with pytest.raises(InputError, match="a time"):
        fit_rates(curves_of(data.q, data.intensity, data.sigma, None), RatesSettings())
    short = curves_of(data.q, data.intensity[:4], data.sigma[:4], data.time[:4])
    with pytest.raises(InputError, match="different times"):
        fit_rates(short, RatesSettings(scheme="A->B->C"))
    bad = data.sigma.copy()
    bad[3, 5] = 0
    with pytest.raises(InputError, match="frame 4"):
        fit_rates(curves_of(data.q, data.intensity, bad, data.time), RatesSettings())
