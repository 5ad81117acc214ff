"""What is odd about data as they come: mended where that is certain, said in one line, and silent on good data."""

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning, heard
from madpipe.mad.config import FitConfig, MeasuredSample, SimulatedSample
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.measured import counts, points
from madpipe.mad.measured.axes import require_even_axes
from madpipe.mad.measured.checks import checked_scales, screened
from madpipe.mad.measured.convert import convert
from madpipe.mad.measured.energies import energies_in_ev
from madpipe.mad.measured.spectrum import tell_of_table
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.atoms import dispersion_correction
from madpipe.physics.crystal import HC

COPPER = {
    "element": "Cu",
    "partner": "Au",
    "energies_ev": (8880.0, 8930.0, 8960.0, 9000.0, 9050.0, 9100.0),  # two sides, none within 15 eV of 8979 eV
    "lattice_angstrom": 3.75,
}


@cache
def stack_of(**changes):
    sample = SimulatedSample(**{"dimensions": 2, "grid": 48, "photons": 1e8, **COPPER, **changes})
    return simulate(sample, torch.Generator().manual_seed(3))


def arrays_of(stack, **changes):
    """What a beamline's .npz of the stack holds."""
    axes = {name: getattr(stack, name) for name in stack.axes}
    given = {"intensity": stack.data, "energy_ev": stack.energy, "q_bragg": stack.q_bragg, "element": "Cu", **axes}
    return {**given, **changes}


def converted(tmp_path, arrays, **given):
    """The stack, and what was said."""
    np.savez(tmp_path / "run.npz", **{name: value for name, value in arrays.items() if value is not None})
    with heard() as said, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = convert(MeasuredSample(path=(str(tmp_path / "run.npz"),), **given))
    return stack, said


def refused(tmp_path, match, arrays, **given):
    with pytest.raises(InputError, match=match) as info:
        converted(tmp_path, arrays, **given)
    assert "\n" not in str(info.value)


def resonant_over_truth(stack, truth):
    """Median |F_A| over the truth, in points above 1000 photons."""
    fit = fit_stack(replace(stack, truth=None), FitConfig())
    bright = (truth.data.sum(0) > 1000 * len(truth.energy)) & stack.good.all(0)
    return float(np.median(fit.f_resonant[bright] / np.abs(truth.truth.f_resonant[bright])))


# --- good data: not a word


@pytest.mark.parametrize(
    "changes",
    [
        {"photons": 1e3},
        {"photons": 1e5},
        {"photons": 1e7, "background": 3.0},
        {"photons": 1e9, "oversampling": 2.0, "strain_phase_rms": 0.0, "misfit": 0.0, "composition": "pure_resonant"},
        {"photons": 1e11},
        {"beam_stop_radius": 3.0},
        {"gap_width": 3},
        {"composition": "no_resonant"},
        {"oversampling": 6.0, "shape": "smooth"},
        {"scale_jitter": 0.01},
        {"dimensions": 3, "grid": 24, "photons": 1e6},
        {"dimensions": 3, "grid": 24, "photons": 1e9, "oversampling": 2.0, "beam_stop_radius": 2.0},
    ],
)
def test_good_data_pass_without_a_word(tmp_path, changes):
    made = stack_of(**changes)
    stack, said = converted(tmp_path, arrays_of(made, mask=made.mask))
    assert said == []
    np.testing.assert_array_equal(stack.data, made.data)
    np.testing.assert_array_equal(stack.good, made.good)
    assert stack.warnings is None


# --- energies

AT_EDGE = [  # element, edge, energies
    ("Ni", "K", (8313.0, 8333.0, 8348.0)),
    ("S", "K", (2465.0, 2472.0, 4400.0)),  # with a remote wavelength
    ("U", "L3", (17100.0, 17166.0, 17500.0)),
    ("Se", "K", (12656.0, 12659.0, 13900.0)),
    ("Pt", "L3", (11564.0, 11500.0, 13300.0)),
]


