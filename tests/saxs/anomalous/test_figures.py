"""Figures of an energy series print the numbers of the fit, and the record comes back from its file."""

from dataclasses import replace

import numpy as np
import pytest

from madpipe.base import store
from madpipe.saxs.analysis.separation import separate_series
from madpipe.saxs.anomalous.fit import fit_anomalous
from madpipe.saxs.anomalous.records import AnomalousFit
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.config_plan import PlanSettings
from madpipe.saxs.config_separation import SeparationSettings
from madpipe.saxs.figures.anomalous import contrast_against_energy, errors_against_photons, resonant_term, series_fit
from madpipe.saxs.plan.plan import plan
from madpipe.saxs.simulate.curves import simulate_curves
from madpipe.saxs.simulate.settings import nickel_iron


@pytest.fixture(scope="module")
def both():
    sample = nickel_iron().model_copy(update={"photons": 1e8, "points": 50, "background": 1e-3, "background_rise": 0.0})
    curves, _ = simulate_curves(sample, np.random.default_rng(3))
    begun = [{"core_radius": 42.0, "thickness": 13.0, "pd": 0.11, "core:Fe": 0.3}]
    return curves, fit_anomalous(curves, AnomalousFitConfig(library=16, starts=1), 0, starts=begun)


def test_captions_hold_the_numbers(both):
    _, found = both
    fitted = series_fit(found)
    assert f"{found.chi2:.3g} per degree of freedom" in fitted.caption
    assert "core radius" in fitted.caption
    drawn = contrast_against_energy(found)
    assert f"core/shell at {int(found.matches[0, 0])}." in drawn.caption
    for picture in (fitted, drawn):
        picture.figure.canvas.draw()


def test_the_separated_resonant_term_is_that_of_the_fitted_particle(both):
    """Nothing is known of particles in a separation: at each q within its errors, which nuisances make alike."""
    curves, found = both
    settings = SeparationSettings(element="Ni", background=2e-3)
    separation = separate_series(curves, settings)
    model = found.partials[found.doubted.split("\n").index("Ni"), :, 1]
    off = (separation.terms[:, 1] - model) / np.sqrt(separation.covariance[:, 1, 1])
    assert (np.abs(off) < 4).all()
    low = curves.q < 0.05
    np.testing.assert_allclose(separation.terms[low, 1] / model[low], 1, atol=1.0)
    resonant_term(found, separation).figure.canvas.draw()
    with pytest.raises(ValueError, match="of Ni is required; one of O came"):
        resonant_term(found, replace(separation, element="O"))


def test_partials_make_the_curves_again(both):
    """a_E times the partial intensities of Ni, by hand, beside the curve: other elements' f' hardly change."""
    _, found = both
    place = found.elements.split("\n").index("Ni")
    ratio = (found.f_prime[:, place] + 1j * found.f_double_prime[:, place]) / 28
    rows = np.stack([np.ones(8), np.abs(ratio) ** 2, 2 * ratio.real, 2 * ratio.imag], axis=1)
    made = rows @ found.partials[0].T
    backgrounds = np.array([found.of(f"background[{number + 1}]")[0] for number in range(8)])
    expected = (found.calculated - backgrounds[:, None]) / found.scales[:, :1]
    np.testing.assert_allclose(made, expected, rtol=0.02)


def test_errors_are_drawn_beside_the_bound(both):
    _, found = both
    planned = plan(PlanSettings(points=30, photons=(1e7, 1e8)))
    picture = errors_against_photons(planned, [(1e8, found)], "core:Fe")
    picture.figure.canvas.draw()
    assert "stated over bound" in picture.caption


def test_the_record_comes_back(both, tmp_path):
    _, found = both
    store.write(tmp_path / "anomalous.h5", found)
    back = store.read(tmp_path / "anomalous.h5", AnomalousFit)
    assert back.names == found.names
    np.testing.assert_array_equal(back.values, found.values)
    np.testing.assert_array_equal(back.partials, found.partials)
    assert back.of("core_radius") == found.of("core_radius")
