"""Stacks through a network: the layout of a fit, refinement, masks, order of energies, volumes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base.provenance import closure
from madpipe.base.store import read, write
from madpipe.base.warned import DataWarning
from madpipe.mad.config import InferConfig, PriorConfig, SimulatedSample, TrainConfig
from madpipe.mad.network.calibration import packed
from madpipe.mad.network.design import build
from madpipe.mad.network.infer import infer, infer_and_tell
from madpipe.mad.network.weights import TrainedNetwork, load_network
from madpipe.mad.records import Fit
from madpipe.mad.simulate.sample import simulate
from madpipe.mad.study import MAD

REFINED, PREDICTED = InferConfig(), InferConfig(refine=False)
QUANTITIES = ("f_total", "f_resonant", "delta_phi", "f_normal", "delta_phi_na")
MODULI = ("f_total", "f_resonant", "f_normal")


def untrained(**changes):
    """A network that knows the usual particle and nothing else, its errors not calibrated."""
    config = TrainConfig(**({"width": 8, "dilations": (1, 2), "prior": PriorConfig(oversampling=(1.5, 20))} | changes))
    network = build(config, torch.Generator().manual_seed(1))
    if config.network == "frames":
        network.mean.copy_(torch.tensor([1.05, 0.8, 0.0]))
        network.root.copy_(0.4 * torch.eye(3))
        network.z_mean.copy_(torch.tensor([1.2, 0.8, 0.8, 0.0]))
        network.z_root.copy_(0.6 * torch.eye(4))
    return TrainedNetwork.of(network, config, "")


def stack_of(dimensions=2, grid=24, photons=1e6, **changes):
    sample = SimulatedSample(dimensions=dimensions, grid=grid, photons=photons, **changes)
    return simulate(sample, torch.Generator().manual_seed(5))


def wrapped(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def assert_same(first, second, tolerance=1e-3):
    """The same answer within so many of its errors."""
    for name in QUANTITIES:
        off = getattr(first, name) - getattr(second, name)
        off = wrapped(off) if name.startswith("delta") else off
        assert np.abs(off / getattr(first, f"{name}_errors")).max() < tolerance
        np.testing.assert_allclose(getattr(first, f"{name}_errors"), getattr(second, f"{name}_errors"), rtol=tolerance)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("config", "method"), [(REFINED, "network, refined"), (PREDICTED, "network")])
def test_answer_has_the_layout_of_a_fit_and_survives_the_disk(tmp_path, dimensions, config, method):
    stack = stack_of(dimensions, 16)
    fit = infer(stack, untrained(), config)
    for name in QUANTITIES:
        for each in (name, f"{name}_errors"):
            assert getattr(fit, each).shape == stack.shape
            assert getattr(fit, each).dtype == np.float64
            assert np.isfinite(getattr(fit, each)).all()
        assert (getattr(fit, f"{name}_errors") > 0).all()
    assert all((getattr(fit, name) >= 0).all() for name in MODULI)
    assert fit.certified.dtype == bool
    assert not fit.certified.any()
    assert (fit.dof == 5).all()
    assert (fit.method, fit.axis_names) == (method, ",".join(stack.axes))
    write(tmp_path / "inferred.h5", fit)
    assert np.array_equal(read(tmp_path / "inferred.h5", Fit).f_resonant, fit.f_resonant)


def discrepancy(stack, fit):
    """R of |F_A| against the truth, over the points of at least 1000 photons per energy."""
    bright = stack.truth.expected.mean(0) > 1e3
    true = np.abs(stack.truth.f_resonant)[bright]
    return float(np.abs(fit.f_resonant[bright] - true).sum() / true.sum())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_bright_counts_make_good_what_an_untrained_network_does_not_know(dimensions):
    stack = stack_of(dimensions, 16, 3e7, nonresonant_dispersion="mean")
    fits = {config.refine: infer(stack, untrained(), config) for config in (REFINED, PREDICTED)}
    assert discrepancy(stack, fits[True]) < 0.5 * discrepancy(stack, fits[False])
    bright = stack.truth.expected.mean(0) > 1e3
    points = bright.sum()
    # chi-square of 5 degrees has variance 10; a photon's third moment adds little at 1000; prior's pull: 10 %
    assert fits[True].chi2[bright].mean() < 5.5 + 4 * np.sqrt(10 / points)
    for name in MODULI:
        pull = (getattr(fits[True], name) - np.abs(getattr(stack.truth, name))) / getattr(fits[True], f"{name}_errors")
        assert (np.abs(pull[bright]) < 1).mean() > 0.68 - 4 * np.sqrt(0.22 / points) - 0.05


@pytest.mark.parametrize("network", ["frames", "unet_patches"])
def test_energies_may_come_in_any_order(network):
    stack = replace(stack_of(), monitor=np.linspace(0.8, 1.2, 8))
    order = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    names = ("data", "energy", "f_prime", "f_double_prime", "monitor")
    shuffled = replace(stack, **{name: getattr(stack, name)[order] for name in names}, truth=None)
    trained = untrained(network=network)
    for config in (REFINED, PREDICTED):
        assert_same(infer(stack, trained, config), infer(shuffled, trained, config))


@pytest.mark.filterwarnings("ignore:the values are no photon counts")
def test_answer_is_at_unit_exposure_and_without_background():
    stack = stack_of(noise=False, photons=1e8)
    exposure = np.linspace(0.5, 2, 8)
    background = np.full(stack.data.shape, 3.0)
    longer = replace(
        stack, data=stack.data * exposure[:, None, None] + background, monitor=exposure, background=background
    )
    first, second = (infer(each, untrained(), REFINED) for each in (stack, longer))
    bright = stack.data.mean(0) > 1e3
    for name in MODULI:
        off = (getattr(first, name) - getattr(second, name)) / getattr(first, f"{name}_errors")
        assert np.abs(off[bright]).max() < 0.3  # two pulls of the prediction, each a small part of an error


def test_masked_counts_have_no_say_and_masked_points_are_less_sure():
    stack = stack_of(photons=1e7)
    mask = np.zeros(stack.shape, dtype=np.uint32)
    mask[10:13, 11] = 1
    wild = stack.data.copy()
    wild[:, 10:13, 11] = 12345
    masked, spoilt = (infer(replace(stack, mask=mask, data=data), untrained(), REFINED) for data in (stack.data, wild))
    hidden = mask > 0
    for name in QUANTITIES:
        assert np.array_equal(getattr(masked, name), getattr(spoilt, name))
        assert np.isfinite(getattr(masked, name)).all()
    seen = infer(stack, untrained(), REFINED)
    assert (masked.f_total_errors[hidden] > 2 * seen.f_total_errors[hidden]).all()
    assert (masked.dof[hidden] == 0).all()
    assert (masked.chi2[hidden] == 0).all()
    assert (masked.dof[~hidden] == 5).all()


def test_points_per_pass_bound_the_memory_alone():
    stack = stack_of(2, 80)
    assert_same(infer(stack, untrained(), InferConfig(points=4096)), infer(stack, untrained(), REFINED))


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_calibration_is_that_of_the_kind_of_answer(refine, dimensions):
    """Factors of 2 and 3 of everything, but for frames; in volumes their squares, as only layers that see it can."""
    stack, plain = stack_of(dimensions, 16, 1e7), untrained()
    kept = packed(layers_of(2.0), refine=True) | packed(layers_of(3.0), refine=False)
    fit, scaled = (infer(stack, each, InferConfig(refine=refine)) for each in (plain, replace(plain, calibration=kept)))
    factor = (2.0 if refine else 3.0) ** (dimensions - 1)
    for name in MODULI:
        claimed = getattr(fit, f"{name}_errors")
        np.testing.assert_allclose(getattr(scaled, f"{name}_errors"), factor * claimed, rtol=1e-5)
        np.testing.assert_allclose(getattr(scaled, f"{name}_errors_95"), 1.96 * factor * claimed, rtol=1e-5)
        assert np.array_equal(getattr(scaled, name), getattr(fit, name))


def layers_of(factor):
    """Layers that give a factor in frames, and its square in volumes."""
    weights = torch.zeros(5, 2, 6)
    weights[:, :, 4] = weights[:, :, 5] = math.log(factor)
    return [torch.stack([torch.zeros(5, 5), torch.ones(5, 5)]), weights]


def test_reference_design_answers_frames():
    fit = infer(stack_of(2, 20), untrained(network="unet_patches"), PREDICTED)
    assert np.isfinite(fit.f_normal).all()
    assert (fit.f_resonant_errors > 0).all()


def test_an_edit_of_the_loss_or_the_training_does_not_rerun_the_inference():
    assert not {"madpipe.mad.network.loss", "madpipe.mad.network.train"} & set(closure("madpipe.mad.network.infer"))


def test_answers_say_how_well_they_explain_the_counts():
    stack, trained = stack_of(grid=32), load_network(str(MAD.weights))
    refined = infer_and_tell(stack, trained, REFINED)  # a warning would be an error
    assert refined.warnings is None
    assert abs(refined.explained.chi2_bright - 1) < 0.1
    # the brightest tenth of 8192 intensities decides; each scatters by 0.75 of its mean deviation: three errors of both
    assert refined.explained.r_factor == pytest.approx(refined.explained.r_expected, rel=3 * 0.75 / 819**0.5)
    predicted = infer_and_tell(stack, trained, PREDICTED)  # not by the counts alone: not judged by them
    assert predicted.explained.r_expected == predicted.explained.r_noise
    with pytest.warns(DataWarning, match="energies in reverse order"):
        turned = infer_and_tell(replace(stack, data=stack.data[::-1].copy()), trained, REFINED)
    assert "reverse order" in turned.warnings


def test_values_that_are_no_counts_are_answered_and_the_lack_is_told():
    stack = stack_of(noise=False, grid=32)
    with pytest.warns(DataWarning, match="the values are no photon counts"):
        fit = infer(stack, load_network(str(MAD.weights)), REFINED)
    assert fit.split is None
    assert "no photon counts" in fit.warnings


def test_counts_too_few_to_be_judged_are_not_called_no_counts():
    fit = infer(stack_of(grid=16, photons=5), untrained(), REFINED)  # a warning would be an error
    assert fit.split is None
    assert fit.warnings is None


def test_an_answer_says_what_split_counts_found():
    fit = infer(stack_of(grid=64), load_network(str(MAD.weights)), REFINED)
    split = fit.split
    assert (split.widened >= 1).all()
    assert (split.stated > 0).all()
    assert 0 <= split.usual <= 1
    # every bright point went into one half and the other
    assert split.points.sum() <= 2 * 64 * 64
    for name in QUANTITIES:
        assert (fit.half_width_95(name) >= getattr(fit, f"{name}_errors")).all()
