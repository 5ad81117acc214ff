"""Files of images and crystals: what is read back is what was put in, and what is wrong is told in one line."""

import bz2
import gzip
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from fabio.cbfimage import CbfImage

from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.measured.cbf import read_cbf
from madpipe.stills.measured.expt import Experiment, matched, read_expt
from madpipe.stills.measured.expt_writing import write_expt
from madpipe.stills.measured.images import Images, Source, fano, image_of, joined, panel_of, warn_of_gain
from madpipe.stills.measured.reading import read_crystals, read_images
from madpipe.stills.measured.stream import read_stream

HEADER = """# Detector: PILATUS 300K
# Pixel_size 172e-6 m x 172e-6 m
# Silicon sensor, thickness 0.000320 m
# Exposure_time 0.0500000 s
# Count_cutoff 1000 counts
# Wavelength 1.2345 A
# Detector_distance 0.20000 m
# Beam_xy (30.50, 20.25) pixels
# Angle_increment 0.0000 deg.
# Polarization 0.990
"""
COUNTS = np.random.default_rng(0).poisson(5.0, (40, 60)).astype(np.int32)
COUNTS[3, 4], COUNTS[5, 6], COUNTS[7, 8] = -1, 100000, -2


def cbf(path, header=HEADER, counts=COUNTS):
    """An image in CBF as fabio writes it, with a short header."""
    plain = path.with_name("plain.cbf")
    image = CbfImage(data=counts)
    image.header["_array_data.header_convention"] = "PILATUS_1.2"
    image.header["_array_data.header_contents"] = header.replace("\n", "\r\n")
    image.write(str(plain))
    opener = {".bz2": bz2.open, ".gz": gzip.open}.get(path.suffix, open)
    with opener(path, "wb") as file:
        file.write(plain.read_bytes())
    return path


@pytest.mark.parametrize("name", ["a.cbf", "a.cbf.bz2", "a.cbf.gz"])
def test_a_cbf_gives_back_its_counts_and_geometry(tmp_path, name):
    images = read_images([cbf(tmp_path / name)])
    panel, beam, image = images.panels[0], images.beams[0], images[0]
    assert (image.counts[0][image.good[0]] == COUNTS[COUNTS >= 0]).all()
    assert not image.good[0][3, 4]
    assert not image.good[0][7, 8]
    assert np.argwhere(image.saturated[0]).tolist() == [[5, 6]]
    assert np.allclose(panel.hit(beam.direction[None])[0], (30.5, 20.25))
    assert np.allclose(panel.position(np.array([0.0, 0.0])), (30.5 * 0.172, 20.25 * 0.172, 200.0))
    assert np.allclose(panel.pixel, 0.172)
    assert (panel.shape, panel.thickness) == ((40, 60), 0.32)
    assert (beam.wavelength, images.exposures) == (1.2345, (0.05,))
    assert np.isclose(beam.polarised, 0.98)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# Wavelength 1.2345 A\n", "", "positive Wavelength"),
        ("0.20000 m", "0.00000 m", "positive Detector_distance"),
        ("# Detector_distance 0.20000 m\n", "", "positive Detector_distance"),
        ("# Beam_xy (30.50, 20.25) pixels\n", "", "beam centre"),
        ("# Pixel_size 172e-6 m x 172e-6 m\n", "", "Pixel_size"),
        ("increment 0.0000", "increment 0.1000", "--as-stills"),
        ("# Polarization", "# Detector_2theta 5.0 deg.\n# Polarization", "across the beam"),
    ],
)
def test_a_cbf_that_lacks_something_is_refused(tmp_path, old, new, said):
    with pytest.raises(InputError, match=said) as caught:
        read_cbf([cbf(tmp_path / "a.cbf", HEADER.replace(old, new))])
    assert "\n" not in str(caught.value)


def test_a_rotation_is_read_when_asked_for_with_a_warning(tmp_path):
    path = cbf(tmp_path / "a.cbf", HEADER.replace("increment 0.0000", "increment 0.1000"))
    with pytest.warns(DataWarning, match=r"turned by 0\.1"):
        assert len(read_cbf([path], as_stills=True)) == 1


