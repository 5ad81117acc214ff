"""A fit and a prediction shared by jobs: the bytes of the unshared ones, every point once, or one clear line."""

import dataclasses
import math

import numpy as np
import pytest
from test_infer import REFINED, stack_of, untrained
from test_slabs import CONFIG, PROCESS, SLAB, a_nuisance, a_stack, parts_of

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.mad.config import InferConfig
from madpipe.mad.fit import fit, parts, slabs
from madpipe.mad.fit.files import fit_file
from madpipe.mad.fit.parts import Refined
from madpipe.mad.network.infer import infer, infer_part
from madpipe.mad.records import Fit, Passes

pytestmark = pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")
COUNT = 4


@pytest.fixture(params=["one slab", "several slabs"])
def room(request, monkeypatch):
    """What fits into memory at once: all of a stack, or a part in two slabs."""
    monkeypatch.setattr(slabs, "_SLAB_VALUES", SLAB * 4 if request.param == "several slabs" else 10**6)


def fitted_in_parts(folder, count=COUNT, nuisance=None, config=CONFIG):
    """Fit stack.h5 of a folder in parts, the last one first, and gather them."""
    files = [folder / f"fit_{part}.h5" for part in range(count)]
    for part in reversed(range(count)):
        parts.fit_part(folder / "stack.h5", files[part], config, part, count, nuisance, PROCESS)
    fit_file(folder / "stack.h5", folder / "fit.h5", config, process=PROCESS, parts=files[::-1], nuisance=nuisance)
    return files


