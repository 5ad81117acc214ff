"""The weights' file: the same bytes, refused when damaged; and what data a network is refused for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning, heard
from madpipe.mad.config import PriorConfig, SimulatedSample, TrainConfig
from madpipe.mad.network.design import build
from madpipe.mad.network.weights import TrainedNetwork, load_network, save_network
from madpipe.mad.simulate.sample import simulate

CONFIG = TrainConfig(width=8, dilations=(1, 2), prior=PriorConfig(oversampling=(2.0, 6.0)))


def trained(**changes):
    config = CONFIG.model_copy(update=changes)
    network = build(config, torch.Generator().manual_seed(1))
    made = TrainedNetwork.of(network, config, "abc")
    return replace(made, calibration={"calibration.refined.0": torch.ones(5, 18)}).with_about(score=1.5)


def stack_of(dimensions=2, grid=48, **changes):
    values = {"dimensions": dimensions, "grid": grid, "photons": 1e8} | changes
    return simulate(SimulatedSample(**values), torch.Generator().manual_seed(3))


def metadata(path):
    with safe_open(path, "pt") as opened:
        return opened.metadata()


@pytest.mark.parametrize("kind", ["frames", "unet_patches"])
def test_weights_come_back_and_are_written_as_the_same_bytes(tmp_path, kind):
    made = trained(network=kind)
    first, second = tmp_path / "first.safetensors", tmp_path / "folder" / "second.safetensors"
    second.parent.mkdir()
    save_network(first, made)
    again = load_network(first)
    save_network(second, again)
    assert first.read_bytes() == second.read_bytes()
    assert again.config == made.config
    assert (again.fingerprint, again.about) == ("abc", {"score": 1.5})
    assert torch.equal(again.calibration["calibration.refined.0"], torch.ones(5, 18))
    assert all(torch.equal(again.state[name], tensor) for name, tensor in made.state.items())
    assert not again.network().training


def test_the_file_knows_neither_where_nor_when_it_was_written(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_network(path, trained())
    content = path.read_bytes()
    assert str(tmp_path).encode() not in content
    assert str(Path(__file__).parents[3]).encode() not in content  # nor the folder that the checkout stands in
    assert b"202" not in json.dumps(metadata(path)).replace(str(CONFIG.prior), "").encode()


SPOILT_BYTES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("these are no weights"),
    "none": lambda path: path.unlink(),
    "foreign": lambda path: save_file(load_file(path), path, {"format": "pt"}),
}
ENTRY = "network.bodies.0.enter.weight"
SPOILT_CONTENT = {
    "layout": lambda tensors, about: about.update(layout=1),
    "missing": lambda tensors, about: tensors.pop(ENTRY),
    "shape": lambda tensors, about: tensors.update({ENTRY: torch.ones(3)}),
    "design": lambda tensors, about: about["config"].update(width=16),
    "unknown": lambda tensors, about: about["config"].update(shape_of_things=1),
    "fingerprint": lambda tensors, about: about.pop("fingerprint"),
}


def spoil(path, damage):
    """Spoil a file of weights in one way."""
    if damage in SPOILT_BYTES:
        SPOILT_BYTES[damage](path)
        return
    tensors, about = load_file(path), json.loads(metadata(path)["madpipe"])
    SPOILT_CONTENT[damage](tensors, about)
    save_file(tensors, path, {"madpipe": json.dumps(about)})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("truncated", r"complete network weights"),
        ("empty", r"complete network weights"),
        ("text", r"complete network weights"),
        ("none", r"existing network weights"),
        ("foreign", r"layout 3; it has None"),
        ("layout", r"layout 3; it has 1"),
        ("missing", r"tensors of its own design.*bodies\.0\.enter\.weight"),
        ("shape", r"tensors of its own design"),
        ("design", r"tensors of its own design"),
        ("unknown", r"shape_of_things"),
        ("fingerprint", r"fingerprint"),
    ],
)
def test_damaged_weights_are_one_clear_error(tmp_path, damage, words):
    path = tmp_path / "weights.safetensors"
    save_network(path, trained())
    spoil(path, damage)
    with pytest.raises(InputError, match=words) as caught:
        load_network(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


# what data a network is for


@pytest.mark.parametrize("dimensions", [2, 3])
def test_data_as_in_training_are_accepted(dimensions):
    trained().check_fits(stack_of(dimensions, grid=24, photons=1e7))


def test_lists_of_reflections_are_refused():
    stack = stack_of(grid=16)
    listed = replace(
        stack, data=stack.data.reshape(8, -1), f0=20.0, qx=None, qy=None, reflection=np.arange(256), truth=None
    )
    with pytest.raises(InputError, match=r"frames or volumes.*reflections.*madpipe fit"):
        trained().check_fits(listed)


@pytest.mark.parametrize("changes", [{"volumes": 0}, {"network": "unet_patches"}])
def test_volumes_are_refused_by_weights_of_frames_alone(changes):
    with pytest.raises(InputError, match=r"frames only.*volume"):
        trained(**changes).check_fits(stack_of(3, grid=16))
    trained(**changes).check_fits(stack_of(2))


def test_speckles_of_another_sampling_are_refused():
    with pytest.raises(InputError, match=r"oversampling of 2 to 6.*bin or crop"):
        trained().check_fits(stack_of(grid=96, oversampling=16.0))
    trained().check_fits(stack_of(grid=96, oversampling=16.0, photons=1e4))  # too few photons to tell
    trained(prior=PriorConfig(oversampling=(10.0, 20.0))).check_fits(stack_of(grid=96, oversampling=16.0))
    with pytest.raises(InputError, match=r"oversampling of 10 to 20"):
        trained(prior=PriorConfig(oversampling=(10.0, 20.0))).check_fits(stack_of(grid=96, oversampling=3.0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energies_ev": (8313.0, 8323.0, 8333.0, 8343.0)}, r"need the energies 8313.*has 8313, 8323"),
        ({"energies_ev": tuple(8316.0 + 5 * k for k in range(8))}, r"need the energies 8313.*has 8316"),
        ({"element": "Fe", "partner": "Ni", "energies_ev": tuple(7095.0 + 5 * k for k in range(8))}, r"Ni K.*Fe K"),
    ],
)
def test_the_reference_design_is_for_its_energies_only(changes, words):
    stack = stack_of(**changes)
    with pytest.raises(InputError, match=words):
        trained(network="unet_patches").check_fits(stack)
    trained().check_fits(stack)  # the network itself takes any


def test_energies_shifted_as_in_training_are_accepted():
    trained(network="unet_patches").check_fits(stack_of(energies_ev=tuple(8313.9 + 5 * k for k in range(8))))


def test_stated_errors_are_warned_of():
    stack = stack_of()
    with heard() as said:
        trained().check_fits(stack)
    assert said == []
    with pytest.warns(DataWarning, match="states other errors"):
        trained().check_fits(replace(stack, data_errors=np.sqrt(stack.data + 1.0)))


def test_fewer_energies_than_in_training_are_warned_of():
    with pytest.warns(DataWarning, match="trained on 4 energies or more; 3 came"):
        trained().check_fits(stack_of(energies_ev=(8313.0, 8333.0, 8363.0)))
