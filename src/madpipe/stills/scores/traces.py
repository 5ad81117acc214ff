"""How searches in pixels run: what each evaluation has found, in the original demo's own setting."""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from madpipe.base.plain import told
from madpipe.base.runtime import generator_for
from madpipe.physics.rotations import rotation_vector
from madpipe.stills.fit.pixels import Observed
from madpipe.stills.fit.recovery import METHODS
from madpipe.stills.fit.unknowns import Layout
from madpipe.stills.forward import image
from madpipe.stills.mosaic import drawn
from madpipe.stills.scene import Scene
from madpipe.stills.simulate.demo import demo

SHOWN = ("adam", "marquardt", "low-angles")  # a search from several starts has no single course
_DOMAINS = 5  # random ones that both make and explain the data, as the published demo does


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Course of one search; lists are in the order of its evaluations."""

    method: str
    orientation: tuple[float, ...] = told("rotation from the truth", "degree")
    spread: tuple[float, ...] = told("", "degree")
    loss: tuple[float, ...] = told("mean square of the images' difference, over that of the start")


@dataclass(frozen=True)
class _Recording(Layout):
    """Numbers that keep the scenes at which derivatives were taken."""

    names: tuple[str, ...] = ("misset", "spread")
    scenes: list[Scene] = field(default_factory=list)

    def chained(
        self, scene: Scene, numbers: Float[np.ndarray, "number"], jacobian: Float[np.ndarray, "pixel number"]
    ) -> Float[np.ndarray, "pixel number"]:
        """Derivatives by the numbers, once for each evaluation."""
        self.scenes.append(self.moved(scene, scene.panels[0], numbers)[0])
        return super().chained(scene, numbers, jacobian)


def trace(method: str, seed: int, misset: Float[np.ndarray, "3"], spread: float) -> Trace:
    """Follow a search for the demo's misset and spread; five domains make the data and explain them.

    Parameters
    ----------
    method:
        Of :data:`madpipe.stills.fit.recovery.METHODS`.
    seed:
        Of the domains.
    misset, spread:
        Where it starts [radian].
    """
    law = drawn(_DOMAINS, generator_for(seed, "stills", "domains"))
    truth, start = demo(mosaicity=law), demo(misset, spread, law)
    panel, layout = truth.panels[0], _Recording()
    data = image(truth, panel)
    METHODS[method](start, Observed.of_image(panel, data), layout)
    losses = [float(np.mean((image(one, panel) - data) ** 2)) for one in layout.scenes]
    turns = [rotation_vector((truth.crystal.reciprocal @ one.crystal.axes).T) for one in layout.scenes]
    return Trace(
        method=method,
        orientation=tuple(math.degrees(float(np.linalg.norm(one))) for one in turns),
        spread=tuple(math.degrees(one.spread) for one in layout.scenes),
        loss=tuple(one / losses[0] for one in losses),
    )
