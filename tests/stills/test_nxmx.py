"""NXmx: what is written is read, as are files laid out by hand as beamlines do; what is wrong is told in one line."""

import warnings

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.stills.geometry import Beam, Panel
from madpipe.stills.measured.nxmx import read_nxmx
from madpipe.stills.measured.nxmx_writing import write_nxmx
from madpipe.stills.measured.reading import read_images

SHAPE = (30, 50)
COUNTS = np.random.default_rng(0).poisson(4.0, (3, *SHAPE)).astype(np.uint32)


def link(group, name, value, vector, kind, units, parent, offset=(0, 0, 0), offset_units="mm"):
    """A transformation, as the NeXus manual lays it out."""
    dataset = group.create_dataset(name, data=value)
    dataset.attrs["vector"] = np.array(vector, dtype=float)
    dataset.attrs["transformation_type"] = kind
    dataset.attrs["units"] = units
    dataset.attrs["depends_on"] = parent
    dataset.attrs["offset"] = np.array(offset, dtype=float)
    dataset.attrs["offset_units"] = offset_units
    return dataset


def group_of(parent, name, kind):
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def beamline_file(path, change=lambda file: None, data=COUNTS):
    """A master file: two theta of 20 degrees about x, then 250 mm along z, module 0.1 m off, pixels in micrometres."""
    with h5py.File(path, "w") as file:
        entry = group_of(file, "entry", "NXentry")
        entry["definition"] = "NXmx"
        group_of(entry, "data", "NXdata")["data"] = data
        instrument = group_of(entry, "instrument", "NXinstrument")
        beam = group_of(instrument, "beam", "NXbeam")
        beam["incident_wavelength"] = 0.12
        beam["incident_wavelength"].attrs["units"] = "nm"
        beam["incident_polarization_stokes"] = np.array([2.0, 0.0, 1.8, 0.0])
        detector = group_of(instrument, "detector", "NXdetector")
        detector["count_time"] = 0.02
        detector["saturation_value"] = 9
        detector["sensor_thickness"] = 450.0
        detector["sensor_thickness"].attrs["units"] = "um"
        detector["sensor_material"] = "CdTe"
        mask = np.zeros(data.shape[1:], dtype=np.uint32)
        mask[..., 2, 3] = 1 << 8
        detector["pixel_mask"] = mask
        chain = group_of(detector, "transformations", "NXtransformations")
        link(chain, "two_theta", 20.0, (1, 0, 0), "rotation", "deg", ".")
        link(chain, "translation", [0.25], (0, 0, 1), "translation", "m", "two_theta")
        module = group_of(detector, "module", "NXdetector_module")
        module["data_origin"], module["data_size"] = np.zeros(data.ndim - 1, int), np.array(data.shape[1:])
        parent = "/entry/instrument/detector/transformations/translation"
        link(module, "module_offset", 0.0, (1, 0, 0), "translation", "mm", parent, (3.0, 2.0, 0.5))
        link(module, "fast_pixel_direction", 75.0, (-1, 0, 0), "translation", "um", "module_offset")
        link(module, "slow_pixel_direction", 75e-6, (0, -1, 0), "translation", "m", "module_offset")
        sample = group_of(entry, "sample", "NXsample")
        sample["depends_on"] = "/entry/sample/transformations/omega"
        turns = group_of(sample, "transformations", "NXtransformations")
        link(turns, "omega", [30.0] * len(data), (-1, 0, 0), "rotation", "deg", ".")
        change(file)
    return path


def test_a_chain_of_transformations_places_the_panel(tmp_path):
    images = read_images([beamline_file(tmp_path / "a.nxs")])
    turn = Rotation.from_euler("x", 20, degrees=True)
    panel, beam = images.panels[0], images.beams[0]
    assert np.allclose(panel.origin, turn.apply([3.0, 2.0, 250.5]))
    assert np.allclose(panel.fast, [-1, 0, 0])
    assert np.allclose(panel.slow, turn.apply([0, -1, 0]))
    assert np.allclose(panel.pixel, 0.075)
    assert (panel.shape, panel.material) == (SHAPE, "CdTe")
    assert np.isclose(panel.thickness, 0.45)
    assert np.isclose(beam.wavelength, 1.2)
    assert np.isclose(beam.polarised, 0.9)
    assert np.allclose(beam.electric, [np.sqrt(0.5), np.sqrt(0.5), 0])  # U > 0: 45 degrees
    assert images.exposures == (0.02,) * 3
    assert [(one.counts[0] == COUNTS[k]).all() for k, one in enumerate(images)] == [True] * 3
    image = images[1]
    assert not image.good[0][2, 3]
    assert image.good[0].sum() == COUNTS[0].size - 1
    assert (image.saturated[0] == ((COUNTS[1] >= 9) & image.good[0])).all()