@pytest.mark.parametrize(("element", "edge", "energies"), AT_EDGE)
def test_energies_at_the_edge_pass_in_any_unit(element, edge, energies):
    energies = np.array(energies)
    with heard() as said:
        np.testing.assert_array_equal(energies_in_ev(energies, element, edge), energies)
    assert said == []
    units = {
        "keV": energies / 1e3,
        "J": energies * 1.602176634e-19,
        "wavelengths in angstrom": HC / energies,
        "wavelengths in nm": HC / energies / 10,
        "wavelengths in m": HC / energies / 1e10,
        "eV, not J": energies / 1.602176634e-19,
    }
    for unit, values in units.items():
        with pytest.warns(match=f"are taken as {unit}: only so they lie at the {element} {edge} edge"):
            np.testing.assert_allclose(energies_in_ev(values, element, edge), energies, rtol=1e-12)


def test_energies_that_lie_at_no_edge_or_in_two_units_are_refused():
    with pytest.raises(InputError, match=r"Ni K edge, 8333 eV, are required.* 10\.1 to 10\.3 came; give them in eV"):
        energies_in_ev((10.1, 10.2, 10.3), "Ni", "K")
    with pytest.raises(InputError, match="keV or wavelengths in angstrom: give them in eV"):
        energies_in_ev((3.53, 3.5375, 3.55), "Cd", "L3")  # alike at 3.52
    with pytest.raises(InputError, match=r"lie at the Yb L3 edge, 8944 eV, as keV"):
        energies_in_ev((8.93, 8.944, 8.95), "Yb", "K")
    with pytest.raises(InputError, match="above zero"):
        energies_in_ev((8333.0, -1.0, 8348.0), "Ni", "K")


def test_odd_energies_are_told():
    with pytest.raises(InputError, match=r"about the Ni K edge, 8333 eV, are required; 83180 eV, far from it"):
        energies_in_ev((8313.0, 83180.0, 8348.0), "Ni", "K")
    with pytest.warns(match=r"83180 eV, far from it .* f', f'' given with them are used"):
        energies_in_ev((8313.0, 83180.0, 8348.0), "Ni", "K", known_dispersion=True)
    with pytest.warns(match=r"lie at the Yb L3 edge, 8944 eV, not at the Yb K edge.* --edge L3"):
        energies_in_ev((8930.0, 8944.0, 8950.0), "Yb", "K")
    with pytest.warns(match="f', f'' given with them are used"):
        energies_in_ev((1.0, 2.0, 3.0), "Ni", "K", known_dispersion=True)


def test_the_right_answer_comes_of_energies_in_kev(tmp_path):
    made = stack_of()
    stack, said = converted(tmp_path, arrays_of(made, energy_ev=made.energy / 1e3))
    assert [line.split(":")[0] for line in said] == ["energies 8.88 to 9.1 are taken as keV"]
    np.testing.assert_allclose(stack.energy, made.energy, rtol=1e-12)
    assert resonant_over_truth(stack, made) == pytest.approx(1.0, abs=0.02)
    stack, said = converted(tmp_path, arrays_of(made, energy_ev=None), energies_ev=tuple(HC / made.energy))
    assert "wavelengths in angstrom" in said[0]
    np.testing.assert_allclose(stack.energy, made.energy, rtol=1e-12)


def test_energies_closer_than_a_monochromator_resolves_are_told(tmp_path):
    _, said = converted(tmp_path, arrays_of(stack_of(), energy_ev=8930 + np.arange(6) / 10))
    assert any("fewer than three differ by more than a monochromator resolves" in line for line in said)


# --- q


