"""Figures of small-angle scattering: they are drawn, and their captions hold the numbers."""

import numpy as np
import plain_curves
import pytest

from madpipe.base.errors import InputError
from madpipe.saxs.analysis.guinier import guinier
from madpipe.saxs.analysis.size_distribution import size_distribution
from madpipe.saxs.config_size import SizeSettings
from madpipe.saxs.figures.fit import fitted_curves, smearing_compared, valley
from madpipe.saxs.figures.guinier import guinier_plot
from madpipe.saxs.figures.size import size_distribution as size_figure
from madpipe.saxs.fit.fit import fit_curves
from madpipe.saxs.fit.settings import SaxsFitConfig
from madpipe.saxs.records_size import size_record

Q = np.geomspace(0.004, 0.3, 80)


def _sphere():
    clean = plain_curves.intensity("sphere", Q, radius=55.0, pd=0.12)
    return plain_curves.curves(Q, clean / clean.max() + 1e-3, 0.01, np.random.default_rng(0))


@pytest.fixture(scope="module")
def fits():
    settings = {"model": "sphere", "library": 64, "starts": 4, "samples": 0}
    return [fit_curves(_sphere(), SaxsFitConfig(**settings, **more), 0) for more in ({}, {"q_max": 0.1})]


def test_a_fit_is_drawn_with_its_numbers(fits):
    picture = fitted_curves(fits[0])
    assert f"chi-square {fits[0].chi2[0]:.3g}" in picture.caption
    assert "radius 5" in picture.caption
    upper, lower = picture.figure.axes
    residuals = lower.lines[0].get_ydata()
    assert np.sum(residuals**2) == pytest.approx(fits[0].chi2[0] * fits[0].degrees_of_freedom[0], rel=1e-9)
    assert upper.get_yscale() == "log"


def test_two_fits_of_a_curve_are_compared(fits):
    caption = smearing_compared(*fits).caption
    assert all(f"chi-square {one.chi2[0]:.3g}" in caption for one in fits)


def test_a_valley_shows_pairs_and_needs_two_parameters(fits):
    picture = valley(fits[0])
    assert len(picture.figure.axes) == 4
    held = fit_curves(_sphere(), SaxsFitConfig(model="sphere", fix={"pd": 0.12}, library=64, starts=4, samples=0), 0)
    with pytest.raises(InputError, match="two that are free"):
        valley(held)


def test_an_ellipse_touches_its_standard_deviations(fits):
    axes = valley(fits[0]).figure.axes[2]
    value, error = fits[0].of("radius")
    inner = axes.lines[0].get_xdata()
    assert (inner.max() - value) / error == pytest.approx(1.515, rel=1e-3)  # root of chi-square of two at 68.3 %


def test_a_size_distribution_is_drawn_with_its_percentiles_and_where_q_does_not_reach():
    curves = _sphere()
    settings = SizeSettings(background=1e-3, power_law=0.0, draws=3)
    answer = size_distribution(Q, curves.intensity[0], curves.sigma[0], settings, np.random.default_rng(0))
    record = size_record(answer, "maximum entropy")
    picture = size_figure(record, np.column_stack([record.size, record.density]), "another")
    assert "50 % of the volume below" in picture.caption
    assert ("Grey" in picture.caption) == bool((record.is_trusted == 0).any())
    assert "another" in picture.caption


def test_guiniers_plot_names_its_range_and_radius():
    curves = _sphere()
    found = guinier(Q, curves.intensity[0], curves.sigma[0])
    caption = guinier_plot(curves, found).caption
    assert f"over {found.points} points" in caption
    assert "Rg 4" in caption
