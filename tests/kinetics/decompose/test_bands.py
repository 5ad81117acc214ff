"""Bands of simulated series: against all solutions tried one by one, and against the truth."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from madpipe.kinetics.decompose.bands import TOLERANCE, factors_of, feasible_set, find_bands, gauge_of, hidden_component
from madpipe.kinetics.decompose.component import Component, Smoothness
from madpipe.kinetics.decompose.mcr import Stop, resolve
from madpipe.kinetics.decompose.rotation import FeasibleSet, Measure, Rows, _profile_bounds, gauged
from madpipe.kinetics.decompose.weights import separable_sigma
from madpipe.kinetics.simulate.series import (
    Drift,
    Measurement,
    drawn_elution,
    drawn_profiles,
    drawn_reaction,
    measure_series,
)

Q = np.linspace(0.01, 0.3, 120)


def decomposed(seed, count, kind, frames=80, ends=False, noise=0.01):
    """A series with its truth in the band's gauge, factors, components and band."""
    generator, time = np.random.default_rng(seed), np.arange(frames) / 10
    is_elution = kind == "elution"
    c = drawn_elution(count, frames, generator) if is_elution else drawn_reaction(count, time, generator)
    profiles = drawn_profiles(count, Q, generator)
    curves, _ = measure_series(profiles, c, time, Measurement(Q, noise), generator)
    components = []
    for k in range(count):
        known = np.full(frames, np.nan)
        known[[0, -1]] = c[[0, -1], k]
        smooth = Smoothness(time, (float(time[0]), float(time[-1])), 31)
        extra = {"known_concentration": known, "smooth": smooth} if ends else {}
        components.append(Component(f"species {k}", unimodal=is_elution, **extra))
    weights = separable_sigma(curves.sigma)
    closure = not is_elution
    found = resolve(
        curves.intensity, curves.sigma, Q, weights, tuple(components), closure=closure, stop=Stop(200, 1e-5)
    )
    factors = factors_of(curves.intensity / (weights.frame[:, None] * weights.q), count, weights, 1.0)
    gauge = gauge_of(factors, closure)
    scale = np.ones(count) if closure else (found.profiles / weights.q) @ gauge.signal
    truth = c if closure else c * ((profiles / weights.q) @ gauge.signal)
    band = find_bands(factors, Q, tuple(components), found.concentrations * scale, closure)
    return factors, tuple(components), band, truth, found


def in_order(band, truth):
    """Give the order of the band's components that is nearest to the truth."""
    middle = (band.low + band.high) / 2
    return linear_sum_assignment(np.abs(truth[:, :, None] - middle[:, None, :]).sum(axis=0))[1]


@pytest.mark.parametrize("seed", [1])
def test_two_components_have_the_extremes_that_a_grid_over_all_solutions_has(seed):
    factors, components, band, _, found = decomposed(seed, 2, "reaction")
    gauge = gauge_of(factors, True)
    start = gauged(np.linalg.lstsq(factors.left, found.concentrations, rcond=None)[0], gauge.vector, np.ones(2, bool))
    within = feasible_set(factors, Q, components, gauge, True, start)
    mean, total = factors.left.mean(axis=0), float(np.mean(factors.left @ gauge.vector))
    shares = []
    for x in np.linspace(-3, 3, 61):
        for y in np.linspace(-3, 3, 61):
            change = np.array([[x, -x], [y, -y]])  # all that keep the gauge
            a = start + start @ change
            if abs(np.linalg.det(a)) > 1e-9 and np.linalg.det(np.eye(2) + change) > 0 and within.breach(a) <= 0:
                shares.append(float(mean @ a[:, 0]) / total)
    step = 0.1 * max(band.share[0, 1], 1 - band.share[0, 0])  # of the grid, times what it multiplies
    assert within.tolerance == TOLERANCE
    assert band.share[0, 0] <= min(shares) + 0.005
    assert band.share[0, 1] >= max(shares) - 0.005
    assert band.share[0, 0] >= min(shares) - step
    assert band.share[0, 1] <= max(shares) + step


@pytest.mark.parametrize(("seed", "count"), [(11, 2), (12, 3)])
@pytest.mark.parametrize("kind", ["reaction", "elution"])
def test_the_truth_lies_in_the_band(seed, count, kind):
    _, _, band, truth, _ = decomposed(seed, count, kind)
    order = in_order(band, truth)
    inside = (truth >= band.low[:, order]) & (truth <= band.high[:, order])
    assert inside.mean() > 0.9
    assert band.outside == 0