def test_q_as_grids_is_taken_whichever_index_it_runs_along(tmp_path):
    made = stack_of()
    qy, qx = np.meshgrid(made.qy, made.qx, indexing="ij")
    turned = {"intensity": made.data.transpose(0, 2, 1), "qy": qy.T, "qx": qx.T}
    sparse = {"qy": made.qy[:, None], "qx": made.qx[None]}
    falling = {"intensity": made.data[:, ::-1], "qy": qy[::-1], "qx": qx[::-1]}
    for changes in ({"qy": qy, "qx": qx}, {"qy": qy.astype("f4"), "qx": qx}, turned, sparse, falling):
        stack, said = converted(tmp_path, arrays_of(made, **changes))
        assert said == []
        np.testing.assert_array_equal(stack.data, made.data)
        np.testing.assert_allclose(stack.qy, made.qy, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(stack.qx, made.qx, rtol=1e-6, atol=1e-9)
    refused(tmp_path, "qy of every point must be that of an orthogonal grid", arrays_of(made, qy=qy + qx / 5, qx=qx))
    refused(tmp_path, "must run along an index each", arrays_of(made, qy=qx, qx=qx))


def test_grids_of_a_volume_and_masks_go_with_it(tmp_path):
    made = stack_of(dimensions=3, grid=24, photons=1e7)
    mask = np.zeros(made.shape, dtype=np.uint8)
    mask[3, 4, 5] = 1
    grids = np.meshgrid(made.qz, made.qy, made.qx, indexing="ij")
    order = (2, 0, 1)
    changes = {name: grid.transpose(order) for name, grid in zip(("qz", "qy", "qx"), grids, strict=True)}
    data = made.data.transpose(0, 3, 1, 2)
    stack, said = converted(tmp_path, arrays_of(made, intensity=data, mask=mask.transpose(order), **changes))
    assert said == []
    np.testing.assert_array_equal(stack.data, made.data)
    np.testing.assert_array_equal(np.argwhere(stack.mask), [[3, 4, 5]])


def test_falling_axes_are_turned_with_all_that_has_a_value_per_point(tmp_path):
    made = stack_of()
    mask = np.zeros(made.shape, dtype=np.uint8)
    mask[1, 2] = 1
    down = {"intensity": made.data[:, ::-1], "qy": made.qy[::-1], "mask": mask[::-1], "f0": made.f0[::-1]}
    stack, said = converted(tmp_path, arrays_of(made, **down))
    assert said == []
    np.testing.assert_array_equal(stack.data, made.data)
    np.testing.assert_array_equal(stack.f0, made.f0)
    np.testing.assert_array_equal(np.argwhere(stack.mask), [[1, 2]])
    refused(tmp_path, "qx must rise, or fall", arrays_of(made, qx=np.roll(made.qx, 5)))


def test_absolute_q_is_counted_from_the_bragg_peak(tmp_path):
    made = stack_of()
    absolute = {"qy": made.qy + made.q_bragg[0]}
    stack, (said,) = converted(tmp_path, arrays_of(made, **absolute))
    assert "taken as absolute" in said
    np.testing.assert_allclose(stack.qy, made.qy, atol=1e-12)
    assert resonant_over_truth(stack, made) == pytest.approx(1.0, abs=0.02)
    stack, (said,) = converted(tmp_path, arrays_of(made, **absolute, q_bragg=None))
    assert "no q_bragg came" in said
    np.testing.assert_allclose(stack.f0, made.f0, rtol=1e-3)  # of xraylib's table at a point half a step away
    refused(tmp_path, "holds neither 0 nor q_bragg there", arrays_of(made, qy=made.qy + 1.0))


def test_a_momentum_transfer_beyond_backscattering_is_refused(tmp_path):
    made = stack_of()
    refused(tmp_path, r"\|q_bragg\| = 29.02 came; 2.9 if it is in 1/nm", arrays_of(made, q_bragg=made.q_bragg * 10))
    refused(tmp_path, "if it is in 1/m: give qy in 1/angstrom", arrays_of(made, qy=made.qy * 1e10, qx=made.qx * 1e10))
    _, said = converted(tmp_path, arrays_of(made, qy=made.qy * 7 / made.qy.max()))
    assert any("times |q_bragg|" in line for line in said)


def test_uneven_axes_are_told_and_refused_for_retrieval(tmp_path):
    made = stack_of()
    uneven = made.qx + 0.3 * np.ptp(made.qx) * (made.qx / np.ptp(made.qx)) ** 2
    stack, (said,) = converted(tmp_path, arrays_of(made, qx=uneven))
    assert said.startswith("qx is uneven, off an even grid by")
    with pytest.raises(InputError, match="phase retrieval needs regular q axes that rise; steps of qx"):
        require_even_axes(stack)
    with pytest.raises(InputError, match="steps of qy run from"):
        require_even_axes(replace(made, qy=made.qy[::-1]))
    angles = np.linspace(0.19, 0.21, len(made.qx))  # even angles are no even q, but nearly
    require_even_axes(replace(made, qx=np.sin(angles)))


# --- counts


@pytest.mark.parametrize("changes", [{"photons": 1e4}, {}, {"photons": 1e11}, {"dimensions": 3, "grid": 24}])
@pytest.mark.parametrize("gain", [0.1, 1.0, 10.0])
def test_the_variance_over_the_mean_is_that_of_the_unit(changes, gain):
    made = stack_of(**changes)
    found = counts.fano(gain * made.data, made.good)
    assert found.value == pytest.approx(gain, rel=0.15)  # a hundred points and more in a bin: 1 / sqrt(100 / 2)
    assert found.is_far == (gain != 1)


def test_three_energies_tell_only_that_intensities_scatter_too_little():
    made = stack_of(energies_ev=(8930.0, 9000.0, 9050.0))
    assert not counts.fano(10.0 * made.data, made.good).is_far  # may be the resonant atoms
    assert not counts.fano(made.data, made.good).is_far
    assert counts.fano(0.03 * made.data, made.good).is_far


def divided(made, by):
    return arrays_of(made, intensity=(made.data / np.reshape(by, (-1, 1, 1))).astype(np.float32))


@pytest.mark.parametrize("unit", [1 / 1_236_640, 0.1, 1 / 7, 0.00646, 30.0])
def test_counts_in_another_unit_are_counts_again(tmp_path, unit):
    made = stack_of()
    stack, (said,) = converted(tmp_path, divided(made, 1 / unit))
    assert said.startswith("intensities are multiples of")
    np.testing.assert_array_equal(stack.data, made.data)
    assert resonant_over_truth(stack, made) == pytest.approx(1.0, abs=0.02)


def test_counts_divided_by_their_monitor_get_it_back(tmp_path):
    made = stack_of()
    monitor = np.array([3e4, 4e4, 5e4, 3.5e4, 8e4, 6e4])
    drawn = np.random.default_rng(1).poisson(made.truth.expected * monitor[:, None, None] / 5e4)
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=drawn / monitor[:, None, None]))
    assert "its inverse, which they were divided by, for the monitor" in said
    np.testing.assert_array_equal(stack.data, drawn)
    np.testing.assert_allclose(stack.monitor / stack.monitor[0], monitor / monitor[0], rtol=1e-4)
    largest = made.data.max((1, 2), keepdims=True)
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=made.data / largest))
    assert stack.monitor is None
    np.testing.assert_array_equal(stack.data, made.data)