def test_damaged_and_strange_files_are_refused(tmp_path):
    whole = cbf(tmp_path / "a.cbf").read_bytes()
    (tmp_path / "cut.cbf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.cbf").write_text("nothing")
    (tmp_path / "cut.cbf.bz2").write_bytes(bz2.compress(whole)[:40])
    images = read_cbf([tmp_path / "cut.cbf"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fabio's own
        with pytest.raises(InputError, match="whole image"):
            images[0]
    for name in ("text.cbf", "cut.cbf.bz2"):
        with pytest.raises(InputError, match="CBF"):
            read_cbf([tmp_path / name])
    with pytest.raises(InputError, match="existing"):
        read_images([tmp_path / "none.cbf"])
    with pytest.raises(InputError, match="CBF"):
        read_images([tmp_path / "a.tif"])
    with pytest.raises(InputError, match="at least one image"):
        read_images([])


def test_images_of_another_detector_do_not_join(tmp_path):
    first = cbf(tmp_path / "a.cbf")
    (tmp_path / "far").mkdir()
    far = cbf(tmp_path / "far" / "b.cbf", HEADER.replace("0.20000 m", "0.20100 m"))
    small = cbf(tmp_path / "far" / "c.cbf", counts=COUNTS[:30])
    with pytest.raises(InputError, match="moved by 1 mm"):
        read_images([first, far])
    with pytest.raises(InputError, match="differ in size"):
        read_images([first, small])
    same = joined([read_cbf([first]), read_cbf([first])])
    assert len(same) == 2
    assert (same[1].counts[0] == COUNTS).all()
    assert len(same.subset([1])) == 1
    with pytest.raises(IndexError):
        _ = same[2]


def upright(shape=(40, 60), name="p"):
    return Panel(np.array([5.0, 4.0, 200.0]), np.array([-1.0, 0, 0]), np.array([0, -1.0, 0]), (0.1, 0.2), shape, name)


def test_images_without_a_pixel_that_measures_are_refused():
    for counts in (np.full((40, 60), np.nan), np.full((40, 60), -1), np.full((40, 60), 2**32 - 1, dtype=np.uint32)):
        with pytest.raises(InputError, match="pixels that measure"):
            image_of([counts], [upright()], None, np.inf, "a")
    some = np.full((40, 60), np.nan)
    some[0, 0] = 3
    assert image_of([some], [upright()], None, np.inf, "a").good[0].sum() == 1
    with pytest.raises(InputError, match="geometry"):
        image_of([some[:5]], [upright()], None, np.inf, "a")


def test_oblique_axes_are_refused():
    with pytest.raises(InputError, match="enclose 84"):
        panel_of(np.ones(3), np.array([1.0, 0, 0]), np.array([0.1, 1.0, 0]), (0.1, 0.1), (4, 4), "p")
    with pytest.raises(InputError, match="finite and positive"):
        panel_of(np.ones(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (0.1, 0.0), (4, 4), "p")


@pytest.mark.parametrize(("gain", "odd"), [(1.0, False), (2.5, True), (0.4, True)])
def test_scaled_counts_are_noticed(gain, odd):
    """Variance over mean of n pairs scatters by sqrt(1/n) about the gain: 1 % of 10,000."""
    counts = gain * np.random.default_rng(1).poisson(6.0, (150, 150))
    image = image_of([counts], [upright((150, 150))], None, np.inf, "a")
    assert abs(fano(image) / gain - 1) < 0.05
    if odd:
        with pytest.warns(DataWarning, match="gain"):
            warn_of_gain(image, "a")
    else:
        warn_of_gain(image, "a")


CRYSTAL = Crystal(np.array([[50.0, 3, 1], [-2, 59, 4], [1, 5, 70]]), "P 21 21 21")
BEAM = Beam(np.array([0, 0, 1.0]), 0.97, polarised=0.98, electric=np.array([1.0, 0, 0]))


def test_an_experiment_list_comes_back(tmp_path):
    panels = (upright(), replace(upright(name="q"), origin=np.array([5.0, -6.0, 200.0])))
    known = Source(tmp_path / "images.nxs", 3)
    write_expt(tmp_path / "a.expt", [Experiment(BEAM, panels, CRYSTAL, known, 1000.0), Experiment(BEAM, panels, None)])
    said = json.loads((tmp_path / "a.expt").read_text())
    assert said["beam"][0]["direction"] == [0, 0, 1]  # DIALS': to the source, which lies at +z of imgCIF
    assert said["detector"][0]["panels"][0]["fast_axis"] == [1, 0, 0]  # our x is their -x
    assert said["detector"][0]["panels"][0]["slow_axis"] == [0, -1, 0]
    assert said["detector"][0]["panels"][0]["origin"] == [-5, 4, -200]
    assert np.allclose(said["crystal"][0]["real_space_a"], [-50, 3, -1])
    assert len(said["detector"]) == 1
    one, other = read_crystals(tmp_path / "a.expt")
    assert np.allclose(one.crystal.axes, CRYSTAL.axes)
    assert one.crystal.space_group == "P 21 21 21"
    assert other.crystal is None
    assert (one.source.path, one.source.frame, one.saturation) == (known.path.resolve(), 3, 1000.0)
    for ours, theirs in zip(panels, one.panels, strict=True):
        assert np.allclose(ours.origin, theirs.origin)
        assert np.allclose(ours.fast, theirs.fast)
        assert (ours.pixel, ours.shape) == (theirs.pixel, theirs.shape)
    assert np.allclose(one.beam.direction, BEAM.direction)
    assert np.allclose(np.abs(one.beam.electric), BEAM.electric)
    assert np.isclose(one.beam.polarised, 0.98)


def changed(path, change):
    """A list with one thing changed."""
    write_expt(path, [Experiment(BEAM, (upright(),), CRYSTAL, Source(path.with_name("i.nxs")))])
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    return path


def test_panels_stand_in_the_frame_of_their_group(tmp_path):
    """A root that is turned by 90 degrees about z and moved by 10 mm along z of imgCIF."""

    def turn(said):
        said["detector"][0]["hierarchy"] |= {"fast_axis": [0, 1, 0], "slow_axis": [-1, 0, 0], "origin": [0, 0, 10]}

    (one,) = read_expt(changed(tmp_path / "a.expt", turn))
    # in imgCIF (-5, 4, -200) becomes (-4, -5, -190), ours is (4, -5, 190)
    assert np.allclose(one.panels[0].origin, [4, -5, 190])
    assert np.allclose(one.panels[0].fast, [0, 1, 0])  # theirs x -> y
    assert np.allclose(one.panels[0].slow, [-1, 0, 0])  # theirs -y -> x, ours is -x


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["crystal"][0].update(real_space_c=one["crystal"][0]["real_space_a"]), "span a volume"),
        (lambda one: one["crystal"][0].update(real_space_c=[1, -5, 70]), "left-handed"),
        (lambda one: one["crystal"][0].update(space_group_hall_symbol=" P 2"), None),
        (lambda one: one["beam"][0].pop("wavelength"), "wavelength"),
        (lambda one: one["beam"][0].update(wavelength=0), "wavelength"),
        (lambda one: one["experiment"][0].pop("beam"), "needs a beam"),
        (lambda one: one["experiment"][0].update(detector=4), "whole ExperimentList"),
        (lambda one: one["detector"][0]["panels"][0].pop("origin"), None),
        (lambda one: one["detector"][0]["panels"][0].update(slow_axis=[0.5, 1, 0]), "right angles"),
        (lambda one: one.update(experiment=[]), "with experiments"),
        (lambda one: one.update(scan=[{"oscillation": [0.0, 0.1], "image_range": [1, 1]}]) or
        one["experiment"][0].update(scan=0), "--as-stills"),
    ],
)  # fmt: skip
def test_experiment_lists_that_are_wrong_are_refused(tmp_path, change, said):
    path = changed(tmp_path / "a.expt", change)
    if said is None:
        assert len(read_expt(path)) == 1
        return
    with pytest.raises(InputError, match=said) as caught:
        read_expt(path)
    assert "\n" not in str(caught.value)


