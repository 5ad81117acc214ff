"""A simulated set from its section of the configuration to its scores, through the files that the steps write."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning, heard
from madpipe.stills.config import SimulatedStills, StillsFitConfig, StillsIndexConfig
from madpipe.stills.fit.images import factors_of, fit_images
from madpipe.stills.geometry import Beam, Crystal, Panel, finest
from madpipe.stills.index.files import index_files
from madpipe.stills.integrate.files import _tell, integrate_images, resolution_of
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.measured.expt_writing import write_expt
from madpipe.stills.measured.reading import read_set
from madpipe.stills.measured.reference import read_reference
from madpipe.stills.merge.files import write_set
from madpipe.stills.records import Integrated, PixelFits, StillsTruth
from madpipe.stills.scores.validate import answers_of, score
from madpipe.stills.simulate.crystals import draw_stills
from madpipe.stills.simulate.files import write_stills
from madpipe.stills.study import STILLS
from madpipe.stills.symmetry import crystal_of_cell

PROCESS = {"program": "madpipe", "version": "0", "date": "now", "note_1": "{}"}
SMALL = SimulatedStills(
    cell=(40.0, 50.0, 60.0, 90.0, 90.0, 90.0), space_group="P 21 21 21", images=4, size=300, pixel=0.2, distance=80.0,
    cells=(7.0, 6.0, 5.0), photons=8e5,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of all steps."""
    torch.set_default_dtype(torch.float64)
    place = tmp_path_factory.mktemp("set")
    write_stills(place / "images.nxs", SMALL, torch.Generator().manual_seed(4), PROCESS)
    images, _ = read_set([place / "images.nxs"], place / "images.expt")
    listed, experiments = index_files(
        images, crystal_of_cell(np.array(SMALL.cell), SMALL.space_group), StillsIndexConfig()
    )
    write_expt(place / "crystals.expt", experiments, PROCESS)
    store.write_json(place / "crystals.json", listed, process=PROCESS)
    images, crystals = read_set([place / "images.nxs"], place / "crystals.expt")
    reference = read_reference(place / "images_reference.mtz")
    found = integrate_images(images, crystals, IntegrateConfig(), reference, listed.excitation)
    store.write(place / "integrated.h5", found, process=PROCESS)
    write_set(place / "merged.mtz", found, 0.1, 0, PROCESS)
    return place


def test_a_set_is_indexed_integrated_and_merged_to_its_truth(folder):
    files = {"index": "crystals.json", "integrate": "integrated.h5", "merge": "merged.json"}
    answers = answers_of({step: str(folder / name) for step, name in files.items()})
    found = score("small", 4, answers, store.read(folder / "images_truth.h5", StillsTruth))
    assert found.indexed == found.integrated == 4
    assert found.within[1] > 0.95
    assert found.cc_true > 0.99
    # reference errors of 30 % in some 300 spots an image: ln G within 4 x .3 / sqrt(300), and as stated
    assert found.errors["ln G [1]"].rms < 4 * 0.3 / 300**0.5
    # domains of uneven sides have not one R0: ln G differs by more than stated from image to image
    others = {name: error.pull_sd for name, error in found.errors.items() if name != "ln G [1]"}
    assert max(others.values()) < 3
    assert found.errors["orientation by reflections [degree]"].rms < SMALL.told_off / 5
    assert not found.failed
    assert set(found.verdicts) >= {"indexed", "truth", "errors_orientation_by_reflections"}
    assert "errors_ln_G" not in found.verdicts  # four images have three differences: off by 2 by chance
    assert found.verdicts["indexed"].passed


def test_images_without_a_crystal_or_with_few_spots_are_left_out_with_a_line(folder):
    images, crystals = read_set([folder / "images.nxs"], folder / "crystals.expt")
    spots = integrate_images(images, crystals, IntegrateConfig()).tables()[1].spots
    least = int(np.sort(spots)[1])  # one image has fewer
    name = images.sources[int(np.argmin(spots))].label
    with pytest.warns(DataWarning, match=f"1 of 4 images are left out: {name}: an image needs {least} spots"):
        found = integrate_images(images, crystals, IntegrateConfig(least_spots=least))
    assert name not in found.tables()[1].names.split("\n")
    assert len(found.tables()[1].names.split("\n")) == 3


def test_what_no_integration_can_use_is_refused(folder):
    images, crystals = read_set([folder / "images.nxs"], folder / "crystals.expt")
    with pytest.raises(InputError, match="at least one image with a crystal"):
        integrate_images(images, [None] * 4, IntegrateConfig())
    other = Crystal(crystals[0].axes * 1.2, crystals[0].space_group)
    with pytest.raises(InputError, match="crystals of one kind"):
        integrate_images(images, [other, *crystals[1:]], IntegrateConfig())
    with pytest.warns(DataWarning, match="4 of 4"), pytest.raises(InputError, match="5000 spots"):
        integrate_images(images, crystals, IntegrateConfig(least_spots=5000))