@pytest.mark.parametrize("kind", parts_of((1, 1)))
def test_gathered_parts_are_the_bytes_of_the_whole_fit(kind, room, tmp_path):
    shape = (6, 7, 5)
    store.write(tmp_path / "stack.h5", a_stack(shape, **parts_of(shape)[kind]))
    files = fitted_in_parts(tmp_path)
    fit_file(tmp_path / "stack.h5", tmp_path / "whole.h5", CONFIG, process=PROCESS)
    assert (tmp_path / "fit.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    sizes = [len(store.read(file, Fit).reflection) for file in files]
    assert sum(sizes) == 210
    assert max(sizes) <= 64  # of 14 batches of 16 no part has more than four


@pytest.mark.parametrize("count", [1, 3, 14])
def test_any_number_of_parts_gives_the_same_bytes(count, tmp_path):
    store.write(tmp_path / "stack.h5", a_stack())
    fitted_in_parts(tmp_path, count)
    fit_file(tmp_path / "stack.h5", tmp_path / "whole.h5", CONFIG, process=PROCESS)
    assert (tmp_path / "fit.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_nuisances_are_refined_once_for_all_parts(room, tmp_path, monkeypatch):
    """The refinement itself is tested elsewhere; here every part and the whole fit are to take what it gives."""
    seen = []

    def refined(stack, refine, config):
        seen.append((stack.shape, tuple(refine)))
        return a_nuisance()

    for module in (fit, parts, slabs):
        monkeypatch.setattr(module, "refine_nuisances", refined)
    store.write(tmp_path / "stack.h5", a_stack())
    fit_file(tmp_path / "stack.h5", tmp_path / "whole.h5", CONFIG, ("dispersion",), PROCESS)
    parts.refine_file(tmp_path / "stack.h5", tmp_path / "nuisance.h5", CONFIG, ("dispersion",))
    fitted_in_parts(tmp_path, nuisance=tmp_path / "nuisance.h5")
    assert seen == [((6, 7, 5), ("dispersion",))] * 2  # so small a stack is its own sample
    assert np.array_equal(store.read(tmp_path / "fit.h5", Fit).nuisance.f_prime, a_nuisance().f_prime)
    assert (tmp_path / "fit.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_nuisances_of_parts_are_really_refined(tmp_path):
    stack = stack_of(3, 16, 1e7, scale_jitter=0.01)
    store.write(tmp_path / "stack.h5", stack)
    config = CONFIG.model_copy(update={"chunk_points": 1024})
    parts.refine_file(tmp_path / "stack.h5", tmp_path / "nuisance.h5", config, ("scale",))
    whole = fit.fit_with_nuisances(stack, config, ("scale",)).nuisance
    assert np.array_equal(store.read(tmp_path / "nuisance.h5", Refined).nuisance.scale, whole.scale)
    fitted_in_parts(tmp_path, nuisance=tmp_path / "nuisance.h5", config=config)
    fit_file(tmp_path / "stack.h5", tmp_path / "whole.h5", config, ("scale",), PROCESS)
    assert (tmp_path / "fit.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_part_that_was_interrupted_is_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr(slabs, "_SLAB_VALUES", 16 * 4)
    store.write(tmp_path / "stack.h5", a_stack())
    seen = []

    def noting(stack, *rest, stop=True):
        if stop and len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(stack)
        return fit.fit_points(stack, *rest)

    monkeypatch.setattr(slabs, "fit_points", noting)
    with pytest.raises(KeyboardInterrupt):
        parts.fit_part(tmp_path / "stack.h5", tmp_path / "fit_1.h5", CONFIG, 1, 2)
    assert not (tmp_path / "fit_1.h5").exists()
    monkeypatch.setattr(slabs, "fit_points", lambda *words: noting(*words, stop=False))
    parts.fit_part(tmp_path / "stack.h5", tmp_path / "fit_1.h5", CONFIG, 1, 2)
    assert len(seen) <= 7 + 1  # one slab may have been fitted and not yet saved
    monkeypatch.undo()
    parts.fit_part(tmp_path / "stack.h5", tmp_path / "again.h5", CONFIG, 1, 2)
    assert (tmp_path / "fit_1.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()


@pytest.mark.parametrize("change", ["errors", "list"])
def test_points_that_depend_on_one_another_are_not_shared(change, tmp_path):
    stack = a_stack()
    if change == "errors":
        stack = dataclasses.replace(stack, data_errors=np.sqrt(stack.data + 1))
    else:
        flat = stack.data.reshape(4, -1)
        stack = dataclasses.replace(stack, data=flat, qz=None, qy=None, qx=None, reflection=np.arange(flat.shape[1]))
    store.write(tmp_path / "stack.h5", stack)
    with pytest.raises(
        InputError, match=r"stack\.h5: needs a frame or volume of counts .* set the sample's parts to 1"
    ):
        parts.fit_part(tmp_path / "stack.h5", tmp_path / "fit_0.h5", CONFIG, 0, COUNT)


def test_more_parts_than_batches_are_refused(tmp_path):
    store.write(tmp_path / "stack.h5", a_stack())
    with pytest.raises(InputError, match="for each of 15 parts; 210 points are 14 of 16; lower the sample's parts"):
        parts.fit_part(tmp_path / "stack.h5", tmp_path / "fit_0.h5", CONFIG, 0, 15)


@pytest.mark.parametrize("which", [[0, 1, 2], [0, 1, 2, 3, 3], [1, 2, 3]])
def test_parts_that_are_not_all_are_not_gathered(which, tmp_path):
    store.write(tmp_path / "stack.h5", a_stack())
    files = fitted_in_parts(tmp_path)
    (tmp_path / "fit.h5").unlink()
    chosen = [files[number] for number in which]
    if len(set(which)) == COUNT:  # a part of another cut, twice the size
        parts.fit_part(tmp_path / "stack.h5", files[3], CONFIG, 1, 2)
    with pytest.raises(InputError, match="parts of a fit need to hold all 210 points once"):
        fit_file(tmp_path / "stack.h5", tmp_path / "fit.h5", CONFIG, parts=chosen)
    assert not (tmp_path / "fit.h5").exists()


# -- the network ----------------------------------------------------------------------------------------------


def same_bits(one, other):
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(left):
            same_bits(left, right)
        elif isinstance(left, np.ndarray):
            assert left.tobytes() == right.tobytes(), field.name
        else:
            assert left == right or (math.isnan(left) and math.isnan(right)), field.name


@pytest.mark.parametrize(
    ("shape", "points", "network"),
    [((20, 22, 24), 4096, "frames"), ((16, 18, 20), 1 << 18, "frames")]
    + [((140, 130), 4096, network) for network in ("frames", "unet_patches")],
)
def test_a_prediction_in_parts_has_the_bits_of_the_whole(shape, points, network, tmp_path):
    stack = cropped(stack_of(len(shape), max(shape), 1e5), shape)
    trained, config = untrained(network=network), InferConfig(points=points)
    files = [tmp_path / f"inferred_{part}.h5" for part in range(COUNT)]
    for part, file in enumerate(files):
        store.write(file, infer_part(stack, trained, config, part, COUNT))
    found = [store.read(file, Passes) for file in files[::-1]]
    same_bits(infer(stack, trained, config, found), infer(stack, trained, config))


def cropped(stack, shape):
    """The first points of a stack along each axis, without its truth, with one f0."""
    within = tuple(slice(size) for size in shape)
    axes = {
        f"q{name}": getattr(stack, f"q{name}")[:size] for name, size in zip("zyx"[-len(shape) :], shape, strict=True)
    }
    return dataclasses.replace(stack, data=stack.data[(slice(None), *within)], f0=20.0, truth=None, **axes)


def test_parts_that_are_not_all_of_a_prediction_are_refused():
    stack, trained = stack_of(3, 16), untrained()
    found = [infer_part(stack, trained, REFINED, part, 3) for part in range(3)]
    with pytest.raises(InputError, match="parts of a prediction need 12288 values; 8192 came"):
        infer(stack, trained, REFINED, found[:2])
