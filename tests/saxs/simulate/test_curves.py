"""Simulated curves against closed forms, sums written apart, and the law of their noise."""

import numpy as np
import pytest

from madpipe.base import store
from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.saxs.simulate.curves import simulate_curves
from madpipe.saxs.simulate.records import SaxsTruth
from madpipe.saxs.simulate.settings import SimulatedCurves, behind_a_slit, iron_below_its_edge, nickel_iron

SPHERE = {
    "model": "sphere",
    "values": {"radius": 50.0},
    "spread": "none",
    "contrast": {"core": 3.0},
    "background": 0.0,
    "volume_fraction": 0.01,
}


def rng(seed=0):
    return np.random.default_rng(seed)


def ball(q, radius):
    x = q * radius
    return 4 * np.pi * radius**3 * (np.sin(x) - x * np.cos(x)) / x**3


def test_a_dilute_sphere_has_its_absolute_intensity():
    """phi V contrast^2 P(q), in 1/cm: 1e-4 of (1e-6/A^2)^2 A^3."""
    _, truth = simulate_curves(SimulatedCurves(**SPHERE), rng())
    q = np.geomspace(0.01, 0.5, 150)
    volume = 4 / 3 * np.pi * 50.0**3
    expected = 1e-4 * 0.01 * 9.0 * ball(q, 50.0) ** 2 / volume
    np.testing.assert_allclose(truth.expected[0], expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_a_slit_averages_along_its_length():
    """1/L int_0^L I(sqrt(q^2 + u^2)) du by 4000 midpoints; the package's own target is 1e-4."""
    config = SimulatedCurves(**SPHERE, slit_length=0.05, q_max=0.2, points=40)
    curves, truth = simulate_curves(config, rng())
    along = (np.arange(4000) + 0.5) / 4000 * 0.05
    at = np.sqrt(curves.q[:, None] ** 2 + along**2)
    expected = (1e-4 * 0.01 * 9.0 * ball(at, 50.0) ** 2 / (4 / 3 * np.pi * 50.0**3)).mean(axis=1)
    np.testing.assert_allclose(truth.expected[0], expected, rtol=1e-4)
    assert (curves.slit_length == 0.05).all()
    assert curves.dq is None


def test_counts_follow_poisson_s_law_with_the_stated_errors():
    """Mean and variance of (I - expected) / sigma over 2,250 points: 0 and 1 within four standard deviations."""
    config = nickel_iron().model_copy(update={"photons": 1e8})
    curves, truth = simulate_curves(config, rng(3))
    off = (curves.intensity - truth.expected) / curves.sigma
    count = off.size
    assert abs(off.mean()) < 4 / count**0.5
    assert abs(off.var() - 1) < 4 * (2 / count) ** 0.5
    assert curves.counts is not None
    assert curves.counts.sum() == pytest.approx(8e8, rel=4e-3)
    per_unit = curves.counts[0].sum() / curves.intensity[0].sum()
    assert per_unit > 0
    assert np.array_equal(curves.counts, np.round(curves.counts))


def test_relative_errors_are_what_they_say():
    curves, truth = simulate_curves(SimulatedCurves(**SPHERE, photons=0.0, relative_error=0.03, points=1000), rng(1))
    np.testing.assert_allclose(curves.sigma, 0.03 * truth.expected)
    assert curves.counts is None
    assert np.std((curves.intensity - truth.expected) / curves.sigma) == pytest.approx(1, abs=4 * 0.0224)


def test_an_offset_moves_the_curves_and_not_what_they_state():
    config = iron_below_its_edge().model_copy(update={"scale_error": 0.0, "background_rise": 0.0})
    _, still = simulate_curves(config, rng())
    moved_config = config.model_copy(update={"offset": 3.0, "energies": tuple(one - 3 for one in config.energies)})
    curves, moved = simulate_curves(moved_config, rng())
    np.testing.assert_allclose(moved.expected, still.expected, rtol=1e-12)
    assert curves.energy == pytest.approx([one - 3 for one in config.energies])
    assert moved.offset == 3.0


def test_scales_and_backgrounds_are_those_of_the_truth():
    config = nickel_iron().model_copy(update={"scales": (2.0,) + (1.0,) * 7, "background": 0.5})
    _, truth = simulate_curves(config, rng())
    _, plain = simulate_curves(config.model_copy(update={"scales": (1.0,) * 8}), rng())
    np.testing.assert_allclose(truth.expected[0] - 0.5, 2 * (plain.expected[0] - 0.5), rtol=1e-12)
    np.testing.assert_allclose(truth.background, 0.5 * (1 + 0.5 * np.arange(8) / 7))
    assert truth.of("core:Fe") == pytest.approx(0.25)


def test_a_seed_gives_the_same_curves_again_and_both_files_come_back(tmp_path):
    first, truth = simulate_curves(behind_a_slit(), rng(5))
    again, _ = simulate_curves(behind_a_slit(), rng(5))
    other, _ = simulate_curves(behind_a_slit(), rng(6))
    assert np.array_equal(first.intensity, again.intensity)
    assert not np.array_equal(first.intensity, other.intensity)
    for name, record, kind in (("curves.h5", first, Curves), ("truth.h5", truth, SaxsTruth)):
        store.write(tmp_path / name, record)
        back = store.read(tmp_path / name, kind)
        assert back.names == record.names
        shown = "intensity" if kind is Curves else "expected"
        np.testing.assert_array_equal(getattr(back, shown), getattr(record, shown))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"values": {"radius": 3.0, "thickness": 2.0}}, "thickness came"),
        ({"q_min": 0.6}, "q_min below q_max"),
        ({"materials": {"core": "Ni"}}, "energies"),
        ({"materials": {"shell": "Ni"}, "energies": (8000.0,)}, "formula of each region"),
        ({"materials": {"core": "Ni"}, "energies": (0.1,)}, "table"),
        ({"scales": (1.0, 1.0)}, "a scale for each"),
        ({"model": "core_shell_sphere", "values": {}, "contrast": {"core": 1.0}}, "all regions"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_line(more, says):
    with pytest.raises(InputError, match=says) as caught:
        simulate_curves(SimulatedCurves(**{**SPHERE, **more}), rng())
    assert "\n" not in str(caught.value)
