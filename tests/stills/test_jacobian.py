"""Derivatives of pixels: against central differences, and against automatic ones of a plain program."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_scenes import golden
from plain import photons

from madpipe.base.errors import InputError
from madpipe.physics.rotations import rotation
from madpipe.stills.forward import expected
from madpipe.stills.geometry import Crystal
from madpipe.stills.jacobian import PARAMETERS, axes_of_cell, labels_of, values_with_jacobian
from madpipe.stills.lattice import SHAPES, Cells
from madpipe.stills.mosaic import SpotKernel, drawn, quadrature
from madpipe.stills.scene import Background

ALL = tuple(PARAMETERS)
ANISOTROPIC = SpotKernel(np.array([[0.2, 0.05, 0.0], [0.05, 0.3, -0.1], [0.0, -0.1, 0.5]]))
LAWS = {
    "square": ("square", "drawn"),
    "round": ("round", "drawn"),
    "gauss": ("gauss", "drawn"),
    "kernel": ("gauss", "kernel"),
}
STEPS = {"misset": 1e-6, "spread": 1e-6, "cells": 1e-5, "distance": 1e-4, "beam_centre": 1e-4, "background": 1e-2}


def a_scene(shared, name, law):
    """A golden scene with mosaicity, cells that are not whole, background, polarisation; and some of its pixels."""
    scene, _ = golden(shared, name)
    shape, kind = LAWS[law]
    mosaicity = ANISOTROPIC if kind == "kernel" else drawn(3, torch.Generator().manual_seed(4))
    scene = replace(
        scene,
        shape=shape,
        mosaicity=mosaicity,
        spread=np.radians(0.8),
        cells=scene.cells + np.array([0.1, 0.2, 0.3]),
        background=Background(0.3),
        beam=replace(scene.beam, polarised=0.7),
        oversample=2 if name == "c02_triclinic" else 1,
    )
    return scene, scene.panels[0], inner_pixels(scene)


def inner_pixels(scene):
    """Pixels no point of which is near the border between two reflections, for any domain."""
    panel = scene.panels[0]
    number = np.random.default_rng(5).choice(panel.shape[0] * panel.shape[1], 1500, replace=False)
    inner = np.ones(len(number), dtype=bool)
    turns = scene.mosaicity.rotations(scene.spread) if hasattr(scene.mosaicity, "rotations") else np.eye(3)[None]
    count = scene.oversample
    for shift in np.stack(np.meshgrid(*[(np.arange(count) + 0.5) / count] * 2), axis=-1).reshape(-1, 2):
        at = panel.position(np.stack([number % panel.shape[1], number // panel.shape[1]], axis=-1) + shift)
        unit = at / np.linalg.norm(at, axis=1, keepdims=True)
        for direction, wavelength in zip(scene.light.directions, scene.light.wavelengths, strict=True):
            for angle in scene.phi.angles:
                for turn in turns:
                    h = ((unit - direction) / wavelength) @ (
                        scene.crystal.axes @ (turn @ rotation(scene.phi.axis * angle)).T
                    ).T
                    inner &= (np.abs(h - np.round(h)) < 0.5 - 1e-3).all(1)
    return np.sort(number[inner])


def step_of(scene, name, number):
    if name == "cell":
        return 1e-5 if number < 3 else 1e-7
    return {"scale": 1e-2 * scene.scale, "wavelength": 1e-7}.get(name) or STEPS[name]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ["c02_triclinic", "c03_hkl_xds_tilt_phi"])
def test_derivatives_are_central_differences(shared, name, law):
    """To 1e-6 of the largest: the step's square times the third derivative, and rounding over it, are less."""
    scene, panel, pixels = a_scene(shared, name, law)
    pixels = pixels[:150]
    values, jacobian = values_with_jacobian(scene, panel, ALL, pixels)
    np.testing.assert_allclose(values, expected(scene, panel, pixels), rtol=1e-12)
    column = 0
    for parameter in ALL:
        for number in range(len(PARAMETERS[parameter].labels)):
            step = np.zeros(len(PARAMETERS[parameter].labels))
            step[number] = step_of(scene, parameter, number)
            sides = [expected(*PARAMETERS[parameter].moved(scene, panel, one), pixels) for one in (step, -step)]
            difference = (sides[0] - sides[1]) / (2 * step[number])
            assert np.abs(difference - jacobian[:, column]).max() < 1e-6 * np.abs(difference).max(), (parameter, number)
            column += 1
    assert column == len(labels_of(ALL)) == jacobian.shape[1]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ["c02_triclinic", "c03_hkl_xds_tilt_phi", "c05_divergence_dispersion"])
