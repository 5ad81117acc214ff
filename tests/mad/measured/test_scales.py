"""MTZ files as crystallographers have them: scales, columns, amplitudes; the answer is that of the truth."""

import itertools

import gemmi
import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.mad.config import FitConfig, MeasuredSample
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.measured.convert import convert
from madpipe.physics.atoms import dispersion_correction, form_factor
from madpipe.physics.crystal import HC, momentum_transfer

CELL = np.array([60.0, 60.0, 90.0, 90.0, 90.0, 90.0])
WAVELENGTHS = {"pk": 0.978, "ip": 0.981, "rm": 0.92}  # Se K is at 12658 eV, 0.9795 angstrom; none within 15 eV
SHARE = 0.08  # of the intensity, by the resonant atoms


@pytest.fixture(scope="module")
def crystal():
    """h k l, |F_A| and intensities I(+), I(-) with sigmas at each wavelength, of atoms at random."""
    rng = np.random.default_rng(3)
    hkl = np.array([index for index in itertools.product(range(1, 9), repeat=3) if index[0] != index[1]])
    energy = torch.tensor([HC / one for one in WAVELENGTHS.values()], dtype=torch.float64)
    f_prime, f_double_prime = (part.numpy() for part in dispersion_correction("Se", energy))
    f0 = form_factor("Se", torch.as_tensor(momentum_transfer(CELL, hkl.astype(float))).norm(dim=-1)).numpy()
    draw = lambda scale: scale * (rng.normal(size=len(hkl)) + 1j * rng.normal(size=len(hkl)))  # noqa: E731
    resonant = draw(100 * SHARE**0.5)
    total = resonant + draw(100 * (1 - SHARE) ** 0.5)
    rows = {}
    for name, one, two in zip(WAVELENGTHS, f_prime, f_double_prime, strict=True):
        mates = []
        for sign in (1, -1):
            exact = np.abs(total + resonant * (one + sign * 1j * two) / f0) ** 2
            sigma = 0.01 * exact + 20
            mates += [exact + sigma * rng.normal(size=len(hkl)), sigma]
        rows[name] = np.array(mates)
    return hkl, np.abs(resonant), rows


def write(path, hkl, datasets):
    """An MTZ file; datasets: name -> (wavelength, {label: (type, values)})."""
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup("P 1")
    mtz.set_cell_for_all(gemmi.UnitCell(*CELL))
    columns = []
    for name, (wavelength, labelled) in datasets.items():
        dataset = mtz.add_dataset(name)
        dataset.wavelength = wavelength
        for label, (kind, values) in labelled.items():
            mtz.add_column(label, kind, dataset_id=dataset.id)
            columns.append(values)
    mtz.set_data(np.column_stack([hkl, *columns]).astype(np.float32))
    mtz.write_to_file(str(path))
    return path


def intensities(values, suffix="", scale=1.0):
    labels = (f"I(+){suffix}", f"SIGI(+){suffix}", f"I(-){suffix}", f"SIGI(-){suffix}")
    return {label: (kind, scale * one) for label, kind, one in zip(labels, "KMKM", values, strict=True)}


def sample(*paths, **given):
    return MeasuredSample(path=tuple(map(str, paths)), element="Se", **given)


def against_truth(stack, crystal):
    """Correlation of |F_A| with the truth, and the median of their ratio, over F_A of the reflection."""
    hkl, resonant, _ = crystal
    known = {tuple(index): value for index, value in zip(hkl.tolist(), resonant, strict=True)}
    truth = np.array([known[tuple(index)] for index in stack.miller_indices.tolist()])
    found = fit_stack(stack, FitConfig()).f_resonant
    bright = truth > np.median(truth)
    return np.corrcoef(found[bright], truth[bright])[0, 1], np.median(found[bright] / truth[bright])


def one_file(path, crystal, scales=(1.0, 1.0, 1.0)):
    hkl, _, rows = crystal
    parts = zip(WAVELENGTHS.items(), scales, strict=True)
    return write(path, hkl, {name: (value, intensities(rows[name], scale=scale)) for (name, value), scale in parts})


def test_datasets_on_one_scale_stay_as_they_came(tmp_path, crystal):
    stack = convert(sample(one_file(tmp_path / "all.mtz", crystal)))  # a warning would fail the test
    assert stack.monitor is None
    correlation, ratio = against_truth(stack, crystal)
    assert correlation > 0.95
    assert ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("scales", [(1, 1, 5), (1, 0.85, 1), (40, 1, 1), (1, 1, 1.03)])
def test_datasets_on_different_scales_are_put_on_one_and_told(tmp_path, crystal, scales):
    with pytest.warns(DataWarning, match=r"not on one scale.*relative exposures"):
        stack = convert(sample(one_file(tmp_path / "all.mtz", crystal, scales)))
    in_order = np.array(scales)[np.argsort([-value for value in WAVELENGTHS.values()])]
    np.testing.assert_allclose(stack.monitor, in_order, rtol=0.01)  # the intensity's own change with energy is 3 %
    correlation, ratio = against_truth(stack, crystal)
    assert correlation > 0.95
    assert ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("scale", [1.3, 5.0])
