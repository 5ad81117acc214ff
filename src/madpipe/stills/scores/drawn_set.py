"""A small simulated set of images in memory, and its integration."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from madpipe.stills.config import SimulatedStills
from madpipe.stills.geometry import Crystal, finest
from madpipe.stills.integrate.fit import Fitted, fit_stills
from madpipe.stills.integrate.prepare import Still, prepared
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.reflections.model import indices_within
from madpipe.stills.simulate.crystals import DrawnStills, draw_stills


@dataclass(frozen=True)
class DrawnSet:
    """Images that were drawn, and what was counted."""

    sample: SimulatedStills
    drawn: DrawnStills
    counts: list[Float[np.ndarray, "row column"]]

    @classmethod
    def of(cls, sample: SimulatedStills, generator: torch.Generator) -> "DrawnSet":
        """Draw crystals and count their photons."""
        drawn = draw_stills(sample, generator)
        return cls(sample, drawn, [one[0].astype(float) for one in drawn.counts(generator)])

    def stills(self, config: IntegrateConfig, crystals: list[Crystal]) -> list[Still]:
        """Cut boxes of the first images, a crystal for each."""
        beam, panel = self.drawn.beam, self.drawn.panel
        hkl = indices_within(crystals[0], max(finest(beam, [panel]), config.resolution or 0.0))
        good = np.ones(panel.shape, dtype=bool)
        return [
            prepared(f"image {k}", [self.counts[k]], [good], beam, [panel], one, hkl, config)
            for k, one in enumerate(crystals)
        ]

    def fit(self, config: IntegrateConfig, crystals: list[Crystal], stills: list[Still] | None = None) -> Fitted:
        """Fit them with the reference."""
        made = self.stills(config, crystals) if stills is None else stills
        truth = self.drawn.truth
        return fit_stills(made, self.sample.space_group, config, truth.hkl, truth.reference)
