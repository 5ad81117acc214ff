"""Measured series, against what REGALS and BioXTAS RAW found in them (README beside the data)."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from madpipe.base.curves.records import Curves
from madpipe.kinetics.decompose import pair_distance
from madpipe.kinetics.decompose.bands import factors_of, find_bands, gauge_of
from madpipe.kinetics.decompose.component import Component, Smoothness
from madpipe.kinetics.decompose.decompose import decompose
from madpipe.kinetics.decompose.mcr import Stop, resolve
from madpipe.kinetics.decompose.settings import DecomposeSettings
from madpipe.kinetics.decompose.weights import separable_sigma
from madpipe.physics.scattering.guinier import guinier_line

MONOMER = """.961 .718 .618 .570 .531 .491 .469 .452 .445 .446 .449 .456 .470 .487 .511 .525 .538 .583 .624 .660
 .749 .819 .981"""  # share of I(0) at the 23 times, REGALS


def series(shared, name):
    with h5py.File(shared / "kinetics" / f"{name}.h5") as file:
        return {key: file[key][:].astype(float) for key in file}


@pytest.fixture(scope="module")
def msba(shared):
    """As REGALS takes it: q > .015, frames scaled onto a fifth-order polynomial in log t."""
    data = series(shared, "msba")
    kept, x = data["q"] > 0.015, np.log10(data["time"])
    total = data["intensity"][:, kept].sum(axis=1)
    factor = (np.polyval(np.polyfit(x, total, 5), x) / total)[:, None]
    return data["q"][kept], data["intensity"][:, kept] * factor, data["sigma"][:, kept] * factor, x


def regals_component(x, ends, d_max, penalty, zero_first, zero_last):
    smooth = Smoothness(x, ends, 31, penalty, zero_first=zero_first, zero_last=zero_last)
    return Component(positive_concentration=False, d_max=d_max, profile_penalty=1e11, smooth=smooth)


@pytest.fixture(scope="module")
def msba_by_regals(msba):
    q, intensity, sigma, x = msba
    components = tuple(
        regals_component(x, (1.3, 5.1), d_max, 1e-3, False, last) for d_max, last in ((70.0, True), (62.0, False))
    )
    return resolve(intensity, sigma, q, separable_sigma(sigma), components, stop=Stop(100, 0.0))


def test_msba_with_the_constraints_of_regals(msba_by_regals):
    assert msba_by_regals.chi2 == pytest.approx(0.334059, rel=0.01)
    c = msba_by_regals.concentrations
    np.testing.assert_allclose(c[:, 1] / c.sum(axis=1), [float(one) for one in MONOMER.split()], atol=0.03)
    found = [
        pair_distance.radius_of_gyration(p, d) for p, d in zip(msba_by_regals.pair_distances, (70.0, 62.0), strict=True)
    ]
    np.testing.assert_allclose(found, [25.2, 20.8], rtol=0.015)


def test_without_d_max_the_band_of_msba_holds_the_answer_of_regals(msba, msba_by_regals):
    """And is wide: REGALS' own 100 iterations have not converged, at 3,000 the monomer's share at 3 s is .76."""
    q, intensity, sigma, _ = msba
    weights = separable_sigma(sigma)
    components = (Component("one"), Component("other"))
    free = resolve(intensity, sigma, q, weights, components, stop=Stop(50))
    factors = factors_of(intensity / (weights.frame[:, None] * weights.q), 2, weights, 0.48)
    gauge = gauge_of(factors, closure=False)
    signal = (free.profiles / weights.q) @ gauge.signal
    band = find_bands(factors, q, components, free.concentrations * signal, closure=False)
    theirs = msba_by_regals.concentrations * ((msba_by_regals.profiles / weights.q) @ gauge.signal)
    monomer, dimer = (0, 1) if abs(band.middle[0, 0] - theirs[0, 1]) < abs(band.middle[0, 1] - theirs[0, 1]) else (1, 0)
    for ours, of_regals in ((monomer, 1), (dimer, 0)):
        assert (theirs[:, of_regals] >= band.low[:, ours]).all()
        assert (theirs[:, of_regals] <= band.high[:, ours]).all()
    assert band.width().min() > 0.3


def test_cypa_with_the_constraints_of_regals(shared):
    data = series(shared, "cypa_tjump")
    sigma, x = data["sigma"][1:], np.log10(data["time"][1:])
    components = tuple(
        regals_component(x, (2.749, 6.001), d_max, 10.0, zero, zero)
        for d_max, zero in ((59.0, True), (46.0, False), (150.0, False))
    )
    found = resolve(data["intensity"][1:], sigma, data["q"], separable_sigma(sigma), components, stop=Stop(250, 0.0))
    assert found.chi2 == pytest.approx(1.669940, rel=0.01)


@pytest.fixture(scope="module")
def bsa(shared):
    data = series(shared, "bsa_sec")
    names = "\n".join(str(int(one)) for one in data["frame"])
    return Curves(data["q"], data["intensity"], data["sigma"], 0, names, "BSA")


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_bsa_has_two_components_and_its_monomer_lies_in_the_band(bsa):
    settings = DecomposeSettings(buffer=(20, 110), frames=(100, 250), unimodal=True, bands=False)
    found = decompose(bsa, settings)
    assert found.rank == 2
    assert found.noise_factor == pytest.approx(1, abs=0.02)
    over = found.singular_values / found.noise_edge
    assert over[0] > 150
    assert over[1] > 8
    assert over[2] < 1.05
    buffer = bsa.intensity[20:110].mean(axis=0)
    sigma = np.sqrt((bsa.sigma[190:221] ** 2).mean(axis=0) / 31)
    monomer = guinier_line(bsa.q, bsa.intensity[190:221].mean(axis=0) - buffer, sigma)
    assert monomer.rg == pytest.approx(28.2, abs=0.3)
    third = replace(bsa, q=bsa.q[::3], intensity=bsa.intensity[:, ::3], sigma=bsa.sigma[:, ::3])  # bands take long
    dimer, last = decompose(third, settings.model_copy(update={"bands": True})).rg_band
    assert last[0] < 28.2 < last[1]
    assert 40 < dimer[0] < dimer[1] < 65
    np.testing.assert_allclose(found.frame[found.first], [130, 157], atol=8)  # RAW's ranges: 130 to 187, 149 to 230
    np.testing.assert_allclose(found.frame[found.last[0]], 187, atol=8)
