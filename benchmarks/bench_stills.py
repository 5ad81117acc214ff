"""Pixels of a still: with all derivatives that a fit of misset and spread needs, and of a large image."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.stills.forward import image
from madpipe.stills.jacobian import values_with_jacobian
from madpipe.stills.mosaic import SpotKernel, drawn, quadrature
from madpipe.stills.simulate.demo import demo

LAWS = {
    "5 domains": ("square", lambda: drawn(5, torch.Generator().manual_seed(1))),
    "quadrature": ("square", quadrature),
    "kernel": ("gauss", SpotKernel.isotropic),
}


def large(law):
    """A panel of 1024 x 1024 pixels to 4 angstrom; a crystal of 20 x 20 x 20 cells, whose tails are short."""
    shape, make = LAWS[law]
    scene = replace(demo(shape=shape, mosaicity=make(), pixel=0.05, spread=math.radians(0.3)), negligible=1e-6)
    corner = np.array([100.0, 25.6, -25.6])
    panel = replace(scene.panels[0], origin=corner, shape=(1024, 1024))
    return replace(scene, cells=np.full(3, 20.0), panels=(panel,))


@pytest.mark.parametrize("law", LAWS)
def bench_demo_with_derivatives(record, law):
    shape, make = LAWS[law]
    scene = demo(shape=shape, mosaicity=make())
    record(lambda: values_with_jacobian(scene, scene.panels[0], ("misset", "spread")), 64**2, "pixels", rounds=20)


@pytest.mark.parametrize("law", LAWS)
def bench_large_image(record, law):
    scene = large(law)
    record(lambda: image(scene, scene.panels[0]), 1024**2, "pixels")
