"""Whole frames and volumes through a trained network: layout, units, error bars, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from madpipe.base.errors import InputError
from madpipe.base.store import read, write
from madpipe.base.training import load_tensors, save_tensors
from madpipe.mad.config import InferConfig, PriorConfig, SimulatedSample, TrainConfig
from madpipe.mad.infer import error_bars, goodness, infer
from madpipe.mad.measurement import measurement_from_stack
from madpipe.mad.records import Fit
from madpipe.mad.sample import draw_sample, simulate
from madpipe.mad.train import train
from madpipe.mad.weights import load_network, save_network

CONFIG = InferConfig()
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}  # as in test_network.py
QUANTITIES = ("f_total", "f_resonant", "delta_phi", "f_normal", "delta_phi_na")
MODULI = ("f_total", "f_resonant", "f_normal")
TRAINING = TrainConfig(
    particles=24,
    validation_particles=24,
    learning_rate=2e-3,
    steps=60,
    batch=8,
    validate_every=20,
    curriculum_steps=10,
    prior=PriorConfig(grid=32, slices=4),
)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def trained():
    torch.set_default_dtype(torch.float64)
    return train(TRAINING, seeded())[0]


def stack_of(dimensions=2, grid=24, seed=5, **changes):
    sample = SimulatedSample(dimensions=dimensions, grid=grid, photons=1e5 * grid ** (dimensions - 2), **changes)
    return simulate(sample, seeded(seed))


def assert_same_answer(first, second, **tolerance):
    for name in QUANTITIES:
        one, other = torch.as_tensor(getattr(first, name)), torch.as_tensor(getattr(second, name))
        if name.startswith("delta"):
            one, other = torch.polar(torch.ones_like(one), one), torch.polar(torch.ones_like(other), other)
        assert_close(one, other, **(tolerance or FLOAT32))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_answer_has_the_layout_of_a_fit_and_survives_the_disk(trained, tmp_path, dimensions):
    stack = stack_of(dimensions, 16)
    fit = infer(stack, trained, CONFIG)
    for name in QUANTITIES:
        for each in (name, f"{name}_errors"):
            assert getattr(fit, each).shape == stack.shape
            assert getattr(fit, each).dtype == np.float64
            assert np.isfinite(getattr(fit, each)).all()
        assert (getattr(fit, f"{name}_errors") > 0).all()
    assert all((getattr(fit, name) >= 0).all() for name in MODULI)
    assert fit.certified.shape == stack.shape
    assert not fit.certified.any()
    assert fit.method == "network"
    write(tmp_path / "inferred.h5", fit)
    again = read(tmp_path / "inferred.h5", Fit)
    assert np.array_equal(again.f_resonant, fit.f_resonant)
    assert again.axis_names == ",".join(stack.axes)


def test_derived_quantities_agree_with_the_direct_ones(trained):
    fit = infer(stack_of(), trained, CONFIG)
    f_normal = fit.f_total * np.exp(1j * fit.delta_phi) - fit.f_resonant
    np.testing.assert_allclose(fit.f_normal, np.abs(f_normal), rtol=1e-4, atol=1e-5 * fit.f_total.max())
    np.testing.assert_allclose(np.exp(1j * fit.delta_phi_na) * fit.f_normal, f_normal, atol=1e-5 * fit.f_total.max())


def fresh_stacks(count, seed):
    """Particles drawn like the training ones, at mean exposures from 1 to e^12 photons."""
    generator = seeded(seed)
    like = SimulatedSample(dimensions=2)
    for _ in range(count):
        sample = draw_sample(TRAINING.prior, like, generator)
        mean = float(torch.exp(12 * torch.rand((), generator=generator)))
        yield simulate(sample.model_copy(update={"photons": mean * sample.grid**2}), generator)


def test_network_knows_more_than_nothing(trained):
    """After a few seconds of training it beats, from 100 photons up, the best constant in units of r by a quarter."""
    columns = {name: [] for name in ("count", "f_total", "f_resonant", "true f_total", "true f_resonant")}
    for stack in fresh_stacks(12, seed=4):
        fit = infer(stack, trained, CONFIG)
        count = np.asarray(stack.data, dtype=float).mean(0)
        columns["count"].append(count)
        for name in ("f_total", "f_resonant"):
            columns[name].append(getattr(fit, name) / np.sqrt(count + 1))
            columns[f"true {name}"].append(np.abs(getattr(stack.truth, name)) / np.sqrt(count + 1))
    every = {name: np.concatenate([each.ravel() for each in column]) for name, column in columns.items()}
    bright = every["count"] >= 100
    for name in ("f_total", "f_resonant"):
        true = every[f"true {name}"][bright]
        assert np.mean((every[name][bright] - true) ** 2) < 0.75 * true.var()


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_volume_goes_through_slice_by_slice(trained, batch):
    stack = stack_of(3, 16)
    whole = infer(stack, trained, InferConfig(batch=batch))
    middle = replace(stack, data=stack.data[:, 9], f0=stack.f0[9], qz=None, truth=None)
    slice_ = infer(middle, trained, CONFIG)
    for name in QUANTITIES:
        tolerance = {"rtol": 1e-3, "atol": 1e-4} if name.startswith("delta") else FLOAT32
        np.testing.assert_allclose(getattr(whole, name)[9], getattr(slice_, name), **tolerance)
        np.testing.assert_allclose(getattr(whole, f"{name}_errors")[9], getattr(slice_, f"{name}_errors"), rtol=1e-5)
    np.testing.assert_allclose(whole.chi2[9], slice_.chi2, rtol=1e-2, atol=1e-2)


def test_energies_may_come_in_any_order(trained):
    stack = stack_of()
    order = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    names = ("data", "energy", "f_prime", "f_double_prime")
    shuffled = replace(stack, **{name: getattr(stack, name)[order] for name in names}, truth=None)
    first, second = infer(stack, trained, CONFIG), infer(shuffled, trained, CONFIG)
    assert_same_answer(first, second, rtol=0, atol=0)
    np.testing.assert_allclose(first.chi2, second.chi2, rtol=1e-9)


def test_answer_is_at_unit_exposure_and_without_background(trained):
    stack = stack_of(noise=False)
    exposure = np.linspace(0.5, 2, 8)
    background = np.full(stack.data.shape, 3.0)
    longer = replace(
        stack, data=stack.data * exposure[:, None, None] + background, monitor=exposure, background=background
    )
    assert_same_answer(infer(stack, trained, CONFIG), infer(longer, trained, CONFIG))


def test_goodness_knows_exposure_and_background():
    stack = stack_of(noise=False, nonresonant_dispersion="mean")
    exposure, background = np.linspace(0.5, 2, 8), np.full(stack.data.shape, 3.0)
    data = stack.data * exposure[:, None, None] + background
    longer = replace(stack, data=data, monitor=exposure, background=background)
    truth = stack.truth
    values = (
        np.abs(truth.f_total),
        np.abs(truth.f_resonant),
        np.angle(truth.f_total * truth.f_resonant.conj()),
    )
    found = goodness(measurement_from_stack(longer), *(torch.as_tensor(each.ravel()) for each in values))
    assert float(found["chi2"].max()) < 1e-12


def test_masked_counts_have_no_say_and_masked_points_say_so(trained):
    stack = stack_of()
    mask = np.zeros(stack.shape, dtype=np.uint32)
    mask[4:9, 6] = 1
    wild = stack.data.copy()
    wild[:, 4:9, 6] = 12345
    fits = [infer(replace(stack, mask=mask, data=data), trained, CONFIG) for data in (stack.data, wild)]
    assert_same_answer(*fits, rtol=0, atol=0)
    hidden = mask > 0
    scale = np.sqrt(np.asarray(stack.data, dtype=float).mean(0) + 1)
    for name in QUANTITIES:
        errors = getattr(fits[0], f"{name}_errors")
        if name in MODULI:
            assert (errors[hidden] > 9).all()  # ten times a scale that is 1 at least
            assert (errors[~hidden] < 2 * scale[~hidden]).all()
        else:
            np.testing.assert_allclose(errors[hidden], math.pi / math.sqrt(3))
    assert (fits[0].dof[hidden] == 0).all()
    assert (fits[0].chi2[hidden] == 0).all()
    assert (fits[0].dof[~hidden] == 5).all()


def test_one_masked_energy_masks_the_point(trained):
    stack = stack_of()
    mask = np.zeros(stack.data.shape, dtype=np.uint32)
    mask[2, 5, 5] = 1
    fit = infer(replace(stack, mask=mask), trained, CONFIG)
    whole = infer(replace(stack, mask=mask.any(0).astype(np.uint32)), trained, CONFIG)
    assert_same_answer(fit, whole, rtol=0, atol=0)  # the counts of its other energies have no say either
    assert fit.f_total_errors[5, 5] > 9
    assert fit.dof[5, 5] == 4


def test_error_bars_are_interpolated_in_the_logarithm_of_the_brightness(trained):
    table = replace(
        trained,
        error_photons=torch.tensor([0.01, 1.0, 100.0]),
        errors={"f_total": torch.tensor([0.5, 0.3, 0.1]), "delta_phi": torch.tensor([1.5, 1.0, 0.2])},
    )
    photons = torch.tensor([0.0, 0.01, 0.1, 1.0, 10.0, 100.0, 1e9])
    good = torch.ones(7, dtype=torch.bool)
    errors = error_bars(photons, good, table)
    assert_close(errors["f_total"], torch.tensor([0.5, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1]), rtol=1e-9, atol=0)
    assert_close(errors["delta_phi"], torch.tensor([1.5, 1.5, 1.25, 1.0, 0.6, 0.2, 0.2]), rtol=1e-9, atol=0)
    hidden = error_bars(photons, ~good, table)
    assert_close(hidden["f_total"], torch.full((7,), 10.0), rtol=0, atol=0)
    assert_close(hidden["delta_phi"], torch.full((7,), math.pi / math.sqrt(3)), rtol=0, atol=0)


def test_error_bars_hold_on_fresh_particles(trained):
    """Mean squared pull per particle, over particles drawn like the validation ones, is 1 within its spread."""
    pulls = {name: [] for name in MODULI}
    for stack in fresh_stacks(32, seed=99):
        fit = infer(stack, trained, CONFIG)
        for name, found in pulls.items():
            true = np.abs(getattr(stack.truth, name))
            found.append(np.mean(((getattr(fit, name) - true) / getattr(fit, f"{name}_errors")) ** 2))
    for found in pulls.values():
        mean, error = np.mean(found), np.std(found, ddof=1) / math.sqrt(len(found))
        # particles differ far more than points do; the table rests on 24 particles itself: sqrt(2) times the error
        assert abs(mean - 1) < 4 * math.sqrt(2) * error
        assert error < 0.8, "too few particles to tell"


def test_goodness_of_the_truth_is_that_of_pure_noise():
    stack = stack_of(grid=48, nonresonant_dispersion="mean")
    truth = stack.truth
    phase = np.angle(truth.f_total * truth.f_resonant.conj())

    def flat(values):
        return torch.as_tensor(np.abs(values).ravel())

    angle = torch.as_tensor(phase.ravel())
    found = goodness(measurement_from_stack(stack), flat(truth.f_total), flat(truth.f_resonant), angle)
    expected = torch.as_tensor(truth.expected.reshape(8, -1)).T
    # (n - mu)^2 / mu has mean 1 and variance 2 + 1 / mu; below the floor of the variance only less
    bright = expected.min(1).values > 0.5
    spread = (2 + 1 / expected[bright]).sum().sqrt()
    z = (found["chi2"][bright].sum() - 8 * bright.sum()) / spread
    assert abs(float(z)) < 4
    assert bool((found["dof"] == 5).all())
    exact = replace(stack, data=truth.expected)
    perfect = goodness(measurement_from_stack(exact), flat(truth.f_total), flat(truth.f_resonant), angle)
    assert float(perfect["chi2"].max()) < 1e-12
    wrong = goodness(measurement_from_stack(exact), flat(truth.f_total), flat(truth.f_resonant), -angle)
    assert float(wrong["chi2"].max()) > 1


# what is refused


def test_weights_come_back_as_they_were(trained, tmp_path):
    save_network(tmp_path / "weights.pt", trained)
    again = load_network(tmp_path / "weights.pt")
    stack = stack_of()
    assert_same_answer(infer(stack, trained, CONFIG), infer(stack, again, CONFIG), rtol=0, atol=0)
    assert again.config == trained.config
    assert again.energies_ev == trained.energies_ev


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energies_ev": (8313.0, 8323.0, 8333.0, 8343.0)}, r"need 8 energies, 8313.*has 4, 8313, 8323.*train"),
        ({"energies_ev": tuple(8316.0 + 5 * k for k in range(8))}, r"need the energies 8313.*has 8316.*train"),
        ({"energies_ev": tuple(8310.0 + 5 * k for k in range(8))}, r"need the energies 8313.*has 8310.*train"),
        ({"energies_ev": (8313.0, *(8318.5 + 5 * k for k in range(7)))}, r"need the energies 8313.*together.*train"),
        ({"element": "Fe", "partner": "Ni", "energies_ev": tuple(7095.0 + 5 * k for k in range(8))}, r"Ni K.*Fe K"),
    ],
)
def test_other_data_are_refused(trained, changes, words):
    with pytest.raises(InputError, match=words):
        infer(stack_of(grid=16, **changes), trained, CONFIG)


def test_energies_shifted_as_in_training_are_accepted(trained):
    stack = stack_of(grid=16, energies_ev=tuple(8313.7 + 5 * k for k in range(8)))
    assert infer(stack, trained, CONFIG).f_total.shape == (16, 16)


def test_list_of_reflections_is_refused(trained):
    stack = stack_of(grid=16)
    listed = replace(
        stack, data=stack.data.reshape(8, -1), f0=20.0, qx=None, qy=None, reflection=np.arange(256), truth=None
    )
    with pytest.raises(InputError, match=r"frames or volumes.*reflections.*madpipe fit"):
        infer(listed, trained, CONFIG)


def test_foreign_dispersion_is_warned_of(trained, caplog):
    stack = stack_of(grid=16)
    infer(stack, trained, CONFIG)
    assert "extrapolation" not in caplog.text
    infer(replace(stack, f_prime=stack.f_prime + 1.5), trained, CONFIG)
    assert "extrapolation" in caplog.text


@pytest.mark.parametrize("damage", ["architecture", "tensor", "missing", "truncated", "text", "layout", "none"])
def test_unfit_weights_are_refused(trained, tmp_path, damage):
    path = tmp_path / "weights.pt"
    save_network(path, trained)
    content = load_tensors(path, "weights", ())
    words = "weights"
    if damage == "architecture":
        content["architecture"], words = (
            "transformer",
            r"one of the architectures cnn_patches, unet_patches.*transformer",
        )
    elif damage == "tensor":
        content["architecture"], words = "unet_patches", r"tensors of unet_patches"
    elif damage == "missing":
        del content["energies_ev"]
        words = r"energies_ev are missing"
    elif damage == "layout":
        content["layout"], words = 99, r"layout 1; it has 99"
    save_tensors(path, content)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "text":
        path.write_text("weights")
    elif damage == "none":
        path.unlink()
        words = "existing"
    with pytest.raises(InputError, match=words):
        load_network(path)