def test_modules_are_cut_out_of_stacked_panels(tmp_path):
    """A Jungfrau: images of panels, each with its module; data_origin and data_size of three numbers."""
    data = np.arange(2 * 3 * 4 * 5, dtype=np.int32).reshape(2, 3, 4, 5)

    def three(file):
        detector = file["entry/instrument/detector"]
        del detector["module"]
        for k in range(3):
            module = group_of(detector, f"module_{k}", "NXdetector_module")
            module["data_origin"], module["data_size"] = np.array([k, 0, 0]), np.array([1, 4, 5])
            parent = "/entry/instrument/detector/transformations/translation"
            link(module, "module_offset", 10.0 * k, (0, 1, 0), "translation", "mm", parent)
            link(module, "fast_pixel_direction", 0.1, (1, 0, 0), "translation", "mm", "module_offset")
            link(module, "slow_pixel_direction", 0.1, (0, 1, 0), "translation", "mm", "module_offset")

    images = read_nxmx(beamline_file(tmp_path / "a.h5", three, data))
    assert len(images.panels) == 3
    assert (images[1].counts[2] == data[1, 2]).all()
    turn = Rotation.from_euler("x", 20, degrees=True)
    assert np.allclose(images.panels[2].origin, turn.apply([0, 20, 250]))


def test_external_and_virtual_images_are_followed_and_missed(tmp_path):
    for k in range(2):
        with h5py.File(tmp_path / f"part{k}.h5", "w") as file:
            file["entry/data/data"] = COUNTS[k : k + 1]

    def external(file):
        del file["entry/data/data"]
        for k in range(2):
            file["entry/data"][f"data_{k + 1:06d}"] = h5py.ExternalLink(f"part{k}.h5", "/entry/data/data")

    def virtual(file):
        del file["entry/data/data"]
        layout = h5py.VirtualLayout((2, *SHAPE), COUNTS.dtype)
        for k in range(2):
            layout[k : k + 1] = h5py.VirtualSource(f"part{k}.h5", "entry/data/data", (1, *SHAPE))
        file["entry/data"].create_virtual_dataset("data", layout)

    paths = [beamline_file(tmp_path / "e.nxs", external), beamline_file(tmp_path / "v.nxs", virtual)]
    for path in paths:
        images = read_nxmx(path)
        assert [(one.counts[0] == COUNTS[k]).all() for k, one in enumerate(images)] == [True] * 2
    (tmp_path / "part1.h5").unlink()
    for path in paths:
        with pytest.raises(InputError, match=r"part1\.h5"):
            read_nxmx(path)


def drop(*names):
    def change(file):
        for name in names:
            del file[name]

    return change


DETECTOR = "entry/instrument/detector"


def put(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


def attribute(name, key, value):
    def change(file):
        if value is None:
            del file[name].attrs[key]
        else:
            file[name].attrs[key] = value

    return change


def turning(file):
    omega = file["entry/sample/transformations/omega"]
    omega[...] = [30.0, 30.1, 30.2]


def increment(file):
    file["entry/sample/transformations/omega_increment_set"] = 0.1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("entry/instrument/beam/incident_wavelength"), "incident_wavelength"),
        (put("entry/instrument/beam/incident_wavelength", 1.0), "units of a length"),
        (drop(f"{DETECTOR}/module"), "NXdetector_module"),
        (drop(f"{DETECTOR}/module/fast_pixel_direction"), "fast_pixel_direction"),
        (drop(f"{DETECTOR}/transformations/translation"), "there is none"),
        (attribute(f"{DETECTOR}/module/module_offset", "vector", None), "attribute vector"),
        (attribute(f"{DETECTOR}/module/fast_pixel_direction", "vector", np.array([-1, 0.2, 0])), "right angles"),
        (attribute(f"{DETECTOR}/transformations/translation", "units", "furlong"), "furlong"),
        (attribute(f"{DETECTOR}/transformations/translation", "transformation_type", "shear"), "shear"),
        (attribute(f"{DETECTOR}/transformations/two_theta", "depends_on", "translation"), "circle"),
        (put(f"{DETECTOR}/module/data_size", np.array([31, 50])), "within the image"),
        (put(f"{DETECTOR}/module/data_size", np.array([1, 30, 50])), "2 numbers"),
        (put(f"{DETECTOR}/pixel_mask", np.zeros((5, 5))), "pixel_mask of"),
        (drop("entry/data/data"), "needs images"),
        (put("entry/data/data", np.zeros((0, *SHAPE))), "at least one image"),
        (put("entry/instrument/beam/incident_polarization_stokes", np.array([1.0, 2, 0, 0])), "Stokes"),
        (turning, "turns by 0.2 degrees"),
        (increment, "--as-stills"),
    ],
)
def test_files_that_are_wrong_are_refused(tmp_path, change, said):
    with pytest.raises(InputError, match=said) as caught:
        read_nxmx(beamline_file(tmp_path / "a.nxs", change))
    assert "\n" not in str(caught.value)


def test_a_detector_without_distance_is_refused(tmp_path):
    def flat(file):
        module = file[f"{DETECTOR}/module"]
        module["module_offset"].attrs["depends_on"] = "."
        module["module_offset"].attrs["offset"] = np.zeros(3)

    with pytest.raises(InputError, match="distance"):
        read_nxmx(beamline_file(tmp_path / "a.nxs", flat))