def test_no_json_is_refused_and_nothing_is_written_for_no_experiment(tmp_path):
    (tmp_path / "a.expt").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        read_expt(tmp_path / "a.expt")
    with pytest.raises(InputError, match="at least one"):
        write_expt(tmp_path / "b.expt", [])
    assert not (tmp_path / "b.expt").exists()


def images_at(path, count, panels):
    counts = tuple(np.zeros(one.shape, dtype=np.int32) for one in panels)
    return Images(
        (BEAM,) * count, panels, tuple(Source(path, k) for k in range(count)), (0.1,) * count, lambda k: counts
    )


def test_crystals_find_their_images_by_file_and_frame(tmp_path):
    panels = (upright(),)
    images = images_at(tmp_path / "i.nxs", 3, panels)
    other = replace(CRYSTAL, axes=2 * CRYSTAL.axes)
    moved = (replace(upright(), origin=np.array([5.0, 4.0, 199.0])),)
    experiments = [
        Experiment(BEAM, moved, crystal, Source(tmp_path / "i.nxs", k))
        for k, crystal in ((2, other), (0, CRYSTAL), (1, None))
    ]
    told, crystals = matched(images, experiments)
    assert [None if one is None else one.axes[0, 0] for one in crystals] == [50.0, None, 100.0]
    assert told.panels[0].origin[2] == 199.0
    with pytest.raises(InputError, match="none for 1 of 3"):
        matched(images, experiments[:2])
    with pytest.raises(InputError, match="2 crystals came for 3 images"):
        matched(images, [replace(one, source=None) for one in experiments[:2]])
    with pytest.raises(InputError, match="own detector"):
        matched(images, [replace(one, panels=(upright((41, 60)),)) for one in experiments])
    with pytest.raises(InputError, match="at least one image"):
        matched(images.subset([]), experiments)
    with pytest.warns(DataWarning, match="more than one crystal"):
        matched(images, [*experiments, experiments[0]])


