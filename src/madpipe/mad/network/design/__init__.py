"""The network: from the counts of whole frames, at any photon energies, to a prediction for every point.

Start in sums.py (what it reads), then frames.py (its layers); patches.py is the reference design it is compared with.
"""

import torch

from madpipe.mad.config import TrainConfig
from madpipe.mad.network.design.frames import FrameNetwork
from madpipe.mad.network.design.patches import PatchNetwork

Network = FrameNetwork | PatchNetwork


def build(config: TrainConfig, generator: torch.Generator) -> Network:
    """Build the network that a configuration describes, with weights drawn from the generator."""
    if config.network == "unet_patches":
        return PatchNetwork(len(config.energies_ev), generator)
    return FrameNetwork(
        config.width, config.dilations, config.passes, config.attention, config.dropout, config.polar, generator
    )
