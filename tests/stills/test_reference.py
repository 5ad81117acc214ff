"""Reference intensities: every kind of file gives the same ones; another crystal's are refused in one line."""

import gemmi
import numpy as np
import pytest

from madpipe.base.errors import InputError
from madpipe.stills.measured.model import _of_atoms
from madpipe.stills.measured.reference import (
    in_asymmetric_unit,
    read_reference,
    require_overlap,
    require_same_crystal,
)
from madpipe.stills.symmetry import crystal_of_cell

CELL = np.array([40.0, 50.0, 60.0, 90.0, 90.0, 90.0])
GROUP = "P 21 21 21"
HKL = np.array([[1, 2, 3], [2, 2, 4], [3, 1, 5], [0, 2, 4]])
INTENSITY = np.array([100.0, 400.0, 900.0, 25.0])
SIGMA = np.array([1.0, 2.0, 3.0, 0.5])


def mtz(path, columns, hkl=HKL, group=GROUP):
    """An MTZ of given columns: name -> (type, values)."""
    file = gemmi.Mtz(with_base=True)
    file.spacegroup = gemmi.SpaceGroup(group)
    file.set_cell_for_all(gemmi.UnitCell(*CELL))
    file.add_dataset("x")
    for name, (kind, _) in columns.items():
        file.add_column(name, kind)
    table = np.concatenate([hkl, *(np.asarray(values)[:, None] for _, values in columns.values())], axis=1)
    file.set_data(table.astype(np.float32))
    file.write_to_file(str(path))
    return path


def as_dictionary(reference):
    return {tuple(hkl): value for hkl, value in zip(reference.indices.tolist(), reference.intensity, strict=True)}


EXPECTED = {tuple(hkl): value for hkl, value in zip(HKL.tolist(), INTENSITY, strict=True)}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"F": ("F", 7 * np.ones(4)), "IMEAN": ("J", INTENSITY), "SIGIMEAN": ("Q", SIGMA)}, "IMEAN"),
        ({"I": ("J", INTENSITY), "SIGI": ("Q", SIGMA)}, "I"),
        ({"FP": ("F", np.sqrt(INTENSITY)), "SIGFP": ("Q", SIGMA)}, "FP, squared"),
        (
            {
                "I(+)": ("K", INTENSITY + 5),
                "SIGI(+)": ("M", SIGMA),
                "I(-)": ("K", INTENSITY - 5),
                "SIGI(-)": ("M", SIGMA),
            },
            "I(+) and I(-)",
        ),
        ({"FC": ("F", np.sqrt(INTENSITY)), "PHIC": ("P", SIGMA)}, "FC, squared"),
        ({"strange": ("J", INTENSITY)}, "strange"),
    ],
)
def test_mtz_columns_are_found_in_their_order(tmp_path, columns, told):
    reference = read_reference(mtz(tmp_path / "a.mtz", columns))
    assert as_dictionary(reference) == pytest.approx(EXPECTED, rel=1e-6)  # single precision of MTZ
    assert reference.told == f"a.mtz: {told}"
    assert np.isfinite(reference.sigma).all() == any(name.startswith("SIG") for name in columns)
    assert np.allclose(reference.cell, CELL)
    assert reference.space_group == GROUP


def test_standard_deviations_of_amplitudes_become_those_of_intensities(tmp_path):
    columns = {"F": ("F", np.sqrt(INTENSITY)), "SIGF": ("Q", SIGMA)}
    reference = read_reference(mtz(tmp_path / "a.mtz", columns))
    assert sorted(reference.sigma) == pytest.approx(sorted(2 * np.sqrt(INTENSITY) * SIGMA), rel=1e-6)


def test_a_column_can_be_named(tmp_path):
    columns = {"IMEAN": ("J", 3 * INTENSITY), "other": ("J", INTENSITY), "PHI": ("P", INTENSITY)}
    path = mtz(tmp_path / "a.mtz", columns)
    assert as_dictionary(read_reference(path, "other")) == pytest.approx(EXPECTED, rel=1e-6)
    with pytest.raises(InputError, match="IMEAN, other"):
        read_reference(path, "third")
    with pytest.raises(InputError, match="type P"):
        read_reference(path, "PHI")
    with pytest.raises(InputError, match="intensities or amplitudes"):
        read_reference(mtz(tmp_path / "b.mtz", {"PHI": ("P", INTENSITY)}))
    with pytest.raises(InputError, match="finite intensities"):
        read_reference(mtz(tmp_path / "c.mtz", {"I": ("J", np.full(4, np.nan))}))