def test_intensities_that_are_no_counts_are_told_or_refused(tmp_path):
    made = stack_of()
    flat = made.data * np.random.default_rng(2).normal(1, 0.02, made.shape)  # a flat field: no step any more
    stack, said = converted(tmp_path, arrays_of(made, intensity=flat))
    assert said == []
    half = arrays_of(made, intensity=flat / flat.max() / 2)
    refused(tmp_path, r"largest intensity is 0\.5, .*--counts-per-unit X, about", half)
    for factor in (0.1, 12.0):
        _, (line,) = converted(tmp_path, arrays_of(made, intensity=flat * factor))
        assert "times the variance of photon counts" in line
        assert float(line.split("--counts-per-unit ")[1]) == pytest.approx(1 / factor, rel=0.2)
        stack, said = converted(tmp_path, arrays_of(made, intensity=flat * factor), counts_per_unit=1 / factor)
        assert said == []
        np.testing.assert_allclose(stack.data, flat, rtol=1e-12)
    averaged = (flat[..., 1:] + flat[..., :-1]) / 2 * 0.5
    _, (line,) = converted(tmp_path, arrays_of(made, intensity=averaged, qx=made.qx[1:]))
    assert "scaled, averaged or interpolated" in line


def test_a_constant_that_was_taken_off_is_no_unit():
    values = np.arange(1.0, 50.0) - 0.5
    assert counts.unit_of(values) is None
    assert counts.unit_of(np.arange(1, 50) * 0.25) == pytest.approx(0.25)
    assert counts.unit_of(np.random.default_rng(0).exponential(10, 1000)) is None