def test_scales_are_seen_where_the_dispersion_is_to_be_refined(tmp_path, crystal, scale):
    assert convert(sample(one_file(tmp_path / "all.mtz", crystal), refine=("dispersion",))).monitor is None
    with pytest.warns(DataWarning, match="not on one scale"):
        stack = convert(sample(one_file(tmp_path / "other.mtz", crystal, (1, scale, 1)), refine=("dispersion",)))
    np.testing.assert_allclose(stack.monitor, [scale, 1, 1], rtol=0.05)  # f' moves the mean by up to 3 %


def test_files_are_scaled_in_the_same_way(tmp_path, crystal):
    hkl, _, rows = crystal
    scales = {"pk": 3.0, "ip": 1.0, "rm": 2.0}
    paths = [
        write(tmp_path / f"{name}.mtz", hkl, {name: (value, intensities(rows[name], scale=scales[name]))})
        for name, value in WAVELENGTHS.items()
    ]
    stack = convert(sample(*paths))
    np.testing.assert_allclose(stack.monitor, [0.5, 1.5, 1.0], rtol=0.01)  # ip, pk, rm in order of energy
    assert "relative exposures 1.49, 0.498, 1" in stack.title  # in the files' order
    assert against_truth(stack, crystal)[0] > 0.95


def test_where_bijvoet_differences_do_not_tell_only_what_resonance_cannot_do_is_another_scale(tmp_path, crystal):
    hkl, resonant, rows = crystal
    noisy = {name: values * np.array([[1], [30], [1], [30]]) for name, values in rows.items()}
    path = one_file(tmp_path / "same.mtz", (hkl, resonant, noisy), (1, 0.9, 1))
    assert convert(sample(path)).monitor is None
    with pytest.warns(DataWarning, match="a few per cent"):
        stack = convert(sample(one_file(tmp_path / "other.mtz", (hkl, resonant, noisy), (1, 1, 5))))
    np.testing.assert_allclose(stack.monitor, [1, 1, 5], rtol=0.05)


def cad(path, crystal, dataset):
    """All wavelengths' columns in one dataset, as CAD leaves them."""
    hkl, _, rows = crystal
    labelled = {}
    for name, values in rows.items():
        labelled |= intensities(values, f"_{name}")
    return write(path, hkl, {dataset: (WAVELENGTHS.get(dataset, 0.98), labelled)})


def test_columns_of_all_wavelengths_in_each_file_are_told_apart_by_the_dataset_s_name(tmp_path, crystal):
    paths = [cad(tmp_path / f"{name}.mtz", crystal, name) for name in WAVELENGTHS]
    with pytest.warns(DataWarning, match=r"I\(\+\)_pk, I\(\+\)_ip, I\(\+\)_rm are all in dataset"):
        stack = convert(sample(*paths))
    assert against_truth(stack, crystal)[0] > 0.95


def test_columns_that_no_name_tells_apart_are_refused(tmp_path, crystal):
    with pytest.raises(InputError, match=r"I\(\+\)_pk, I\(\+\)_ip, I\(\+\)_rm are all in dataset 'native'") as info:
        convert(sample(cad(tmp_path / "all.mtz", crystal, "native")))
    assert "\n" not in str(info.value)


def test_amplitudes_are_taken_as_their_squares(tmp_path, crystal):
    hkl, _, rows = crystal
    datasets = {}
    for name, wavelength in WAVELENGTHS.items():
        labelled = {}
        for sign, (value, sigma) in zip("+-", rows[name].reshape(2, 2, -1), strict=True):
            amplitude = np.sqrt(np.clip(value, 1, None))
            labelled |= {f"F({sign})": ("G", amplitude), f"SIGF({sign})": ("L", sigma / (2 * amplitude))}
        datasets[name] = (wavelength, labelled)
    with pytest.warns(DataWarning, match=r"taken as I = F\^2"):
        stack = convert(sample(write(tmp_path / "f.mtz", hkl, datasets)))
    value, sigma = rows["rm"][:2]
    place = {tuple(index): k for k, index in enumerate(stack.miller_indices.tolist()) if stack.friedel_sign[k] > 0}
    order = [place[tuple(index)] for index in hkl.tolist()]
    bright = value > 1000
    np.testing.assert_allclose(stack.data[2][order][bright], value[bright], rtol=1e-5)
    amplitude = np.sqrt(value[bright])
    small = 2 * (sigma[bright] / (2 * amplitude)) ** 4
    np.testing.assert_allclose(stack.data_errors[2][order][bright], np.sqrt(sigma[bright] ** 2 + small), rtol=1e-4)
    assert against_truth(stack, crystal)[0] > 0.95


@pytest.mark.parametrize("count", [1, 2])
def test_sad_and_two_wavelengths_are_told_what_mad_needs(tmp_path, crystal, count):
    hkl, _, rows = crystal
    few = {name: (WAVELENGTHS[name], intensities(rows[name])) for name in list(WAVELENGTHS)[:count]}
    with pytest.raises(InputError, match=rf"at least 3 distinct photon energies.*{count} came.*SAD"):
        convert(sample(write(tmp_path / "few.mtz", hkl, few)))


def test_means_over_friedel_mates_are_refused_by_name(tmp_path, crystal):
    hkl, _, rows = crystal
    mean = {"IMEAN": ("J", rows["pk"][0]), "SIGIMEAN": ("Q", rows["pk"][1])}
    with pytest.raises(InputError, match="IMEAN are means over Friedel mates"):
        convert(sample(write(tmp_path / "mean.mtz", hkl, {"pk": (0.98, mean)})))