def test_equivalent_reflections_are_averaged_by_their_variances(tmp_path):
    hkl = np.array([[1, 2, 3], [-1, -2, 3], [1, -2, -3], [-1, -2, -3], [0, 0, 3]])  # the last is absent in P212121
    value, sigma = np.array([10.0, 20, 30, 40, 7]), np.array([1.0, 2, 1, 2, 1])
    columns = {"I": ("J", value), "SIGI": ("Q", sigma)}
    reference = read_reference(mtz(tmp_path / "a.mtz", columns, hkl))
    weight = 1 / sigma[:4] ** 2
    assert reference.indices.tolist() == [[1, 2, 3]]
    assert reference.intensity[0] == pytest.approx((weight * value[:4]).sum() / weight.sum(), rel=1e-6)
    assert reference.sigma[0] == pytest.approx(1 / np.sqrt(weight.sum()), rel=1e-6)


def cif(path, items, rows, cell=True):
    head = "data_x\n"
    if cell:
        names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
        head += "".join(f"_cell.{name} {value}\n" for name, value in zip(names, CELL, strict=True))
        head += f"_symmetry.space_group_name_H-M '{GROUP}'\n"
    names = "".join(f"_refln.{name}\n" for name in ("index_h", "index_k", "index_l", *items))
    body = "".join(" ".join(f"{one:g}" for one in row) + "\n" for row in rows)
    path.write_text(f"{head}loop_\n{names}{body}")
    return path


def test_structure_factors_in_mmcif(tmp_path):
    rows = np.column_stack([HKL, INTENSITY, SIGMA])
    reference = read_reference(cif(tmp_path / "a.cif", ("intensity_meas", "intensity_sigma"), rows))
    assert as_dictionary(reference) == pytest.approx(EXPECTED)
    rows = np.column_stack([HKL, np.sqrt(INTENSITY), SIGMA])
    reference = read_reference(cif(tmp_path / "b.cif", ("F_meas_au", "F_meas_sigma_au"), rows))
    assert as_dictionary(reference) == pytest.approx(EXPECTED)
    with pytest.raises(InputError, match="intensity_meas"):
        read_reference(cif(tmp_path / "c.cif", ("status", "fom"), rows), "intensity_meas")
    (tmp_path / "d.cif").write_text("data_x\n_cell.length_a 4\n")
    with pytest.raises(InputError, match="_refln"):
        read_reference(tmp_path / "d.cif")


SHELX = "".join(f"{h:4d}{k:4d}{m:4d}{i:8.2f}{s:8.2f}\n" for (h, k, m), i, s in zip(HKL, INTENSITY, SIGMA, strict=True))
CRYSTFEL = (
    "CrystFEL reflection list version 2.0\nSymmetry: 222\n   h    k    l          I    phase   sigma(I)   nmeas\n"
    + "".join(f"{h} {k} {m} {i} - {s} 9\n" for (h, k, m), i, s in zip(HKL, INTENSITY, SIGMA, strict=True))
    + "End of reflections\n"
)


@pytest.mark.parametrize(
    "text", [SHELX, SHELX + "   0   0   0    0.00    0.00\n   9   9   9    1.00    1.00\n", CRYSTFEL]
)
def test_text(tmp_path, text):
    (tmp_path / "a.hkl").write_text(text)
    reference = read_reference(tmp_path / "a.hkl", cell=CELL, space_group="P212121")
    assert as_dictionary(reference) == pytest.approx(EXPECTED)
    assert sorted(reference.sigma) == pytest.approx(sorted(SIGMA))
    with pytest.raises(InputError, match="needs a cell"):
        read_reference(tmp_path / "a.hkl", space_group="P212121")
    with pytest.raises(InputError, match="needs a space group"):
        read_reference(tmp_path / "a.hkl", cell=CELL)