def test_derivatives_are_those_of_a_plain_program(shared, name, law):
    """Values and derivatives to 1e-10 of the largest: rounding of sin(N x) / sin(x) within 1e-4 of a spot's middle."""
    scene, panel, pixels = a_scene(shared, name, law)
    pixels = pixels[: 8 if law == "kernel" or len(scene.light.weights) > 1 else 30]
    changed = {key: torch.zeros(len(PARAMETERS[key].labels), requires_grad=True) for key in ALL}
    table = {
        tuple(int(i) for i in np.array(at) + scene.factors.first): f for at, f in np.ndenumerate(scene.factors.squared)
    }

    def squared(h):
        return torch.tensor([table.get(tuple(one), scene.factors.outside) for one in h.long().T.tolist()])

    theirs = photons(scene, panel, pixels, changed, squared)
    rows = [torch.autograd.grad(one, list(changed.values()), retain_graph=True) for one in theirs]
    plain = np.array([torch.cat(row).numpy() for row in rows])
    values, jacobian = values_with_jacobian(scene, panel, ALL, pixels)
    np.testing.assert_allclose(values, theirs.detach().numpy(), rtol=0, atol=1e-11 * values.max())
    for column, label in enumerate(labels_of(ALL)):
        largest = np.abs(plain[:, column]).max()
        assert np.abs(jacobian[:, column] - plain[:, column]).max() < 1e-10 * largest, label


def test_the_middle_of_a_spot_has_no_slope():
    """At h = 0 exactly, where sin(N x) / sin(x) is 0 / 0, and next to it: -2 pi^2 (N^2 - 1) / 3 of the top times dh."""
    offsets = torch.tensor([0.0, 1e-12, 1e-9, 1e-6, 3e-5]).repeat(3, 1)[None]
    cells = Cells(torch.tensor([5.0, 6.5, 7.0]), torch.eye(3))
    found = SHAPES["square"].slopes(offsets, cells)
    curvature = -2 * np.pi**2 * (cells.numbers**2 - 1) / 3 * cells.peak
    np.testing.assert_allclose(
        found.by_index[0].numpy(), (curvature[:, None] * offsets[0]).numpy(), rtol=1e-5, atol=1e-9
    )
    np.testing.assert_allclose(found.value[0].numpy(), cells.peak, rtol=1e-6)


def test_the_frame_of_a_cell():
    cell = np.array([70.0, 80.0, 90.0, *np.radians([85.0, 95.0, 105.0])])
    np.testing.assert_allclose(Crystal(axes_of_cell(cell)).cell, [70, 80, 90, 85, 95, 105], rtol=1e-13)


def test_the_quadrature_has_derivatives_too(shared):
    scene, panel, pixels = a_scene(shared, "c04_demo_nomosaic", "square")
    scene = replace(scene, mosaicity=quadrature())
    _, jacobian = values_with_jacobian(scene, panel, ("spread",), pixels)
    up, down = (expected(replace(scene, spread=scene.spread + step), panel, pixels) for step in (1e-6, -1e-6))
    assert np.abs((up - down) / 2e-6 - jacobian[:, 0]).max() < 1e-6 * np.abs(jacobian).max()


def test_derivatives_know_the_sensor(shared):
    """A thin sensor absorbs more along a slanted ray."""
    scene, panel, pixels = a_scene(shared, "c03_hkl_xds_tilt_phi", "gauss")
    panel, pixels = replace(panel, thickness=0.1), pixels[:60]
    names = ("distance", "beam_centre")
    _, jacobian = values_with_jacobian(scene, panel, names, pixels)
    for column, (name, step) in enumerate(
        [("distance", [1e-4]), ("beam_centre", [1e-4, 0]), ("beam_centre", [0, 1e-4])]
    ):
        sides = [expected(*PARAMETERS[name].moved(scene, panel, sign * np.array(step)), pixels) for sign in (1, -1)]
        difference = (sides[0] - sides[1]) / 2e-4
        assert np.abs(difference - jacobian[:, column]).max() < 1e-6 * np.abs(difference).max()


def test_nanobragg_s_own_shapes_have_no_derivative(shared):
    scene, _ = golden(shared, "c10_gauss")
    with pytest.raises(InputError, match=r"got 'nanobragg-gauss'; use 'gauss'"):
        values_with_jacobian(scene, scene.panels[0], ("misset",), np.arange(5))