def test_chromatography_of_one_maximum_each_has_a_narrow_band():
    widths = []
    for seed in (21, 22, 23):
        _, _, band, truth, _ = decomposed(seed, 2, "elution")
        widths.append(np.median(band.high - band.low) / truth.sum(axis=1).max())
    assert np.median(widths) < 0.1


def test_known_ends_smoothness_and_closure_narrow_it_and_the_answer_is_near_the_truth():
    for seed in (31, 32):
        _, _, free, _, _ = decomposed(seed, 2, "reaction")
        _, _, band, truth, found = decomposed(seed, 2, "reaction", ends=True)
        assert band.width().max() < 0.5 * free.width().max() + 0.02
        assert np.sqrt(np.mean((found.concentrations - truth) ** 2)) < 0.03


def test_a_slow_drift_below_the_edge_is_seen_in_the_residual():
    generator = np.random.default_rng(41)
    noise = generator.standard_normal((120, 200))
    shape = np.outer(np.linspace(-1, 1, 120), np.exp(-np.linspace(0, 3, 200)))
    drift = 16 * shape / np.linalg.norm(shape)  # the edge of the whole matrix is at 25
    assert hidden_component(noise) == 0
    assert hidden_component(noise + drift) == pytest.approx(16, abs=4)


def test_a_hidden_drift_of_the_buffer_widens_the_band_until_it_holds_the_truth():
    generator, time = np.random.default_rng(42), np.arange(100.0)
    c, profiles = drawn_elution(2, 100, generator), drawn_profiles(2, Q, generator)
    curves, _ = measure_series(profiles, c, time, Measurement(Q, 0.01, drift=Drift(buffer=0.0015)), generator)
    weights, components = separable_sigma(curves.sigma), (Component("a", unimodal=True), Component("b", unimodal=True))
    found = resolve(curves.intensity, curves.sigma, Q, weights, components, stop=Stop(100))
    factors = factors_of(curves.intensity / (weights.frame[:, None] * weights.q), 2, weights, 1.0)
    gauge = gauge_of(factors, False)
    band = find_bands(
        factors, Q, components, found.concentrations * ((found.profiles / weights.q) @ gauge.signal), False
    )
    truth = c * ((profiles / weights.q) @ gauge.signal)
    order = in_order(band, truth)
    assert ((truth >= band.low[:, order]) & (truth <= band.high[:, order])).mean() > 0.9


def test_a_slope_is_that_of_the_measure():
    """Against central differences of step h: error h^2 times a third derivative of order 10."""
    draw = np.random.default_rng(51)
    a, change = np.eye(3) + 0.2 * draw.standard_normal((3, 3)), draw.standard_normal((3, 3))
    measure, h = Measure(draw.standard_normal((3, 3)), draw.standard_normal((3, 3))), 1e-5
    numeric = (measure.value(a + h * a @ change) - measure.value(a - h * a @ change)) / (2 * h)
    assert np.sum(measure.slope(a) * change) == pytest.approx(numeric, abs=1e-7)


def test_bounds_on_curves_follow_the_curves():
    """The programme's bound on a row of curves, against the curve after a small step: second order in the step."""
    draw = np.random.default_rng(52)
    a = np.eye(3) + 0.2 * draw.standard_normal((3, 3))
    rows = Rows(draw.standard_normal((4, 3)), np.array([0, 1, 2, 1]), np.zeros(4), np.zeros(4, dtype=bool), np.ones(4))
    values = np.array([30.0, 20.0, 10.0])
    within = FeasibleSet(rows, rows, values, 1.0, 0.0, np.ones(3, dtype=bool))
    inverse, change = np.linalg.inv(a), 1e-5 * draw.standard_normal((3, 3))
    noise = within.profile_noise(inverse)[rows.component]
    matrix, limit = _profile_bounds(within, inverse, 1e3)  # a reach that drops no row
    after = np.sum(rows.vectors * np.linalg.inv(a + a @ change)[rows.component], axis=1) / noise
    np.testing.assert_allclose(limit - matrix[:, :-1] @ change.ravel(), after, atol=1e-6)