def test_files_that_are_none_of_these_are_refused(tmp_path):
    (tmp_path / "a.mtz").write_text("no")
    (tmp_path / "a.hkl").write_text("no reflections here\n")
    (tmp_path / "b.hkl").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "c.hkl").write_text("1.5 2 3 100 1\n")
    (tmp_path / "a.pdb").write_text("HEADER\n")
    for name, said in (
        ("a.mtz", "MTZ"),
        ("a.hkl", "lines of"),
        ("b.hkl", "convert"),
        ("c.hkl", "whole"),
        ("a.pdb", "CRYST1"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            read_reference(tmp_path / name, cell=CELL, space_group=GROUP)
        assert "\n" not in str(caught.value)


def pdb(path, atoms):
    """A model of carbon atoms."""
    lines = [f"CRYST1{CELL[0]:9.3f}{CELL[1]:9.3f}{CELL[2]:9.3f}  90.00  90.00  90.00 {GROUP:<11s}"]
    for number, (x, y, z) in enumerate(atoms, 1):
        lines.append(f"HETATM{number:5d}  C   UNK A{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 20.00           C")
    path.write_text("\n".join([*lines, "END"]) + "\n")
    return path


def test_a_model_gives_the_sum_over_its_atoms(tmp_path):
    """The atoms' part is the direct sum, to what gemmi's grid leaves; the solvent acts at low resolution alone."""
    atoms = np.random.default_rng(2).uniform(0, 20, (12, 3))
    path = pdb(tmp_path / "a.pdb", atoms)
    reference = read_reference(path, resolution=2.0)
    indices, found = _of_atoms(gemmi.read_structure(str(path)), 2.0)
    table = gemmi.Element("C").it92
    s_squared = (np.square(indices / CELL[:3])).sum(axis=1)
    scattering = np.array([table.calculate_sf(float(one) / 4) for one in s_squared]) * np.exp(-20.0 * s_squared / 4)
    total = np.zeros(len(s_squared), dtype=complex)
    for operation in gemmi.SpaceGroup(GROUP).operations().sym_ops:
        rotation, shift = np.array(operation.rot) / operation.DEN, np.array(operation.tran) / operation.DEN
        places = (np.round(atoms, 3) / CELL[:3]) @ rotation.T + shift
        total += np.exp(2j * np.pi * indices @ places.T).sum(axis=1)
    expected = scattering * total
    assert np.abs(found - expected).max() < 5e-3 * np.abs(expected).mean()  # a grid of three points for the resolution
    ours, told = (
        as_dictionary(reference),
        {tuple(hkl): abs(one) ** 2 for hkl, one in zip(indices.tolist(), found, strict=True)},
    )
    fine = [
        hkl for hkl, s in zip(map(tuple, indices.tolist()), s_squared, strict=True) if s > 1 / 2.3**2 and hkl in ours
    ]
    coarse = [
        hkl for hkl, s in zip(map(tuple, indices.tolist()), s_squared, strict=True) if s < 1 / 8**2 and hkl in ours
    ]
    assert np.corrcoef([ours[hkl] for hkl in fine], [told[hkl] for hkl in fine])[0, 1] > 0.98
    # a few atoms in much solvent: holes in it scatter more than they do at low resolution
    assert np.mean([ours[hkl] for hkl in coarse]) > 1.5 * np.mean([told[hkl] for hkl in coarse])
    assert reference.space_group == GROUP
    assert s_squared.max() <= 1 / 2.0**2 + 1e-6


def test_another_crystal_is_refused(tmp_path):
    reference = read_reference(mtz(tmp_path / "a.mtz", {"I": ("J", INTENSITY)}))
    require_same_crystal(reference, crystal_of_cell(CELL * np.array([1.015, 0.99, 1, 1, 1, 1]), GROUP))
    for cell, group, said in (
        (CELL * np.array([1.03, 1, 1, 1, 1, 1]), GROUP, "3 % off"),
        (CELL[[1, 2, 0, 3, 4, 5]], GROUP, "fits with axes c, a, b"),
        (CELL, "P 21 21 2", "space group P 21 21 2"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            require_same_crystal(reference, crystal_of_cell(cell, group))
        assert "\n" not in str(caught.value)
    require_overlap(reference, HKL[:1])
    with pytest.raises(InputError, match="in common"):
        require_overlap(reference, np.array([[9, 9, 9]]))


def test_the_asymmetric_unit_is_that_of_the_reference(tmp_path):
    """All that symmetry and Friedel's law make equal becomes one; gemmi merges it to the same."""
    generator = np.random.default_rng(4)
    hkl = generator.integers(-6, 7, (50, 3))
    hkl = hkl[hkl.any(axis=1)]
    for group in ("P 41 21 2", "P 61", "C 1 2 1"):
        found = in_asymmetric_unit(hkl, group)
        for operation in gemmi.SpaceGroup(group).operations().sym_ops:
            turned = hkl @ (np.array(operation.rot) // operation.DEN)
            assert (in_asymmetric_unit(-turned, group) == found).all()
        unit = gemmi.ReciprocalAsu(gemmi.SpaceGroup(group))
        assert all(unit.is_in(one) for one in found.tolist())
