"""Images of a scene: expected photons, and counts."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int

from madpipe.base.errors import InputError
from madpipe.physics.noise import poisson
from madpipe.stills.forward import image
from madpipe.stills.scene import Background, Scene

_Image = Float[np.ndarray, "slow fast"]


def expected_images(scene: Scene) -> list[_Image]:
    """Expected photons on each panel."""
    return [image(scene, panel) for panel in scene.panels]


def counted_images(scene: Scene, generator: torch.Generator) -> list[Int[np.ndarray, "slow fast"]]:
    """Counts on each panel, Poisson's, drawn in the panels' order.

    Each photon that is absorbed counts as one, in one pixel: no point spread, dead time or gain.
    """
    drawn = (poisson(torch.from_numpy(one), generator) for one in expected_images(scene))
    return [one.numpy().astype(np.int64) for one in drawn]


def scaled_to(scene: Scene, photons: float, background: float) -> Scene:
    """The scene with so many Bragg photons on all its panels together, and a background [photon/pixel].

    Raises
    ------
    InputError
        No Bragg photon reaches the panels.
    """
    alone = replace(scene, background=Background())
    total = sum(float(one.sum()) for one in expected_images(alone))
    if not total > 0:
        raise InputError(
            f"photons: Bragg photons on the panels are required to scale them to {photons:g}; got {total:g}; "
            "check orientation, structure factors and distance"
        )
    return replace(scene, scale=scene.scale * photons / total, background=Background(background))
