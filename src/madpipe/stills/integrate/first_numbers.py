"""Parameters at the start of a fit, and which of them are free."""

import numpy as np
from jaxtyping import Bool, Float

from madpipe.stills.integrate.data import Data
from madpipe.stills.integrate.image_model import MOSAICITY, OWN, SHAPE, SHARED, TAIL
from madpipe.stills.integrate.intensities import Belief
from madpipe.stills.integrate.methods import Method
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.integrate.start import first_log_width, first_scale


def first_numbers(
    data: Data, belief: Belief, config: IntegrateConfig
) -> tuple[Float[np.ndarray, "image own"], Float[np.ndarray, "shared"]]:
    """Own and shared parameters to begin with; mosaicity and tail are none where the images are to ask for them.

    Parameters
    ----------
    data, belief:
        Images, and their reflections' intensities.
    config:
        Priors, whose values are where the others begin.
    """
    priors = config.priors
    strains = max(len(still.scene.strains) for still in data.stills)
    own, shared = np.zeros((len(data.stills), len(OWN) + strains)), np.zeros(len(SHARED) + len(data.edges) - 1)
    shared[0] = np.log(priors.mosaic_radius.value)
    bandwidth = data.stills[0].scene.beam.bandwidth or (priors.bandwidth.value if config.fit_bandwidth else 0.0)
    shared[1] = np.log(bandwidth) if bandwidth else -np.inf
    shared[MOSAICITY] = 0.0 if config.fit_mosaicity else np.radians(priors.mosaicity.value)
    shared[TAIL] = 0.0 if config.fit_tail else priors.tail.value
    shared[SHAPE] = priors.shape.value * data.stills[0].scene.shapes.any(axis=(1, 2))
    own[:, 1] = priors.b_factor.value
    for image, (still, piece) in enumerate(zip(data.stills, data.pieces, strict=True)):
        own[image, 0] = first_scale(still, belief.mean[data.unique.of_spot[piece]], own[image], shared)
    shared[len(SHARED) :] = np.log(config.width) if config.width else first_log_width(data.stills)
    return own, shared


def free_numbers(
    config: IntegrateConfig, method: Method, own: int, shared: int
) -> tuple[Bool[np.ndarray, "own"], Bool[np.ndarray, "shared"]]:
    """Which parameters are fitted from the start."""
    of_image = np.array([True, True, *[config.fit_orientation] * 3, *[config.fit_strain] * (own - len(OWN))])
    of_all = np.zeros(shared, dtype=bool)
    of_all[0], of_all[1] = config.fit_mosaic_radius, config.fit_bandwidth
    for name in config.movements:
        of_all[SHARED.index(name)] = True
    of_all[len(SHARED) :] = not method.free_width
    return of_image, of_all
