"""A frame answered in bands of rows: the answer of the whole frame, in memory that does not grow with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from resident import growth
from test_infer import PREDICTED, QUANTITIES, REFINED, stack_of, untrained, wrapped

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.mad.config import InferConfig
from madpipe.mad.network import files
from madpipe.mad.network.calibration import packed
from madpipe.mad.network.files import infer_file
from madpipe.mad.network.infer import infer, infer_and_tell
from madpipe.mad.records import Fit

PROCESS = {"program": "madpipe", "version": "1", "date": "2026-01-01T00:00:00+00:00", "note_1": "{}"}
pytestmark = pytest.mark.filterwarnings("ignore::madpipe.base.warned.DataWarning")  # of networks that are not trained
NETWORKS = ("frames", "unet_patches")
LAST_STEP = 0.02  # of an error: a search's last step is at most the root of its tolerance, 0.01, here and there
ALIKE = 1e-3  # of an error; as a tiled frame to an untiled one, tests/mad/network/test_predict.py


@pytest.fixture
def _in_bands(monkeypatch):
    """Bands of 32 rows, two of which reach the middle."""
    monkeypatch.setattr(files, "_WHOLE", 1)
    monkeypatch.setattr(files, "_BAND_VALUES", 1)


def a_stack():
    """A frame with everything that differs from point to point, as many rows as make a last band of its own size."""
    stack = stack_of(2, 110, 1e7)
    rng = np.random.default_rng(3)
    mask = np.where(rng.random(stack.shape) < 0.02, np.uint32(1), np.uint32(0))
    background = rng.uniform(0, 2, stack.data.shape)
    monitor = np.linspace(0.8, 1.2, len(stack.energy))
    f0 = 20 + rng.random(stack.shape)
    data = rng.poisson(stack.truth.expected * monitor[:, None, None] + background)
    order = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    of_energies = {"data": data, "background": background, "energy": stack.energy, "f_prime": stack.f_prime}
    of_energies |= {"f_double_prime": stack.f_double_prime, "monitor": monitor}
    shuffled = {name: values[order] for name, values in of_energies.items()}
    return replace(stack, mask=mask, f0=f0, truth=None, **shuffled)


def calibrated(**changes):
    """A network whose errors depend on all that the calibration looks at."""
    generator = torch.Generator().manual_seed(2)
    weights = 0.3 * torch.randn((5, 2, 6), generator=generator, dtype=torch.float32)
    fixed = torch.stack([torch.zeros(5, 5), torch.full((5, 5), 3.0)]).float()
    kept = packed([fixed, weights], refine=True) | packed([fixed, weights], refine=False)
    return replace(untrained(**changes), calibration=kept)


@pytest.mark.usefixtures("_in_bands")
@pytest.mark.parametrize("config", [REFINED, PREDICTED, InferConfig(points=4096)], ids=["refined", "plain", "tiles"])
@pytest.mark.parametrize("network", NETWORKS)
def test_bands_give_the_answer_of_the_whole_frame(network, config, tmp_path):
    stack, trained = a_stack(), calibrated(network=network)
    store.write(tmp_path / "stack.h5", stack)
    infer_file(tmp_path / "stack.h5", tmp_path / "inferred.h5", trained, config, PROCESS)
    found, whole = store.read(tmp_path / "inferred.h5", Fit), infer(stack, trained, config)
    for name in QUANTITIES:
        off = getattr(found, name) - getattr(whole, name)
        off = wrapped(off) if name.startswith("delta") else off
        off = np.abs(off / getattr(whole, f"{name}_errors"))
        assert (off < ALIKE).mean() > 0.999
        assert off.max() < LAST_STEP
        for error in (f"{name}_errors", f"{name}_errors_95"):
            assert (np.abs(getattr(found, error) / getattr(whole, error) - 1) < ALIKE).mean() > 0.999
    assert (found.split is None) == (whole.split is None) == (not config.refine)
    if found.split is not None:
        np.testing.assert_allclose(found.split.stated, whole.split.stated, rtol=ALIKE)
    assert (np.abs(found.chi2 - whole.chi2) < ALIKE * (1 + whole.chi2)).mean() > 0.999
    assert np.array_equal(found.dof, whole.dof)
    assert (found.method, found.axis_names) == (whole.method, whole.axis_names)
    assert found.explained.chi2_per_dof == pytest.approx(whole.explained.chi2_per_dof, rel=ALIKE)
    assert found.explained.points == whole.explained.points
    assert np.array_equal(found.qy, stack.qy)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inferred.h5", "stack.h5"]


def test_a_small_frame_is_written_as_ever(tmp_path):
    stack, trained = stack_of(), untrained()
    store.write(tmp_path / "stack.h5", stack)
    infer_file(tmp_path / "stack.h5", tmp_path / "inferred.h5", trained, REFINED, PROCESS)
    store.write(tmp_path / "plain.h5", infer_and_tell(stack, trained, REFINED), process=PROCESS)
    assert (tmp_path / "inferred.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


@pytest.mark.usefixtures("_in_bands")
@pytest.mark.parametrize("odd", ["volume", "errors", "attention"])
def test_what_cannot_be_cut_is_answered_whole(odd, tmp_path):
    stack, trained = stack_of(3 if odd == "volume" else 2, 16), untrained(attention=odd == "attention")
    if odd == "errors":
        stack = replace(stack, data_errors=np.sqrt(stack.data + 1.0))
    store.write(tmp_path / "stack.h5", stack)
    infer_file(tmp_path / "stack.h5", tmp_path / "inferred.h5", trained, REFINED, PROCESS)
    found, whole = store.read(tmp_path / "inferred.h5", Fit), infer(stack, trained, REFINED)
    assert np.array_equal(found.f_resonant, whole.f_resonant)


@pytest.mark.usefixtures("_in_bands")
def test_a_frame_that_the_network_was_not_made_for_is_refused_and_the_old_answer_stays(tmp_path):
    store.write(tmp_path / "stack.h5", replace(stack_of(2, 96, 1e8), truth=None))
    (tmp_path / "inferred.h5").write_text("old")
    trained = untrained()
    config = trained.config.model_copy(
        update={"prior": trained.config.prior.model_copy(update={"oversampling": (90, 99)})}
    )
    with pytest.raises(InputError, match="need an oversampling of 90 to 99"):
        infer_file(tmp_path / "stack.h5", tmp_path / "inferred.h5", replace(trained, config=config), REFINED)
    assert (tmp_path / "inferred.h5").read_text() == "old"


BEFORE = """
import numpy as np
from test_infer import stack_of, untrained
from madpipe.base import store
from madpipe.mad.config import InferConfig
from madpipe.mad.network import files
from madpipe.mad.records import Stack
files._WHOLE, files._BAND_VALUES = 2**15, 2**19
trained, config = untrained(), InferConfig(points=2**16, refine=False)
files.infer_file("small.h5", "inferred.h5", trained, config)
"""
LINES = "files.infer_file('large.h5', 'inferred.h5', trained, config)"


def test_memory_does_not_grow_with_the_frame(tmp_path, request):
    rng = np.random.default_rng(4)
    for name, size in {"small": 256, "large": 768}.items():
        axes = {axis: np.arange(float(size)) - size // 2 for axis in ("qy", "qx")}
        small = stack_of(2, 24)
        data = rng.poisson(0.5, (len(small.energy), size, size)).astype(np.uint16)  # too few a point to tell sampling
        store.write(tmp_path / f"{name}.h5", replace(small, data=data, truth=None, f0=20.0, **axes))
    path = f"import sys; sys.path.insert(0, {str(request.path.parent)!r})"
    # photons of every point and their transform, 27 MiB; bands are no larger than the small frame; in one piece: 409
    assert growth(tmp_path, f"{path}{BEFORE}", LINES) < 150
