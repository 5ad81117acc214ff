"""Strange measurements: what a file may hold instead of what it should, for the tests that nothing ends in a trace."""

import gemmi
import h5py
import numpy as np
from hypothesis import strategies as st

ENERGY = np.array([8313.0, 8328.0, 8333.0, 8348.0])
ENERGY_COUNT = len(ENERGY)
AXIS = np.linspace(-0.01, 0.01, 5)
COUNTS = np.random.default_rng(1).poisson(40.0, (ENERGY_COUNT, 5, 5)).astype(np.int64)
GOOD = {
    "intensity": COUNTS,
    "energy_ev": ENERGY,
    "f0": 24.0,
    "qy": AXIS,
    "qx": AXIS,
    "element": "Ni",
    "f_prime": np.array([-5.8, -7.3, -9.0, -6.0]),
    "f_double_prime": np.array([0.5, 0.6, 2.1, 3.8]),
}
MORE = {
    "mask": np.zeros((5, 5), dtype=np.uint32),
    "background": np.full(COUNTS.shape, 2.0),
    "data_errors": np.sqrt(COUNTS + 1.0),
    "monitor": np.array([1.0, 1.1, 0.9, 1.0]),
    "monitor_sigma": np.full(ENERGY_COUNT, 0.01),
    "q_bragg": np.array([0.1, 3.0]),
    "unit_cell": np.array([3.5, 3.5, 3.5, 90.0, 90.0, 90.0]),
    "edge": "K",
    "title": "a run",
    "name": "run",
    "chemical_formula": "Ni3Fe",
}
SIGNS = np.where(np.arange(25) % 2, -1.0, 1.0)
INDICES = np.column_stack([np.arange(25) // 2 + 1, np.ones(25), np.ones(25)])
NUMBERS = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, 3.0, np.nan, np.inf, -np.inf, 1e-300, 5e-324, 1e-30, 1e18, 1e19, 1e300, -1e300),
    *(1e-9, 65535.0, 4294967295.0, 8.333, 1e-15, 12.4, 360.0, 2.0**63),
]
DTYPES = ["f8", "f4", "f2", "i8", "i1", "u1", "u2", "u8", "?", "c16", "S3", "U3", "O", "M8[s]", ">f8", "f8"]
TEXTS = ["", "Ni", "Xx", "a\0b", "a\nb", "\x1b[2J", "é" * 300, "$x_{", "<script>", "../../x", "nan", "\ud800"]


@st.composite
def odd_arrays(draw, good):
    """What may stand in the place of a good array: odd values, type or shape, all the same, a text, nothing."""
    array = np.asarray(good)
    kind = draw(st.sampled_from(["values", "values", "all", "scaled", "type", "shape", "text", "scalar"]))
    if kind == "text" or array.dtype.kind == "U":
        return draw(st.sampled_from(TEXTS))
    if kind == "scalar":
        return np.array(draw(st.sampled_from(NUMBERS)))
    if kind == "type":
        return _cast(array, draw(st.sampled_from(DTYPES)))
    if kind == "shape":
        shape = draw(st.lists(st.integers(0, 6), max_size=4))
        return np.resize(array, shape) if array.size and np.prod(shape, dtype=int) else np.zeros(shape)
    with np.errstate(all="ignore"):
        if kind == "scaled":
            return array.astype(float) * draw(st.sampled_from(NUMBERS))
    if kind == "all":
        return np.full(array.shape, draw(st.sampled_from(NUMBERS)))
    changed = array.astype(float).copy().reshape(-1)
    for place in draw(st.lists(st.integers(0, changed.size - 1), min_size=1, max_size=4)):
        changed[place] = draw(st.sampled_from(NUMBERS))
    return changed.reshape(array.shape)


def _cast(array, dtype):
    """An array as another type."""
    try:
        with np.errstate(all="ignore"):
            return array.astype(dtype)
    except (TypeError, ValueError):
        return array.astype(object)


@st.composite
def measurements(draw):
    """Fields by numpy's names, most of them good."""
    fields = dict(GOOD)
    for name in draw(st.lists(st.sampled_from(list(MORE)), unique=True, max_size=3)):
        fields[name] = MORE[name]
    if draw(st.booleans()):
        del fields["f_prime"], fields["f_double_prime"]
    if draw(st.integers(0, 3)) == 0:  # a list of reflections
        fields = {name: value for name, value in fields.items() if name not in ("qy", "qx", "mask", "q_bragg")}
        fields = {name: _listed(value) for name, value in fields.items()}
        fields |= {"friedel_sign": SIGNS, "miller_indices": INDICES}
    for name in draw(st.lists(st.sampled_from(list(fields)), unique=True, max_size=2)):
        odd = draw(st.none() | odd_arrays(fields[name]))
        if odd is None:
            del fields[name]
        else:
            fields[name] = odd
    return fields


def _listed(value):
    """An array of points in a row."""
    return value.reshape(ENERGY_COUNT, -1) if np.ndim(value) == 3 else value


def write_npz(path, fields, _):
    """A numpy archive."""
    np.savez(path, **fields)


PLACES = {
    "intensity": "entry_1/data_1/data",
    "energy_ev": "entry_1/data_1/energy",
    **{name: f"entry_1/data_1/{name}" for name in ("qy", "qx", "mask", "background", "data_errors", "q_bragg")},
    **{name: f"entry_1/anomalous/{name}" for name in ("f0", "f_prime", "f_double_prime", "element", "edge")},
    "title": "entry_1/title",
    "name": "entry_1/sample_1/name",
    "monitor": "entry_1/instrument_1/monitor_1/data",
    "unit_cell": "entry_1/sample_1/unit_cell",
    "friedel_sign": "entry_1/anomalous/friedel_sign",
}
UNITS = ["eV", "keV", "J", "1/angstrom", "1/nm", "", "parsec", 3, np.array(["eV"], dtype="S2"), h5py.Empty("f4")]