STREAM = """CrystFEL stream format 2.3
----- Begin geometry file -----
photon_energy = 9000
clen = 0.1
res = 10000
a/min_fs = 0
a/max_fs = 59
a/min_ss = 0
a/max_ss = 39
a/corner_x = -30
a/corner_y = -20.5
a/fs = +1.0x +0.0y
a/ss = +1.0y
b/min_fs = 60
b/max_fs = 119
b/min_ss = 0
b/max_ss = 39
b/corner_x = 40
b/corner_y = 0
b/fs = -y
b/ss = x
b/coffset = 0.002
bad0/min_x = 0
----- End geometry file -----
----- Begin chunk -----
Image filename: run/one.h5
Event: //7
photon_energy_eV = 9500.0
average_camera_length = 0.151 m
--- Begin crystal
Cell parameters 5.0 6.0 7.0 nm, 90.0 90.0 90.0 deg
astar = +0.2000000 +0.0000000 +0.0000000 nm^-1
bstar = +0.0000000 +0.0000000 +0.1666667 nm^-1
cstar = +0.0000000 -0.1428571 +0.0000000 nm^-1
--- End crystal
----- End chunk -----
"""


def test_a_stream_gives_crystals_and_panels(tmp_path):
    path = tmp_path / "a.stream"
    path.write_text(STREAM)
    (one,) = read_crystals(path, "P 21 21 21")
    assert np.allclose(one.crystal.axes, [[50, 0, 0], [0, 0, 60], [0, -70, 0]], rtol=1e-6)
    assert np.isclose(one.beam.wavelength, 12398.41984 / 9500)
    assert (one.source.path, one.source.frame) == (tmp_path / "run" / "one.h5", 7)
    first, second = one.panels
    assert np.allclose(first.origin, [-3.0, -2.05, 150.0])  # the camera's mean length less the panels' mean offset
    assert np.allclose(second.origin, [4.0, 0, 152.0])
    assert np.allclose(second.fast, [0, -1, 0])
    assert np.allclose(second.slow, [1, 0, 0])
    assert second.shape == (40, 60)
    assert first.pixel == (0.1, 0.1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("CrystFEL stream", "Other", "stream of CrystFEL"),
        ("photon_energy_eV = 9500.0", "", None),
        ("photon_energy_eV = 9500.0", "photon_energy_eV = 0", "photon_energy_eV"),
        ("----- Begin geometry file -----", "", "geometry file"),
        ("a/corner_x = -30\n", "", "corner of panel a"),
        ("b/ss = x", "b/ss = y", "right angles"),
        ("bstar", "other", "bstar is missing"),
        ("+0.1666667 nm", "+0.0000000 nm", "span a volume"),
        ("--- Begin crystal", "", "at least one indexed"),
    ],
)
def test_streams_that_lack_something_are_refused(tmp_path, old, new, said):
    path = tmp_path / "a.stream"
    path.write_text(STREAM.replace(old, new))
    if said is None:  # the geometry file has an energy
        assert np.isclose(read_stream(path)[0].beam.wavelength, 12398.41984 / 9000)
        return
    with pytest.raises(InputError, match=said):
        read_stream(path)


def test_crystals_of_unknown_kind_are_refused(tmp_path):
    with pytest.raises(InputError, match="DIALS"):
        read_crystals(tmp_path / "a.xds")