def test_errors_that_are_all_zero_are_refused(tmp_path):
    made = stack_of()
    refused(tmp_path, "data_errors must be above 0", arrays_of(made, data_errors=np.zeros(made.data.shape)))


# --- points


def damaged(made, value, *places):
    data = made.data.astype(np.int64)
    for place in places:
        data[place] = value
    return data.astype(np.uint32) if data.max() < 2**32 and data.min() >= 0 else data


MIDDLE = (slice(None), slice(22, 27), slice(22, 27))


@pytest.mark.parametrize("photons", [1e6, 1e8])
def test_a_beam_stop_of_zeros_is_masked_and_the_rest_is_right(tmp_path, photons):
    made = stack_of(photons=photons)
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=damaged(made, 0, MIDDLE)))
    assert said.startswith("25 points hold no count at every energy though bright points surround them")
    assert not stack.good[MIDDLE].any()
    assert (~stack.good).sum() == 25 * len(stack.energy)
    assert resonant_over_truth(stack, made) == pytest.approx(1.0, abs=200 / photons**0.5)  # of few points, noisy
    alone = (2, *MIDDLE[1:])
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=damaged(made, 0, alone)))
    assert f"no count at {made.energy[2]:g} eV" in said
    assert stack.good[:2].all()
    assert not stack.good[alone].any()


def test_gaps_of_zeros_are_masked_to_their_ends(tmp_path):
    made = stack_of(photons=1e6)
    stack, _ = converted(tmp_path, arrays_of(made, intensity=damaged(made, 0, np.s_[:, :, 27:29])))
    assert not stack.good[:, :, 27:29].any()
    assert stack.good[:, :, :27].all()
    volume = stack_of(dimensions=3, grid=24, photons=1e7)
    stack, (said,) = converted(tmp_path, arrays_of(volume, intensity=damaged(volume, 0, np.s_[:, :, 13:15])))
    assert "blocked, as by a beam stop or a gap: masked" in said
    assert not stack.good[:, :, 13:15].any()


def test_a_dark_fringe_is_no_beam_stop():
    q = np.arange(-24, 24)
    fringes = 1e6 * np.sinc(q / 3)[:, None] ** 2 * np.sinc(q / 3) ** 2  # a square, whose zeros are whole rows
    data = np.random.default_rng(4).poisson(fringes, (6, 48, 48))
    with heard() as said:
        points.with_blocked_masked({"data": data, "energy": np.arange(6.0)})
    assert said == []


def test_counts_that_were_cut_are_masked(tmp_path):
    made = stack_of()
    cut = int(np.sort(made.data.max(0).ravel())[-15])
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=np.minimum(made.data, cut)))
    assert f"hold the same largest value, {cut:.6g}, at every energy" in said
    np.testing.assert_array_equal(stack.good, made.data < cut)
    assert resonant_over_truth(stack, made) == pytest.approx(1.0, abs=0.02)
    data = made.data.copy()
    cut = int(np.sort(data[3].ravel())[-6])
    data[3] = np.minimum(data[3], cut)
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=data))
    assert f"at {made.energy[3]:g} eV" in said
    assert (~stack.good).sum() == 6


def test_many_points_of_the_largest_value_are_no_saturation_where_as_many_lie_below():
    data = np.random.default_rng(5).integers(0, 31, (6, 20, 20))
    with heard() as said:
        points.with_saturated_masked({"data": data, "energy": np.arange(6.0)})
    assert said == []


@pytest.mark.parametrize(
    ("mark", "kind"),
    [(65535, "u2"), (2**32 - 1, "u4"), (2**32 - 1, "f4"), (2**31 - 1, "i4"), (2**20 - 1, "i4"), (-1, "i4"), (-2, "f4")],
)
def test_marks_in_place_of_counts_are_masked(tmp_path, mark, kind):
    made = stack_of(photons=1e6)
    data = damaged(made, mark, np.s_[:, :, 5:8], np.s_[:, 40, 41]).astype(kind)
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=data))
    assert f"{6 * (3 * 48 + 1)} points hold" in said
    assert not stack.good[:, :, 5:8].any()
    assert (~stack.good).sum() == 6 * (3 * 48 + 1)


