"""The weights that come with madpipe: what they say of simulated curves and of measured ones."""

import numpy as np
import pytest
import torch

from madpipe.base.curves.records import Curves
from madpipe.base.shipped import shipped_weights
from madpipe.saxs.network.evaluate import evaluate
from madpipe.saxs.network.infer import Predictor
from madpipe.saxs.network.settings import SaxsEvaluateConfig
from madpipe.saxs.network.table import simulated_table
from madpipe.saxs.network.weights import load_network

MEGABYTES = 2.0


@pytest.fixture(scope="module")
def trained():
    return load_network(shipped_weights("saxs"))


def test_the_file_is_small():
    assert shipped_weights("saxs").stat().st_size < MEGABYTES * 1e6


def test_probabilities_are_honest_on_draws_of_their_own(trained):
    """2048 curves of only 88 smooth ones: their shares scatter by .02 about those of many more."""
    table = simulated_table(8, torch.Generator().manual_seed(41))
    scores = evaluate(trained, SaxsEvaluateConfig(curves=2048, foreign=64), 41, table)
    assert scores.accuracy > 0.75
    assert abs(scores.confidence - scores.accuracy) < 0.04
    assert scores.calibration_error < 0.05
    assert scores.rejected["known"] < 0.05


def test_apoferritin_is_a_hollow_shell_of_its_size(trained, shared):
    path = shared / "saxs" / "apoferritin.txt"
    q, intensity, sigma, dq = np.loadtxt(path, skiprows=5).T
    kept = (q > 0.012) & (q < 0.35)
    curves = Curves(q[kept], intensity[None, kept], sigma[None, kept], 1, "apoferritin", "apoferritin", dq=dq[kept])
    found = Predictor(trained)(curves)[0]
    hollow = found.probabilities["vesicle"] + found.probabilities["core_shell_sphere"]
    assert hollow > 0.9
    guess = found.of_class["vesicle"]
    start = guess.starts(1, torch.Generator())[0]
    assert 45 < start["core_radius"] + start["thickness"] < 70  # 52.96 is the crystal's radius of gyration
