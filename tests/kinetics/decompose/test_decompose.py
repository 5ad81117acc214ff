"""The whole decomposition on simulated series, its record, and what it says of bad input."""

import dataclasses
import json

import numpy as np
import pytest

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.kinetics.decompose.decompose import decompose
from madpipe.kinetics.decompose.settings import ComponentSettings, DecomposeSettings
from madpipe.kinetics.records_parts import Parts
from madpipe.kinetics.simulate import species
from madpipe.kinetics.simulate.series import Drift, Measurement, drawn_reaction, elution_peak, measure_series
from madpipe.physics.scattering.guinier import guinier_line

Q = np.linspace(0.008, 0.25, 150)


def two_spheres():
    return np.array([species.sphere(Q, 25.0), 2 * species.sphere(Q, 45.0)])


@pytest.fixture(scope="module")
def elution():
    frames = np.arange(140.0)
    c = np.stack([elution_peak(frames, 60.0, 7.0, 3.0), 0.5 * elution_peak(frames, 75.0, 7.0, 3.0)], axis=1)
    return measure_series(two_spheres(), c, frames, Measurement(Q, 0.01), np.random.default_rng(1))


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_an_elution_of_two_spheres(elution, tmp_path):
    curves, truth = elution
    found = decompose(curves, DecomposeSettings(unimodal=True, frames=(30, 120)))
    assert found.rank == 2
    radii = np.sqrt(0.6) * np.array([25.0, 45.0])
    assert (found.rg_band[:, 0] < radii * 1.02).all()  # Guinier's line of a sphere to q Rg = 1.3 is 1 to 2 % low
    assert (found.rg_band[:, 1] > radii * 0.98).all()
    np.testing.assert_allclose(found.rg, radii, rtol=0.04)
    shares = truth.concentrations[30:120] * np.array([1.0, 1.0])
    assert np.corrcoef(found.concentrations[:, 1], shares[:, 1])[0, 1] > 0.99
    constraints = json.loads(found.verdict)["constraints"]
    assert constraints["passed"]
    # a matrix that fits no noise has 1, with 4 standard deviations of 90 x 150 values; one maximum fits some of it
    assert constraints["value"] < 1 + 4 * np.sqrt(2 / (90 * 150))
    store.write(tmp_path / "parts.h5", found)
    again = store.read(tmp_path / "parts.h5", Parts)
    np.testing.assert_array_equal(again.concentrations, found.concentrations)
    assert again.names == found.names


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_the_last_bits_of_the_data_change_nothing(elution):
    curves, _ = elution
    settings = DecomposeSettings(unimodal=True, frames=(30, 120))
    one = decompose(curves, settings)
    moved = dataclasses.replace(curves, intensity=curves.intensity * (1 + 1e-13))
    other = decompose(moved, settings)
    np.testing.assert_allclose(other.concentrations, one.concentrations, atol=1e-6)
    np.testing.assert_allclose(other.share_band, one.share_band, atol=4e-3)  # a step that promises less is not made


def test_a_wide_band_names_what_would_narrow_it():
    generator, time = np.random.default_rng(3), np.arange(60) / 10
    curves, _ = measure_series(two_spheres(), drawn_reaction(2, time, generator), time, Measurement(Q, 0.01), generator)
    with pytest.warns(DataWarning, match="would narrow it"):
        found = decompose(curves, DecomposeSettings(closure=True))
    assert "would narrow it" in (found.warnings or "")


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_a_drifting_beam_is_no_closure():
    generator, time = np.random.default_rng(4), np.arange(80) / 10
    measurement = Measurement(Q, 0.005, drift=Drift(beam_jitter=0.05))
    curves, _ = measure_series(two_spheres(), drawn_reaction(2, time, generator), time, measurement, generator)
    found = decompose(curves, DecomposeSettings(closure=True, rank=2))
    assert "cannot add up to a constant" in (found.warnings or "")
    assert not json.loads(found.verdict)["closure"]["passed"]


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_too_few_components_do_not_explain_the_series(elution):
    found = decompose(elution[0], DecomposeSettings(rank=1, bands=False))
    assert not json.loads(found.verdict)["components"]["passed"]


@pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
def test_a_buffer_that_drifts_is_a_component_with_a_name():
    generator, time = np.random.default_rng(6), np.arange(90.0)
    c = np.stack([elution_peak(time, 40.0, 6.0, 3.0), 0.5 * elution_peak(time, 52.0, 6.0, 3.0)], axis=1)
    curves, truth = measure_series(two_spheres(), c, time, Measurement(Q, 0.01, drift=Drift(buffer=0.02)), generator)
    names = [ComponentSettings(name="small", unimodal=True), ComponentSettings(name="large", unimodal=True)]
    buffer = ComponentSettings(name="buffer", constant_in_q=True)
    found = decompose(curves, DecomposeSettings(components=(*names, buffer), bands=False))
    assert found.rank == 3
    assert np.corrcoef(found.concentrations[:, 2], truth.buffer)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("changed", "settings", "said"),
    [
        ({}, {"buffer": (100, 300)}, "buffer: need first and stop within the 140 frames"),
        ({}, {"frames": (5, 6)}, "need at least 3 frames"),
        ({}, {"q_min": 3.0}, "q range"),
        ({}, {"components": [{"name": "one"}], "rank": 2}, "as many as the rank"),
        ({}, {"components": [{"name": "one", "first_frame": 500}]}, "its range needs at least one"),
        ({"intensity": np.full((140, 150), 2.0)}, {}, "all are equal"),
        (
            {"intensity": np.random.default_rng(8).standard_normal((140, 150)), "sigma": np.ones((140, 150))},
            {},
            "above the",
        ),
        ({"sigma": np.zeros((140, 150))}, {}, "sigmas above zero"),
        ({"time": np.zeros(140)}, {"smooth": "time", "rank": 2}, "times that rise"),
        ({}, {"smooth": "log_time", "rank": 2}, "log_time needs a time above 0"),
    ],
)
def test_bad_input_is_told_in_one_line(elution, changed, settings, said):
    with pytest.raises(InputError, match=said) as told:
        decompose(dataclasses.replace(elution[0], **changed), DecomposeSettings(**settings))
    assert "\n" not in str(told.value)


def test_guinier_s_line_of_a_gaussian_is_exact():
    curve = 3.0 * np.exp(-((Q * 20.0) ** 2) / 3)
    found = guinier_line(Q, curve, 0.01 * curve)
    assert found.rg == pytest.approx(20.0, rel=1e-10)
    assert found.i0 == pytest.approx(3.0, rel=1e-10)
    assert 20.0 * found.q_max <= 1.3


def test_guinier_s_error_is_the_spread_of_repeats():
    generator, curve = np.random.default_rng(9), np.exp(-((Q * 20.0) ** 2) / 3)
    repeats = [
        guinier_line(Q, curve + 0.01 * generator.standard_normal(len(Q)), np.full(len(Q), 0.01)) for _ in range(200)
    ]
    pulls = [(one.rg - 20.0) / one.rg_error for one in repeats]
    assert 0.85 < np.std(pulls) < 1.15  # 3 sd of a standard deviation of 200


def test_a_curve_that_rises_has_no_radius():
    assert np.isnan(guinier_line(Q, 1 + Q, np.full(len(Q), 0.001)).rg)