@pytest.mark.parametrize("place", [(5, 5), (0, 0), (28, 26), (10, 47)])
@pytest.mark.parametrize("value", [30_000_000, 4_000_000_000])
def test_a_hot_pixel_is_named_and_masked_on_request(tmp_path, place, value):
    made = stack_of()
    arrays = arrays_of(made, intensity=damaged(made, value, (slice(None), *place)))
    stack, (said,) = converted(tmp_path, arrays)
    assert f"{place}, {value:.4g} counts" in said
    assert "--mask-hot" in said
    assert stack.good.all()
    stack, (said,) = converted(tmp_path, arrays, mask_hot=True)
    assert said.endswith("masked")
    np.testing.assert_array_equal(np.argwhere(stack.mask), [place])


@pytest.mark.parametrize("width", [36, 24, 16, 8])
@pytest.mark.parametrize("photons", [1e4, 1e6, 1e8, 1e10])
def test_fringes_of_a_cube_are_no_defects(width, photons):
    """Sampled 1.3 to 6 times finer than need be, with zeros on whole rows and lobes of single points between them."""
    q = np.arange(-24, 24) / 48 * np.pi
    line = np.abs(np.sin(width / 2 * q) / np.where(q == 0, 1, np.sin(q)) + (q == 0) * width / 2) ** 2
    frame = line[:, None] * line
    contrast = np.array([1.0, 0.9, 0.8, 0.75, 0.9, 1.1])[:, None, None]
    data = np.random.default_rng(6).poisson(photons * contrast * frame / frame.sum())
    with heard() as said:
        screened_values = points.with_blocked_masked({"data": data, "energy": np.arange(6.0)})
        points.with_hot_pixels(points.with_saturated_masked(screened_values), mask_hot=False)
    assert said == []


def test_hot_pixels_of_a_volume_of_a_pair_and_of_one_energy(tmp_path):
    volume = stack_of(dimensions=3, grid=24, photons=1e7)
    data = damaged(volume, 90_000, np.s_[:, 3, 4, 5], np.s_[:, 3, 4, 6])
    stack, (said,) = converted(tmp_path, arrays_of(volume, intensity=data), mask_hot=True)
    np.testing.assert_array_equal(np.argwhere(stack.mask), [[3, 4, 5], [3, 4, 6]])
    made = stack_of()
    stack, (said,) = converted(tmp_path, arrays_of(made, intensity=damaged(made, 10**6, (2, 7, 8))), mask_hot=True)
    assert f"(7, 8), 1e+06 counts at {made.energy[2]:g} eV" in said
    np.testing.assert_array_equal(np.argwhere(~stack.good), [[2, 7, 8]])


def test_an_inverted_mask_is_told(tmp_path):
    made = stack_of()
    mask = np.zeros(made.shape, dtype=np.uint8)
    mask[:, 30:33] = 1
    _, said = converted(tmp_path, arrays_of(made, mask=mask))
    assert said == []
    _, said = converted(tmp_path, arrays_of(made, mask=1 - mask))
    assert said[0].startswith("94% of the points are masked, among them most of the photons (0 is good): check")
    around = np.ones(made.shape, dtype=np.uint8)  # most points left out on purpose
    around[12:36, 12:36] = 0
    _, said = converted(tmp_path, arrays_of(made, mask=around))
    assert said == []


# --- energies beside each other


def test_the_same_file_twice_is_told(tmp_path):
    made = stack_of()
    data = made.data.copy()
    data[1] = data[0]
    _, said = converted(tmp_path, arrays_of(made, intensity=data))
    assert any("at 8880 and 8930 eV are the same, number for number" in line for line in said)


def test_exposures_far_apart_or_against_the_intensities_are_told(tmp_path):
    made = stack_of()
    _, (said,) = converted(tmp_path, arrays_of(made, monitor=np.array([1, 1, 1, 1, 1, 5.0])))
    assert said.startswith("intensities at 9100 eV are 0.2")
    assert "the monitor does not account for" in said
    exposures = np.array([1, 1, 20, 1, 1, 1])
    data = np.random.default_rng(0).poisson(made.truth.expected * exposures[:, None, None])
    _, (said,) = converted(tmp_path, arrays_of(made, intensity=data, monitor=exposures))
    assert said.startswith("the monitor at 8960 eV is 20 times that at")
    data = np.random.default_rng(0).poisson(made.truth.expected * np.array([1, 1, 1, 5, 1, 1])[:, None, None])
    _, (said,) = converted(tmp_path, arrays_of(made, intensity=data))
    assert said.startswith("intensities at 9000 eV are")
    assert "no monitor accounts for" in said