def test_a_rotation_is_read_when_asked_for_with_a_warning(tmp_path):
    with pytest.warns(DataWarning, match=r"turns by 0\.2"):
        assert len(read_nxmx(beamline_file(tmp_path / "a.nxs", turning), as_stills=True)) == 3


def test_a_missing_mask_is_told_and_negative_counts_are_left_out(tmp_path):
    data = COUNTS.astype(np.int32)
    data[:, 0, 0] = -1
    path = beamline_file(tmp_path / "a.nxs", drop(f"{DETECTOR}/pixel_mask"), data)
    with pytest.warns(DataWarning, match="pixel_mask"):
        images = read_nxmx(path)
    assert not images[0].good[0][0, 0]
    assert images[0].good[0].sum() == COUNTS[0].size - 1


def test_wavelengths_of_images_and_spectra(tmp_path):
    def of_images(file):
        put("entry/instrument/beam/incident_wavelength", np.array([0.12, 0.121, 0.122]))(file)
        file["entry/instrument/beam/incident_wavelength"].attrs["units"] = "nm"

    def spectrum(file):
        of_images(file)
        file["entry/instrument/beam/incident_wavelength_weights"] = np.array([1.0, 2.0, 1.0])

    lengths = [one.wavelength for one in read_nxmx(beamline_file(tmp_path / "a.nxs", of_images)).beams]
    assert np.allclose(lengths, [1.2, 1.21, 1.22])
    beam = read_nxmx(beamline_file(tmp_path / "b.nxs", spectrum)).beams[2]
    assert np.isclose(beam.wavelength, 1.21)
    assert np.isclose(beam.bandwidth, 0.01 * np.sqrt(0.5) / 1.21)


PANELS = (
    Panel(np.array([5.0, 4.0, 200.0]), np.array([-1.0, 0, 0]), np.array([0, -1.0, 0]), (0.1, 0.2), (30, 50), "a", 0.45),
    Panel(
        np.array([5.0, -6.0, 201.0]), np.array([-0.8, 0, 0.6]), np.array([0, -1.0, 0]), (0.1, 0.2), (20, 40), "b", 0.45
    ),
)
BEAMS = tuple(
    Beam(np.array([0, 0, 1.0]), length, 0.002, 0.98, np.array([np.cos(0.3), np.sin(0.3), 0])) for length in (0.97, 0.98)
)


def frames(count=2):
    generator = np.random.default_rng(3)
    return [tuple(generator.poisson(3.0, one.shape).astype(np.int32) for one in PANELS) for _ in range(count)]


def test_what_is_written_is_read(tmp_path):
    mask = [np.ones(one.shape, dtype=bool) for one in PANELS]
    mask[1][3, 4] = False
    write_nxmx(tmp_path / "a.nxs", iter(frames()), BEAMS, PANELS, mask, 50.0, (0.1, 0.2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = read_nxmx(tmp_path / "a.nxs")
    for k, frame in enumerate(frames()):
        assert all((one == other).all() for one, other in zip(images[k].counts, frame, strict=True))
        assert (images[k].good[1] == mask[1]).all()
        assert np.isclose(images.beams[k].wavelength, BEAMS[k].wavelength)
    for panel, other in zip(PANELS, images.panels, strict=True):
        assert np.allclose(panel.origin, other.origin)
        assert np.allclose(panel.fast, other.fast)
        assert np.allclose(panel.slow, other.slow)
        assert (panel.shape, panel.thickness) == (other.shape, other.thickness)
        assert np.allclose(panel.pixel, other.pixel)
    assert np.allclose(images.beams[0].electric, BEAMS[0].electric)
    assert np.isclose(images.beams[0].polarised, 0.98)
    assert np.isclose(images.beams[0].bandwidth, 0.002, rtol=0.01)
    assert images.saturation == 50.0
    assert images.exposures == (0.1, 0.2)


@pytest.mark.parametrize(
    ("given", "beams", "said"),
    [
        (frames(1), BEAMS, "needs 2 images"),
        (frames(3), BEAMS, "needs 2 images"),
        ([frame[::-1] for frame in frames()], BEAMS, "panels of"),
        (frames(), (), "at least one image"),
        (frames(), (Beam(np.array([1.0, 0, 0]), 1.0),) * 2, "along z"),
    ],
)
def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path, given, beams, said):
    (tmp_path / "a.nxs").write_text("old")
    with pytest.raises(InputError, match=said):
        write_nxmx(tmp_path / "a.nxs", given, beams, PANELS)
    assert [one.name for one in tmp_path.iterdir()] == ["a.nxs"]
    assert (tmp_path / "a.nxs").read_text() == "old"


def test_no_hdf5_is_refused(tmp_path):
    (tmp_path / "a.nxs").write_text("text")
    with pytest.raises(InputError, match="HDF5"):
        read_nxmx(tmp_path / "a.nxs")
