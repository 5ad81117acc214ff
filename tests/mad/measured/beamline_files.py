"""Small files as other programs write them, for the tests of readers and of convert."""

import gemmi
import h5py
import numpy as np

COUNTS = np.arange(24, dtype=np.uint16).reshape(3, 2, 4)
JOULE = 1.602176634e-19  # per eV, exact


def write_mtz(path, datasets=(("peak", 0.979),), labels=("I(+)", "SIGI(+)", "I(-)", "SIGI(-)"), rows=None, group="I 4"):
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup(group)
    mtz.set_cell_for_all(gemmi.UnitCell(113.9, 113.9, 32.5, 90, 90, 90))
    for name, wavelength in datasets:
        dataset = mtz.add_dataset(name)
        dataset.wavelength = wavelength
        for label in labels:
            mtz.add_column(label, "M" if label.startswith("SIG") else "K", dataset_id=dataset.id)
    general, centric, alone = [1, 0, 3, 10, 1, 11, 2], [1, 1, 0, 5, 1, 5, 1], [2, 1, 1, 7, 1, np.nan, np.nan]
    rows = rows if rows is not None else [general, centric, alone]
    wide = [[*row[:3], *(row[3:] * len(datasets))] for row in rows]
    mtz.set_data(np.array(wide, dtype=np.float32))
    mtz.write_to_file(str(path))
    return path


def write_cxi(path, energy=8333.0 * JOULE, units=None, data=COUNTS, extra=None):
    with h5py.File(path, "w") as handle:
        handle["entry_1/data_1/data"] = data
        handle["entry_1/instrument_1/source_1/energy"] = energy
        if units:
            handle["entry_1/instrument_1/source_1/energy"].attrs["units"] = units
        for name, value in (extra or {}).items():
            handle[name] = value
    return path