def write_hdf5(path, fields, draw):
    """A stack as ours, or as others have it, with attributes of any kind."""
    with h5py.File(path, "w") as file:
        put(file, fields, draw(st.booleans()))
        groups = [name for name in ("entry_1", "entry_1/data_1") if isinstance(file.get(name), h5py.Group)]
        names = list(file["entry_1/data_1"]) if len(groups) > 1 else []
        for name in draw(st.lists(st.sampled_from(names), max_size=2)) if names else []:
            file["entry_1/data_1"][name].attrs["units"] = draw(st.sampled_from(UNITS))
        for group in groups:
            if draw(st.integers(0, 3)) == 0:
                file[group].attrs[draw(st.sampled_from(["signal", "default", "axes"]))] = draw(st.sampled_from(UNITS))


def put(file, fields, is_ours):
    """Put fields into an HDF5 file; what it cannot hold leaves an empty data set."""
    for name, value in fields.items():
        place = PLACES.get(name, f"entry_1/data_1/{name}")
        if is_ours or "anomalous" not in place:
            try:
                file[place] = value
            except (TypeError, UnicodeEncodeError, ValueError):
                file[place] = h5py.Empty("f4")
    if is_ours:
        for name, text in {
            "anomalous/table": "a table",
            "anomalous/edge": "K",
            "title": "a",
            "sample_1/name": "b",
        }.items():
            if f"entry_1/{name}" not in file:
                file[f"entry_1/{name}"] = text


def write_good(path):
    """A measurement that is as it should be."""
    if path.suffix == ".npz":
        np.savez(path, **GOOD)
        return
    with h5py.File(path, "w") as file:
        put(file, GOOD, is_ours=True)


WORDS = ["nan", "inf", "-1", "0", "1e300", "x", "", "#", "\0", "8333", "1,5", "1e-300", "é", "data", "energy"]
NANOMAD = """title a run
element Ni
edge K
cell 3.524 3.524 3.524 90 90 90
energies 3
energy 8313 -5.794 0.514
energy 8333 -9.047 2.086
energy 8348 -6.042 3.848
data 3
1 1 1 1043 32.3 987 31.4 1101 33.2
2 1 1 43 6.3 87 9.4 101 9.2
1.02 1 1 -1 -1 12 3.5 nan nan
"""
SCALEPACK = """    1
 -987
   113.949   113.949    32.474    90.000    90.000    90.000 i4
   1   0   3   817.5   248.0    16.7   890.1
   2  -1   5  1234.5    12.3    10.0     1.0
   4   2   0 12075.7  1816.5
"""
CURVE = "".join(f"{50 + 0.01 * k:.2f} {100 + 9900 * (abs(k - 20) < 2)}\n" for k in range(40))


@st.composite
def texts(draw, good):
    """A text with some of its words replaced, lines lost, repeated or cut, in bytes that need not be UTF-8."""
    lines = good.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["word", "word", "drop", "repeat", "cut", "swap"]))
        if kind == "word":
            words = lines[place].split(" ")
            words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS))
            lines[place] = " ".join(words)
        elif kind == "drop" and len(lines) > 1:
            del lines[place]
        elif kind == "repeat":
            lines.insert(place, lines[place])
        elif kind == "cut":
            lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
        else:
            other = draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], lines[place]
    return "".join(lines).encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"])), "replace")


def write_mtz(path, draw):
    """A reflection list of three wavelengths, some of it odd."""
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup("I 4")
    mtz.set_cell_for_all(gemmi.UnitCell(113.9, 113.9, 32.5, 90, 90, 90))
    labels = ["I(+)", "SIGI(+)", "I(-)", "SIGI(-)"]
    labels = draw(st.sampled_from([labels, labels, labels[:2], ["IMEAN", "SIGIMEAN"], [*labels, "I(+)"]]))
    waves = [0.979, 0.9793, 0.95]
    if draw(st.integers(0, 2)) == 0:
        waves[draw(st.integers(0, 2))] = draw(st.sampled_from([0.979, 0.0, -1.0, np.nan, np.inf, 1e30]))
    for number, wavelength in enumerate(waves):
        dataset = mtz.add_dataset(f"w{number}")
        dataset.wavelength = wavelength
        for label in labels:
            mtz.add_column(label, "M" if label.startswith("SIG") else "K", dataset_id=dataset.id)
    rows = np.array([[1, 0, 3], [1, 1, 0], [2, 1, 1], [3, 1, 0]], dtype=float)
    width = len(labels) * len(waves)
    values = np.tile(np.array([[100.0, 10.0], [50.0, 7.0], [20.0, 5.0], [9.0, 3.0]]), (1, (width + 1) // 2))[:, :width]
    values[:, ::4] *= 1.1
    for _ in range(draw(st.integers(0, 6))):
        odd = draw(st.sampled_from([10.0, 100.0, 0.0, -5.0, np.nan, np.inf, 1e30]))
        values[draw(st.integers(0, 3)), draw(st.integers(0, width - 1))] = odd
    mtz.set_data(np.column_stack([rows, values]).astype(np.float32))
    mtz.write_to_file(str(path))


def damaged(draw, content):
    """Bytes with some flipped, lost at the end, or doubled."""
    content = bytearray(content)
    kind = draw(st.sampled_from(["flip", "flip", "cut", "insert"]))
    if kind == "cut":
        return bytes(content[: draw(st.integers(0, len(content)))])
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, len(content) - 1))
        if kind == "flip":
            content[place] ^= 1 << draw(st.integers(0, 7))
        else:
            content[place:place] = b"\xff\0"
    return bytes(content)