def test_a_resonance_that_darkens_an_energy_is_no_wrong_exposure():
    energies = (8880.0, 8930.0, 8978.6, 9050.0, 9100.0)
    made = stack_of(energies_ev=energies, composition="pure_resonant", reflection=(3, 3, 1))
    total = made.data.sum((1, 2), dtype=float)
    assert np.median(total) > 2 * total[2]  # f' = -9 of f0 = 14
    with heard() as said:
        checked_scales(made)
    assert said == []


def test_a_stack_that_others_wrote_is_looked_at_before_it_is_fitted():
    made = stack_of(photons=1e6)
    with heard() as said:
        assert screened(made) is made
        assert screened(replace(made, whole=False)).mask is None
    assert said == []
    with pytest.warns(match="25 points hold no count at every energy"):
        stack = screened(replace(made, data=damaged(made, 0, MIDDLE)))
    assert (~stack.good).sum() == 25 * len(stack.energy)
    with pytest.warns(match=r"isolated points .* \(5, 6\), 5e\+06 counts"):
        assert screened(replace(made, data=damaged(made, 5_000_000, np.s_[:, 5, 6]))).mask is None


def test_exchanged_columns_of_the_dispersion_are_told():
    """f'' given as f' and - f' as f'': intensities cannot tell, the table can."""
    energy = np.array([8293.0, 8313.0, 8333.0, 8353.0, 8373.0])
    pair = [part.numpy() for part in dispersion_correction("Ni", torch.as_tensor(energy))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_of_table(pair, energy, "Ni", "K")
        tell_of_table([pair[1], -pair[0]], energy, "", "K")
    with pytest.warns(DataWarning, match=r"f' given at .* check element, sign, and which column"):
        tell_of_table([pair[1], -pair[0]], energy, "Ni", "K")


@pytest.mark.parametrize("part", [np.max, np.sum])
def test_frames_divided_by_their_own_largest_or_total_get_no_monitor(part):
    """Counts come back; that divisor is no exposure."""
    rng = np.random.default_rng(5)
    drawn = rng.poisson(np.array([1.0, 1.3, 0.8, 1.1])[:, None, None] * rng.exponential(30.0, (32, 32)))
    divisors = np.array([float(part(frame)) for frame in drawn])
    values = {"data": drawn / divisors[:, None, None], "energy": np.array([8313.0, 8323.0, 8333.0, 8343.0])}
    with pytest.warns(DataWarning, match="taken for one photon"):
        made = counts.in_photons(values)
    assert "monitor" not in made
    assert np.array_equal(made["data"], drawn)


def test_errors_of_zero_at_single_points_are_raised_to_the_least_other(tmp_path):
    """The root of no count is no error: as given it would outweigh all others."""
    made = stack_of()
    errors = np.sqrt(made.data.astype(float))
    errors[:, 0, 0] = 0
    stack, said = converted(tmp_path, arrays_of(made, data_errors=errors))
    assert any("data_errors are 0 at" in line for line in said)
    assert stack.data_errors.min() == errors[errors > 0].min()


def test_counts_less_a_background_are_no_gaps(tmp_path):
    """At -1 and -2 all over, at each energy elsewhere: masking them would keep only what fluctuates upwards."""
    made = stack_of(photons=1e4)
    data = made.data.astype(int) + np.random.default_rng(1).poisson(2.0, made.data.shape) - 2
    with pytest.raises(InputError, match="negative"):
        converted(tmp_path, arrays_of(made, intensity=data))


def test_an_energy_without_counts_is_told(tmp_path):
    made = stack_of()
    data = made.data.copy()
    data[3] = 0
    _, said = converted(tmp_path, arrays_of(made, intensity=data))
    assert any(line.startswith("intensities at 9000 eV are 0 times") for line in said)
