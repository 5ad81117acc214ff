"""The original demo's own way to refine: Adam on the mean squared difference of the images."""

import numpy as np

from madpipe.stills.fit.pixels import Observed, Search, evaluated
from madpipe.stills.fit.unknowns import Layout
from madpipe.stills.scene import Scene

RATE, ITERATIONS = 0.05, 100  # the original's, of numbers in degree
_MEMORY, _MEMORY_OF_SQUARES, _TINY = 0.9, 0.999, 1e-8


def adam(scene: Scene, observed: Observed, layout: Layout, iterations: int = ITERATIONS, rate: float = RATE) -> Search:
    """Refine with a fixed number of steps of Adam, all pixels alike.

    Here for comparison: it knows no photon statistics, no errors and no end. The rotation vector from the start stands
    for the original's missetting angles; the domains are those of the scene, in the original the very ones that made
    the data.

    References
    ----------
    Kingma and Ba, arXiv:1412.6980, algorithm 1.
    """
    numbers = np.zeros(layout.count)
    mean, square = np.zeros(layout.count), np.zeros(layout.count)
    for step in range(1, iterations + 1):
        tried = evaluated(scene, observed, layout, numbers, observed.measured)
        slope = 2 * tried.jacobian.T @ (tried.expected - tried.photons) / len(tried.photons)
        mean = _MEMORY * mean + (1 - _MEMORY) * slope
        square = _MEMORY_OF_SQUARES * square + (1 - _MEMORY_OF_SQUARES) * slope**2
        ahead, size = mean / (1 - _MEMORY**step), np.sqrt(square / (1 - _MEMORY_OF_SQUARES**step))
        numbers = numbers - rate * ahead / (size + _TINY)
    tried = evaluated(scene, observed, layout, numbers, observed.measured)
    return Search(*layout.moved(scene, observed.panel, numbers), tried.deviance, iterations + 1)
