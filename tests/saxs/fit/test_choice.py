"""Choice of a model: the right one, and none for what none of them is."""

import numpy as np
import plain_curves

from madpipe.saxs.fit.choice import choose, fit_best
from madpipe.saxs.fit.settings import SaxsChoiceConfig, SaxsFitConfig

Q = np.geomspace(0.005, 0.3, 80)
FIT = SaxsFitConfig(library=128, starts=6, samples=0)
CHOICE = SaxsChoiceConfig(models=("sphere", "lamella", "gaussian_coil", "guinier_porod", "parallelepiped"))


def _sphere(radius):
    return plain_curves.intensity("sphere", Q, radius=radius, pd=0.08)


def _curves(clean):
    return plain_curves.curves(Q, clean / clean.max() + 1e-3, 0.01, np.random.default_rng(1))


def test_a_sphere_is_chosen_without_asking_for_dear_shapes():
    (found,) = choose(_curves(_sphere(50.0)), FIT, CHOICE, 0)
    assert found.chosen == "sphere"
    assert "not tried, as that one does: parallelepiped" in found.verdict


def test_none_is_chosen_for_a_mixture_and_the_nearest_says_so():
    mixture = _curves(_sphere(20.0) + 0.02 * _sphere(80.0))
    cheap = CHOICE.model_copy(update={"models": ("sphere", "lamella", "gaussian_coil")})
    (found,) = choose(mixture, FIT, cheap, 0)
    assert found.chosen is None
    assert "no model explains the curve" in found.verdict
    assert fit_best(mixture, FIT, cheap, 0).explained[0] == 0
