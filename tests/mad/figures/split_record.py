"""A record of split counts as a network's answer has it, made by hand."""

import math

import numpy as np

from madpipe.mad.records import Split

PHOTONS = np.array([[10.0, 30.0], [30.0, 100.0], [100.0, 300.0], [300.0, math.inf]])


def made(**changes):
    """Four shells: the first is stated too small, the second found below zero, the third set aside, the last is few."""
    stated = np.outer([0.04, 0.09, 0.16, 0.25], [1.0, 4.0, 9.0])
    found = stated * np.array([4.0, -0.5, 1.0, 1.0])[:, None]
    record = {
        "photons": PHOTONS,
        "points": np.array([4000, 2000, 1000, 60]),
        "widened": np.array([3.3, 1.5, 1e6, 1.0]),
        "squared_error": found,
        "squared_error_errors": stated * np.array([0.1, 0.7, 0.1, 0.3])[:, None],
        "uncalibrated": stated,
        "stated": stated,
        "of_fit": 5 * stated,
        "r_unseen": 0.21,
        "r_unseen_noise": 0.2,
        "usual": 0.013,
    }
    return Split(**{**record, **changes})