def test_reflections_are_looked_for_to_the_corners_or_as_told(folder):
    images, _ = read_set([folder / "images.nxs"], folder / "crystals.expt")
    corner = np.hypot(151 * 0.2, 151 * 0.2)  # the beam meets the detector half a pixel off its middle
    least = 1 / (2 * np.sin(np.arctan2(corner, 80.0) / 2))
    assert resolution_of(images, IntegrateConfig()) == pytest.approx(least, rel=5e-3)
    assert resolution_of(images, IntegrateConfig(resolution=4.0)) == 4.0
    assert resolution_of(images, IntegrateConfig(resolution=0.1)) == pytest.approx(least, rel=5e-3)
    panel = Panel(np.array([0.0, 0, 100]), np.array([1.0, 0, 0]), np.array([0.0, 1, 0]), (1.0, 1.0), (100, 1))
    assert finest(Beam(np.array([0.0, 0, 1.0]), 1.0), [panel]) == pytest.approx(1 / (2 * np.sin(np.pi / 8)), rel=1e-3)


def test_a_set_has_the_photons_and_the_errors_of_its_section():
    drawn = draw_stills(SMALL, torch.Generator().manual_seed(1))
    counts = [one[0] for one in drawn.counts(torch.Generator().manual_seed(2))]
    bragg = np.array([one.sum() - SMALL.background * one.size for one in counts])
    # scales of the images differ by e^(+-.4), and the mean of three sets the unit
    assert 0.4 < bragg.mean() / SMALL.photons < 2.5
    off = [np.linalg.inv(one.axes) @ other for one, other in zip(drawn.told, drawn.truth.axes, strict=True)]
    angles = np.degrees([np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)) for turn in off])
    assert 0.2 * SMALL.told_off < angles.mean() < 4 * SMALL.told_off
    again = draw_stills(SMALL, torch.Generator().manual_seed(1))
    np.testing.assert_array_equal(again.truth.intensity, drawn.truth.intensity)
    ratio = np.log(drawn.truth.reference / drawn.truth.intensity)
    assert ratio.std() == pytest.approx(np.sqrt(np.log1p(0.3**2)), rel=0.1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    torch.set_default_dtype(torch.float64)
    place = tmp_path_factory.mktemp("demo")
    sample = SimulatedStills(**{**STILLS.samples["demo"], "told_off": 0.5, "photons": 1e5})
    write_stills(place / "images.nxs", sample, torch.Generator().manual_seed(6), PROCESS)
    return place


def test_pixels_give_misset_and_spread_within_their_errors(demo):
    images, crystals = read_set([demo / "images.nxs"], demo / "images.expt")
    found = fit_images(images, crystals, StillsFitConfig(method="low-angles"))
    store.write(demo / "fit.h5", found)
    assert store.read(demo / "fit.h5", PixelFits).verdicts == "good"
    truth = store.read(demo / "images_truth.h5", StillsTruth)
    answers = answers_of({"fit": str(demo / "fit.h5")})
    scores = score("demo", 1, answers, truth)
    assert scores.errors["spread [degree]"].rms < 4 * scores.errors["spread [degree]"].stated
    assert scores.errors["orientation by pixels [degree]"].pull_sd < 4
    assert scores.errors["orientation by pixels [degree]"].stated < 0.05


def test_what_no_fit_of_pixels_can_use_is_refused(demo):
    images, crystals = read_set([demo / "images.nxs"], demo / "images.expt")
    config = StillsFitConfig(method="marquardt")
    with pytest.raises(InputError, match="needs its crystal"):
        fit_images(images, [*crystals, crystals[0]], config)
    with pytest.raises(InputError, match="none has one"):
        fit_images(images, [None], config)
    with pytest.raises(InputError, match="one panel"):
        fit_images(replace(images, panels=images.panels * 2), crystals, config)
    assert factors_of(None, crystals) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell": (40.0, 50.0, 60.0, 10.0, 10.0, 170.0)}, "a cell of a volume"),
        ({"space_group": "P 9 9 9"}, "needs a space group"),
        ({"space_group": "P 41 21 2"}, "a cell that P 41 21 2 allows"),
    ],
)
def test_crystals_that_cannot_be_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        draw_stills(SMALL.model_copy(update=changes), torch.Generator().manual_seed(1))


def test_a_cell_that_explains_no_image_is_said_once(folder):
    images, _ = read_set([folder / "images.nxs"], folder / "crystals.expt")
    with pytest.raises(InputError, match=r"none of 4 is: images.nxs: not indexed.* and 1 more; check cell"):
        index_files(
            images, crystal_of_cell(np.array([79.0, 79.0, 38.0, 90.0, 90.0, 90.0]), "P 43 21 2"), StillsIndexConfig()
        )


def test_a_model_that_does_not_fit_is_told(folder):
    found = store.read(folder / "integrated.h5", Integrated)
    with heard() as said:
        _tell(found)
    assert said == []
    with pytest.warns(DataWarning, match="spots differ by 30 %"):
        _tell(replace(found, model_error=0.3))
    with pytest.warns(DataWarning, match="has not settled"):
        _tell(replace(found, settled=False))
