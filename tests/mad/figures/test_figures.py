"""Every figure: axes with units, lettered panels, text that neither overlaps nor leaves the page, the records' data."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from drawn_texts import texts_on_canvas
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from split_record import PHOTONS, made

from madpipe.base.metrics import with_error
from madpipe.base.plain import from_plain, to_plain
from madpipe.base.plotting import save
from madpipe.base.training import History
from madpipe.mad.config import FitConfig, SimulatedSample, ValidateConfig
from madpipe.mad.figures import FIGURES, of_one_sample, records_of
from madpipe.mad.figures.learning import running_mean
from madpipe.mad.figures.maps import fit_maps
from madpipe.mad.figures.normal import f_normal, photon_shells
from madpipe.mad.figures.picture import central_slice, mean_photons, q_extent, true_values, voxel_nm
from madpipe.mad.figures.profiles import depths_of, object_maps
from madpipe.mad.figures.quality import error_vs_counts, r_factor, shell_centre, shell_rows
from madpipe.mad.figures.realspace import Body, body_from_object, body_on_truth, composition_profile, retrieved
from madpipe.mad.figures.reflections import resolution
from madpipe.mad.figures.routes import composition_errors
from madpipe.mad.figures.specimen import contrasting_energies, particle, real_extent, real_window
from madpipe.mad.figures.spectrum import dispersion
from madpipe.mad.figures.split import split
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.measurement import bijvoet_pairs, calculated_photons
from madpipe.mad.realspace.depth_profiles import strain_along
from madpipe.mad.records import Nuisance, RealSpace, Stack
from madpipe.mad.scores.records import SampleScores
from madpipe.mad.scores.split import split_scores
from madpipe.mad.scores.validate import score
from madpipe.mad.simulate.sample import simulate
from madpipe.physics.alignment import twin
from madpipe.physics.atoms import dispersion_correction

CASES = ("frame", "volume", "pure_resonant", "no_resonant", "measured", "list", "dim")
# records of one sample; "network" is given with the frame only, so that figures must do without it too
KINDS = {
    "frame": {"dimensions": 2, "grid": 48, "photons": 1e6, "beam_stop_radius": 2.0, "gap_width": 2},
    "volume": {"dimensions": 3, "grid": 24, "photons": 1e6},
    "pure_resonant": {"dimensions": 2, "grid": 32, "photons": 1e6, "composition": "pure_resonant"},
    "no_resonant": {"dimensions": 2, "grid": 32, "photons": 1e6, "composition": "no_resonant"},
    "dim": {"dimensions": 3, "grid": 16, "photons": 300.0},
    "measured": {"dimensions": 2, "grid": 32, "photons": 1e5, "energies_ev": (8300.0, 8331.0, 8343.0)},
}


def simulated(kind):
    sample = SimulatedSample(**KINDS[kind])
    stack = replace(simulate(sample, torch.Generator().manual_seed(3)), name=kind)
    if kind == "dim":  # nothing at all in the plane that is shown
        stack = replace(stack, mask=np.where(np.arange(16) == 8, 1, 0)[:, None, None] * np.ones(stack.shape, dtype=int))
    return stack if kind != "measured" else replace(stack, truth=None)


def reflection_list():
    """Sixty-four reflections, both Friedel mates, three energies, errors of two per cent."""
    rng = np.random.default_rng(4)
    hkl = np.array([(h, k, m) for h in range(1, 5) for k in range(1, 5) for m in range(1, 5)])
    count = len(hkl)
    f_total, f_resonant = ([1, 1j] @ rng.normal(size=(2, count)) * size for size in (300.0, 120.0))
    sign = np.repeat([1.0, -1.0], count)
    f_prime, f_double_prime = np.array([-10.0, -7.3, -3.0]), np.array([6.6, 5.7, 4.0])
    ratio = dispersion_ratio(
        torch.as_tensor(f_prime)[:, None], torch.as_tensor(f_double_prime[:, None] * sign), torch.tensor(30.0)
    )
    intensity = mad_intensity(*(torch.as_tensor(np.tile(part, 2)) for part in (f_total, f_resonant)), ratio).numpy()
    errors = 0.02 * intensity
    return Stack(
        data=intensity + errors * rng.normal(size=intensity.shape),
        energy=np.array([12655.0, 12659.0, 12700.0]),
        f_prime=f_prime,
        f_double_prime=f_double_prime,
        f0=30.0,
        element="Se",
        edge="K",
        table="refined",
        title="list",
        name="list",
        reflection=np.arange(2 * count),
        miller_indices=np.tile(hkl, (2, 1)),
        friedel_sign=sign,
        unit_cell=np.array([114.0, 114.0, 32.5, 90.0, 90.0, 90.0]),
        data_errors=errors,
    )


def nuisance(stack):
    some = np.full(len(stack.energy), 0.2)
    one = np.ones(len(stack.energy))
    return Nuisance(
        scale=one,
        scale_errors=0 * one,
        energy_offset=0.0,
        energy_offset_errors=0.0,
        f_prime=stack.f_prime + 0.1,
        f_prime_errors=some,
        f_double_prime=stack.f_double_prime,
        f_double_prime_errors=some,
        noise_scale=0.5,
        gauge="last energy held",
        scale_prior=one,
        scale_prior_errors=0.01 * one,
        scale_correlation=np.linspace(-0.5, 0.9, len(one)),
        scale_determined=one,
        f_prime_prior=stack.f_prime,
        f_prime_prior_errors=np.where(one, np.inf, 1.0),  # nothing known beforehand
        f_prime_correlation=-0.3 * one,
        f_prime_determined=one,
        energy_offset_prior=0.0,
        energy_offset_prior_errors=3.0,
        energy_offset_correlation=0.1,
        energy_offset_determined=False,
        f_resonant_relative_error=0.034,
        verdicts="offset: not determined, held at 0 eV",
    )


def real_space(stack):
    """The truth with some noise in its composition, as if retrieved; a ball where there is no truth."""
    shape = stack.shape
    if stack.truth is None:
        place = np.indices(shape) - np.reshape([size // 2 for size in shape], (-1, *[1] * len(shape)))
        support = (np.square(place).sum(axis=0) < (shape[0] / 5) ** 2).astype(np.uint8)
        rho_a = rho_n = support.astype(complex)
    else:
        root = np.sqrt(stack.truth.photons_per_electron2)
        support, rho_a, rho_n = stack.truth.support, stack.truth.rho_resonant * root, stack.truth.rho_normal * root
    rng = np.random.default_rng(5)
    composition = 0.8 + 0.05 * rng.normal(size=shape)
    return RealSpace(
        rho_resonant=rho_a,
        rho_normal=rho_n,
        support=support,
        composition=composition * support,
        composition_errors=np.full(shape, 0.05),
        displacement=np.zeros(shape),
        voxel_size=np.full(len(shape), 10 * voxel_nm(stack)),
        route="linked",
        verdicts=json.dumps({"support_overlap": {"value": 0.97, "limit": 0.9, "passed": True, "meaning": "Dice"}}),
        amplitude_resonant=np.abs(rho_a),
        phase_resonant=np.angle(rho_a),
        amplitude_normal=np.abs(rho_n),
        phase_normal=np.angle(rho_n),
    )


def history():
    steps = list(range(1, 201))
    loss = [3.0 * 0.99**step + 0.1 for step in steps]
    return History(
        step=steps,
        training_loss=loss,
        validation_step=[50, 100, 150, 200],
        validation_loss=[2.0, 1.2, 0.9, 1.0],
        terms={"F_T": [0.6 * value for value in loss], "unit_circle": [0.4 * value for value in loss]},
        best_step=150,
        stopped="no gain",
    )


@pytest.fixture(scope="module")
def world():
    """Every record that a figure may ask for, by case."""
    torch.set_default_dtype(torch.float64)
    world = {}
    for case in CASES:
        stack = reflection_list() if case == "list" else simulated(case)
        fit = fit_stack(stack, FitConfig())
        if case == "list":
            fit = replace(fit, nuisance=nuisance(stack))
        records = {"stack": stack, "fit": fit}
        if case == "frame":
            records["network"] = replace(
                fit, f_normal=1.3 * fit.f_normal, f_resonant=1.1 * fit.f_resonant, method="cnn", split=made()
            )
        if case != "list":
            records["real_space"] = real_space(stack)
        answers = {name: records[name] for name in ("fit", "network") if name in records}
        routes = ("joint", "separate", "linked_network") if case in ("frame", "volume") else ()
        objects = dict.fromkeys(routes, records.get("real_space"))
        found = score(stack, answers, objects, ValidateConfig(noise_draws=2), torch.Generator().manual_seed(1))
        world[case] = {**records, "scores": from_plain(SampleScores, json.loads(json.dumps(to_plain(found))))}
    return world


def arguments(name, world, case):
    """What a figure asks for, of one sample or of all; None where the case lacks a required record."""
    plural = {f"{one}s": [records[one] for records in world.values()] for one in ("stack", "fit")}
    pool = {**plural, "scores": [records["scores"] for records in world.values()], "history": history()}
    pool = {**pool, **{key: value for key, value in world[case].items() if key != "scores"}}
    wanted = records_of(name)
    if any(required and key not in pool for key, required in wanted.items()):
        return None
    return {key: pool[key] for key in wanted if key in pool}


DRAWN = {function: name for name, function in FIGURES.items()}.values()  # two names may stand for one function
PICTURES = [(name, case) for name in DRAWN for case in (CASES if of_one_sample(name) else CASES[:1])]


@pytest.fixture(scope="module")
def pictures(world):
    """Every figure, drawn once, with the texts that were drawn on its canvas."""
    drawn = {}

    def of(name, case):
        if (name, case) not in drawn:
            given = arguments(name, world, case)
            if given is None or (name in ("particle", "f_normal") and case == "list"):
                pytest.skip(f"{name} is not for {case}")
            if name == "nuisances":
                given = {"stack": given["stack"], "fit": replace(given["fit"], nuisance=nuisance(given["stack"]))}
            picture = FIGURES[name](**given)
            drawn[name, case] = picture, texts_on_canvas(picture.figure)
        return drawn[name, case]

    return of


def panels(figure):
    """Axes that are panels: not colour bars, not switched off."""
    bars = {axes for parent in figure.axes for axes in parent.child_axes}
    return [axes for axes in figure.axes if axes not in bars and axes.axison]


@pytest.mark.parametrize(("name", "case"), PICTURES)
def test_axes_have_labels_with_units(pictures, name, case):
    picture, _ = pictures(name, case)
    assert isinstance(picture.figure, Figure)
    for axes in panels(picture.figure):
        for axis, siblings in ((axes.xaxis, axes.get_shared_x_axes()), (axes.yaxis, axes.get_shared_y_axes())):
            shown = [label for label in axis.get_ticklabels() if label.get_visible() and label.get_text()]
            others = [getattr(other, f"{axis.axis_name}axis") for other in siblings.get_siblings(axes)]
            labels = [other.label.get_text() for other in others] if others else [axis.label.get_text()]
            has_scale_bar = any(text.get_text().endswith(" nm") for text in axes.texts)
            assert has_scale_bar or not shown or any("(" in label and ")" in label for label in labels)
    for parent in picture.figure.axes:
        for bar in parent.child_axes:
            assert "(" in bar.get_xlabel() + bar.get_ylabel()


@pytest.mark.parametrize(("name", "case"), PICTURES)
def test_text_stays_on_the_page_and_apart(pictures, name, case):
    picture, texts = pictures(name, case)
    page = picture.figure.bbox
    for text, box in texts:
        # a pixel: hinting rounds glyphs outwards
        outside = (page.x0 - box.x0, page.y0 - box.y0, box.x1 - page.x1, box.y1 - page.y1)
        assert max(outside) <= 1, text
    for number, (text, box) in enumerate(texts):
        for other, neighbour in texts[:number]:
            width = min(box.x1, neighbour.x1) - max(box.x0, neighbour.x0)
            height = min(box.y1, neighbour.y1) - max(box.y0, neighbour.y0)
            assert width <= 1 or height <= 1, f"{text!r} on {other!r}"


@pytest.mark.parametrize(("name", "case"), PICTURES)
def test_panels_are_lettered_and_the_caption_has_numbers(pictures, name, case):
    picture, texts = pictures(name, case)
    titles = [text for text, _ in texts if text.startswith(r"$\bf{(")]
    assert sorted(title[6] for title in titles) == [chr(ord("a") + number) for number in range(len(titles))]
    assert len(titles) >= 2 or name == "r_factor"
    assert any(letter.isdigit() for letter in picture.caption)
    assert not re.search(r"\b(nan|inf|None)\b", picture.caption)
    assert "$" not in picture.caption
    assert "  " not in picture.caption


@pytest.mark.parametrize(("name", "case"), PICTURES)
def test_figures_fit_a_journal_page(pictures, name, case):
    width, height = pictures(name, case)[0].figure.get_size_inches()
    assert width <= 7.0
    assert height <= 9.0


@pytest.mark.parametrize("name", ["fit_maps", "retrieved", "object_maps"])
def test_drawing_and_saving_twice_gives_the_same_bytes(world, name, tmp_path):
    for folder in ("first", "second"):
        picture = FIGURES[name](**arguments(name, world, "volume"))
        save(picture.figure, tmp_path / folder / "x.pdf", {"a": 1}, caption=picture.caption, dpi=40)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def image_of(axes):
    return axes.get_images()[0].get_array()


def test_a_central_slice_cuts_the_first_axis_of_space_at_the_origin():
    volume = np.arange(2 * 4 * 3 * 5).reshape(2, 4, 3, 5)
    assert_array_equal(central_slice(volume, 3), volume[:, 2])
    assert_array_equal(central_slice(volume[0], 3), volume[0, 2])
    assert_array_equal(central_slice(volume, 2), volume)


def test_the_extent_puts_qx_across_and_qy_up_in_per_nm(world):
    stack = replace(world["frame"]["stack"], qx=np.arange(48) * 0.1, qy=np.arange(48) * 0.2)
    assert_allclose(q_extent(stack), (-0.5, 47.5, -1.0, 95.0))
    assert voxel_nm(stack) == pytest.approx(2 * np.pi / 48.0)


def curve(axes, label):
    (container,) = [item for item in axes.containers if item.get_label() == label]
    return container[0].get_xydata().T


# dispersion


def test_dispersion_marks_the_energies_the_edge_and_the_table(world):
    stack = world["frame"]["stack"]
    axes = dispersion([stack]).figure.axes[0]
    assert_allclose(curve(axes, "$f'$"), [stack.energy, stack.f_prime])
    assert_allclose(curve(axes, "$f''$"), [stack.energy, stack.f_double_prime])
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert_allclose(lines["edge, 8333 eV"].get_xdata(), 8333, atol=1)
    table = [line for line in axes.get_lines() if len(line.get_xdata()) > 100]
    energy = table[0].get_xdata()
    assert np.diff(energy).max() <= 0.51
    for line, part in zip(table, dispersion_correction("Ni", torch.as_tensor(energy)), strict=True):
        assert_allclose(line.get_ydata(), part.numpy())
    assert "Chantler" in axes.get_title("left")


def test_dispersion_has_one_row_per_table_and_shows_what_was_refined(world):
    stacks = [world[case]["stack"] for case in ("frame", "pure_resonant", "list")]
    fits = [world[case]["fit"] for case in ("frame", "pure_resonant", "list")]
    figure = dispersion(stacks, fits).figure
    assert len(figure.axes) == 4
    assert_allclose(curve(figure.axes[2], "$f'$")[1], fits[2].nuisance.f_prime)
    assert figure.axes[2].containers[0].has_yerr
    assert not figure.axes[0].containers[0].has_yerr


def test_dispersion_draws_a_measured_spectrum_beside_the_table(world):
    stack = replace(world["frame"]["stack"], table="foil.xdi")
    energy = np.linspace(8200, 8400, 401)
    spectrum = np.stack([energy, -5 - 0 * energy, 1 + 0 * energy])
    axes = dispersion([stack], spectra={"foil.xdi": spectrum}).figure.axes[0]
    assert sum(len(line.get_xdata()) > 100 and bool(np.all(line.get_ydata() == -5)) for line in axes.get_lines()) == 1


def test_dispersion_refuses_fits_that_do_not_go_with_the_stacks(world):
    with pytest.raises(ValueError, match="zip"):
        dispersion([world["frame"]["stack"]] * 2, [world["frame"]["fit"]])


# particle


@pytest.mark.parametrize("case", ["frame", "volume"])
def test_particle_shows_the_counts_and_the_truth(world, case):
    stack = world[case]["stack"]
    density, composition, phase, first, second, difference = panels(particle(stack).figure)
    ndim = len(stack.shape)
    low, high = contrasting_energies(stack)
    good = central_slice(stack.good[low] & stack.good[high], ndim)
    for axes, index in ((first, low), (second, high)):
        shown = image_of(axes)
        counts = central_slice(stack.data[index], ndim)
        assert_array_equal(~np.ma.getmaskarray(shown), good)
        assert_allclose(shown[good & (counts > 0)], counts[good & (counts > 0)])
        assert_allclose(axes.get_images()[0].get_extent(), q_extent(stack))
    i_low, i_high = (central_slice(stack.data[index], ndim).astype(float) for index in (low, high))
    shown = ~np.ma.getmaskarray(image_of(difference))
    assert_array_equal(shown, good & (i_low + i_high >= 100))
    assert_allclose(image_of(difference)[shown], (200 * (i_high - i_low))[shown] / (i_high + i_low)[shown])
    inside = central_slice(stack.truth.support, ndim) > 0
    window = real_window(inside)
    for axes, values in (
        (composition, stack.truth.composition),
        (density, np.abs(stack.truth.rho_resonant + stack.truth.rho_normal)),
        (phase, np.linalg.norm(stack.q_bragg) * stack.truth.displacement),
    ):
        drawn, expected = image_of(axes), central_slice(values, ndim)[window]
        part = inside[window]
        if axes is density:
            expected = expected * (drawn[part].sum() / expected[part].sum())  # in powers of ten
        if axes is phase:
            expected = np.angle(np.exp(1j * expected))
        assert_allclose(drawn[part], expected[part], rtol=1e-12, atol=1e-12)


def test_the_two_energies_lie_on_both_sides_of_the_edge_where_there_are_any(world):
    stack = world["frame"]["stack"]
    low, high = contrasting_energies(stack)
    assert stack.energy[low] < 8333 < stack.energy[high]
    below = replace(stack, energy=stack.energy - 100)
    assert len(set(contrasting_energies(below))) == 2
    first, second = contrasting_energies(below)
    assert below.energy[first] < below.energy[second]


def test_the_real_space_window_holds_the_particle_and_knows_where_it_is():
    support = np.zeros((20, 30))
    support[4:9, 20:28] = 1
    window = real_window(support)
    assert support[window].sum() == support.sum()
    left, right, bottom, top = real_extent(window, support.shape, 2.0)
    # voxel [4, 20] is centred at ((20 - 15) * 2, (4 - 10) * 2)
    row, column = 4 - window[0].start, 20 - window[1].start
    assert left + (column + 0.5) * 2.0 == (20 - 15) * 2.0
    assert bottom + (row + 0.5) * 2.0 == (4 - 10) * 2.0
    assert ((right - left) / 2.0, (top - bottom) / 2.0) == support[window].shape[::-1]


# fit maps


@pytest.mark.parametrize("case", ["frame", "volume", "measured"])
def test_fit_maps_show_the_answer_the_truth_and_the_error(world, case):
    stack, fit = world[case]["stack"], world[case]["fit"]
    grid = np.array(panels(fit_maps(stack, fit).figure)).reshape(-1, 4)
    ndim = len(stack.shape)
    seen = central_slice(stack.good.sum(axis=0) >= 3, ndim)
    answer = grid[1] if case != "measured" else grid[0]
    for axes, name in zip(answer, ("f_total", "f_resonant", "delta_phi", "f_normal"), strict=True):
        expected, shown = central_slice(getattr(fit, name), ndim), image_of(axes)
        determined = seen & (central_slice(fit.delta_phi_errors, ndim) < 1) if name == "delta_phi" else seen
        assert_array_equal(~np.ma.getmaskarray(shown), determined)
        least = -np.inf if name == "delta_phi" else axes.get_images()[0].norm.vmin
        assert_allclose(shown[determined], np.maximum(expected, least)[determined])
    if case == "measured":
        relative = central_slice(fit.f_resonant_errors / np.maximum(fit.f_resonant, 1e-30), ndim)
        assert_allclose(image_of(grid[1, 1])[seen], np.clip(relative, 1e-2, None)[seen])
        return
    assert_allclose(
        image_of(grid[0, 1]),
        np.maximum(central_slice(np.abs(stack.truth.f_resonant), ndim), grid[0, 1].get_images()[0].norm.vmin),
    )
    error = (fit.f_total - np.abs(stack.truth.f_total)) / fit.f_total_errors
    assert_allclose(image_of(grid[2, 0])[seen], central_slice(error, ndim)[seen])
    turn = fit.delta_phi - np.angle(stack.truth.f_total / stack.truth.f_resonant)
    turn = np.angle(np.exp(1j * turn)) / fit.delta_phi_errors
    # rounding of angles near pi over errors of 1e-3 at least
    assert_allclose(image_of(grid[2, 2])[seen], central_slice(turn, ndim)[seen], atol=1e-9)


def test_a_phase_without_resonant_atoms_has_no_truth(world):
    stack = world["no_resonant"]["stack"]
    assert np.isnan(true_values(stack, "delta_phi")).all()
    assert "Delta phi has no true value" in fit_maps(stack, world["no_resonant"]["fit"]).caption


def test_a_list_shows_intensities_and_bijvoet_differences(world):
    stack, fit = world["list"]["stack"], world["list"]["fit"]
    picture = fit_maps(stack, fit)
    intensities, differences, _, residuals = picture.figure.axes
    calculated = calculated_photons(stack, fit)
    plus, minus = bijvoet_pairs(stack).T
    for k in range(3):
        assert_allclose(intensities.get_lines()[k].get_xydata().T, [stack.data[k], calculated[k]])
        expected = [(values[k][plus] - values[k][minus]) for values in (stack.data, calculated)]
        drawn = differences.get_lines()[k].get_xydata().T
        power = int(re.search(r"10\^\{(\d)\}", differences.get_xlabel()).group(1))
        assert_allclose(drawn, np.array(expected) / 10**power)
    assert "64 pairs" in picture.caption
    assert "0.500" in picture.caption  # noise scale
    heights = [patch.get_xy() for patch in residuals.patches]
    assert len(heights) == 1


def test_bijvoet_pairs_join_mates_of_one_reflection():
    stack = reflection_list()
    pairs = bijvoet_pairs(stack)
    assert len(pairs) == 64
    assert_array_equal(stack.miller_indices[pairs[:, 0]], stack.miller_indices[pairs[:, 1]])
    assert_array_equal(stack.friedel_sign[pairs], np.tile([1.0, -1.0], (64, 1)))
    mask = np.zeros(stack.data.shape, dtype=np.uint32)
    mask[1, 5] = 1
    assert len(bijvoet_pairs(replace(stack, mask=mask))) == 63


def test_resolution_is_the_lattice_spacing():
    stack = reflection_list()
    h, k, m = stack.miller_indices.T
    assert_allclose(resolution(stack), 1 / np.sqrt((h / 114.0) ** 2 + (k / 114.0) ** 2 + (m / 32.5) ** 2))
    assert resolution(replace(stack, unit_cell=None)) is None
    fit_maps(replace(stack, unit_cell=None), fit_stack(stack, FitConfig()))


# scores


def test_errors_and_bound_are_those_of_the_scores(world):
    scores = world["frame"]["scores"]
    figure = error_vs_counts([scores]).figure
    for axes, quantity in zip(figure.axes, ("F_T", "F_A", "delta_phi", "F_N"), strict=True):
        for container, answer in zip(axes.containers, ("fit", "network"), strict=True):
            rows = [r for r in scores.answers[answer].shells if r.quantity == quantity and r.points >= 10]
            photons, error = container[0].get_xydata().T
            assert_allclose(error, [row.relative_rms for row in rows])
            assert all(row.shell_low <= x <= (row.shell_high or np.inf) for x, row in zip(photons, rows, strict=True))
        bounds = [line.get_ydata() for line in axes.get_lines() if line.get_color() == "black"]
        fit_rows = shell_rows(scores.answers["fit"], quantity)
        assert_allclose(bounds, [[row.relative_bound for row in fit_rows]])


def test_a_truth_of_zero_has_no_relative_error(world):
    assert shell_rows(world["pure_resonant"]["scores"].answers["fit"], "F_N") == []
    assert shell_rows(world["no_resonant"]["scores"].answers["fit"], "F_A") == []
    assert len(shell_rows(world["pure_resonant"]["scores"].answers["fit"], "F_A")) > 2


@pytest.mark.parametrize(
    ("low", "high", "centre"), [(1, 100, 10), (0.0, 10.0, 10**0.5), (1e6, None, 10**6.5), (1e6, float("inf"), 10**6.5)]
)
def test_shells_stand_at_their_geometric_mean(low, high, centre):
    assert shell_centre(SimpleNamespace(shell_low=low, shell_high=high)) == pytest.approx(centre)


def test_r_is_that_of_the_scores_beside_its_floor(world):
    scores = [world[case]["scores"] for case in ("frame", "list")]
    picture = r_factor(scores)
    for axes, one in zip(picture.figure.axes, scores, strict=True):
        lines = {line.get_label(): line for line in axes.get_lines()}
        for answer, values in one.answers.items():
            assert_allclose(lines[f"$R$, {answer}"].get_ydata(), values.r_factor_per_energy)
            assert_allclose(lines[rf"$R_\mathrm{{noise}}$, {answer}"].get_ydata(), values.r_noise_per_energy)
            assert f"R = {values.r_factor:.4f}" in picture.caption


def test_composition_errors_are_those_of_the_scores(world):
    one, scores = world["frame"]["scores"], []
    for photons, error in zip((1e5, 1.1e5, 1e6), (0.3, 0.1, 0.05), strict=True):
        joint = replace(one.retrieved["joint"], rms_error=error)
        scores.append(replace(one, photons=photons, retrieved={**one.retrieved, "joint": joint}))
    picture = composition_errors([*scores, world["list"]["scores"]])
    lines = {line.get_label(): line.get_xydata() for line in picture.figure.axes[0].get_lines()}
    # two samples of one budget: their mean
    assert_allclose(lines["joint, counts of all energies"], [[1.05e5, 0.2], [1e6, 0.05]])
    assert len(picture.figure.axes) == 1
    assert "0.05 (stated" in picture.caption


# training


def test_training_curves_show_validation_and_the_kept_step(world):
    figure = FIGURES["training_curves"](history()).figure
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert_allclose(lines["validation"].get_xydata().T, [[50, 100, 150, 200], [2.0, 1.2, 0.9, 1.0]])
    assert_allclose(lines["kept, step 150"].get_xdata(), 150)
    names = [line.get_label() for line in figure.axes[1].get_lines()]
    assert names == ["F T", "unit circle"]


def test_the_running_mean_is_a_mean_over_its_window(rng):
    values = torch.rand(60, generator=rng, dtype=torch.float64).tolist()
    slow = [np.mean(values[max(0, i - 12) : i + 13]) for i in range(60)]
    assert_allclose(running_mean(values), slow, rtol=1e-12)


# |F_N|


def test_every_point_stands_in_the_histogram_once(world):
    stack, fit, network = (world["frame"][name] for name in ("stack", "fit", "network"))
    picture = f_normal(stack, fit, network)
    points = np.count_nonzero(stack.good.all(axis=0))
    for axes in panels(picture.figure)[:2]:
        assert axes.collections[0].get_array().sum() == points
    assert f"({points})" in picture.caption


def test_the_histogram_is_truth_across_answer_up(world):
    """An answer of ten times the truth lies above the diagonal."""
    stack, fit = world["frame"]["stack"], world["frame"]["fit"]
    wrong = replace(fit, f_normal=10 * np.abs(stack.truth.f_normal))
    counts = panels(f_normal(stack, wrong).figure)[0].collections[0].get_array()
    assert np.ma.filled(np.tril(counts.filled(0)), 0).sum() > 0.9 * counts.sum()


def test_f_normal_by_counts_is_the_rms_in_each_shell(world):
    stack, fit = world["frame"]["stack"], world["frame"]["fit"]
    axes = panels(f_normal(stack, fit).figure)[-1]
    shells = photon_shells(mean_photons(stack), stack.good.all(axis=0))
    expected = [np.sqrt(np.mean(fit.f_normal[shell] ** 2)) for shell in shells]
    assert_allclose(curve(axes, "fit")[1], expected)
    assert sum(np.count_nonzero(shell) for shell in shells) > 0.95 * np.count_nonzero(stack.good.all(axis=0))


def test_a_control_is_compared_with_zero(world):
    caption = f_normal(world["pure_resonant"]["stack"], world["pure_resonant"]["fit"]).caption
    assert "rms |F_N| over rms |F_T|" in caption
    assert "rms error over rms truth" in f_normal(world["frame"]["stack"], world["frame"]["fit"]).caption


def test_a_control_s_zero_is_held_against_the_95_percent_interval_that_is_stated(world):
    stack, fit = world["pure_resonant"]["stack"], world["pure_resonant"]["fit"]
    own = replace(fit, f_normal_errors_95=1.01 * fit.f_normal)
    for answer, share in ((own, 100), (replace(own, f_normal_errors_95=0.99 * fit.f_normal), 0)):
        assert f"95 % interval of {share} % of the points" in f_normal(stack, answer).caption
    below = 100 * (fit.f_normal < 1.96 * fit.f_normal_errors)[stack.good.all(axis=0)].mean()
    assert f"95 % interval of {below:.0f} % of the points" in f_normal(stack, fit).caption


# split counts


def test_split_counts_are_drawn_as_they_are_scored(world):
    stack, network = world["frame"]["stack"], world["frame"]["network"]
    figure = split(stack, network).figure
    rows = split_scores(network.split, network, stack).rows
    for number, quantity in enumerate(("F_T", "F_A", "F_N")):
        axes, own = figure.axes[number], [row for row in rows if row.quantity == quantity]
        found, arrows = axes.containers
        positive = [row for row in own if row.rms_error > 0]
        assert_allclose(found[0].get_xdata(), [shell_centre(row) for row in positive])
        assert_allclose(found[0].get_ydata(), [row.rms_error for row in positive])
        assert_allclose(arrows[0].get_ydata(), [row.rms_error_standard_error for row in own if row.rms_error == 0])
        for label, name in (("stated", "stated_rms"), ("fit of a half", "fit_rms"), ("true", "true_rms_error")):
            values = [getattr(row, name) for row in own]
            assert_allclose(line_of(axes, label), [np.nan if value is None else value for value in values])
    used, aside = figure.axes[3].get_lines()[:2]
    assert_allclose(used.get_ydata(), [3.3, 1.5, 1.0])
    assert_allclose(aside.get_xdata(), np.sqrt(PHOTONS[2].prod()))


def line_of(axes, start):
    """Values of the line whose label starts so."""
    return next(line.get_ydata() for line in axes.get_lines() if line.get_label().startswith(start))


def test_without_a_truth_the_found_errors_stand_alone(world):
    stack, network = world["frame"]["stack"], world["frame"]["network"]
    picture = split(replace(stack, truth=None), network)
    assert not any(line.get_label().startswith("true") for line in picture.figure.axes[0].get_lines())
    assert "true" not in picture.caption
    assert "100-300: 0.400 +- 0.020 (0.4)" in picture.caption  # sqrt(.16), the root of 1.1 times that less it


def test_values_that_are_no_counts_have_a_line_instead(world):
    stack, network = world["frame"]["stack"], world["frame"]["network"]
    picture = split(stack, replace(network, split=None))
    ((text, _),) = texts_on_canvas(picture.figure)
    assert "no photon counts" in text
    assert text in picture.caption.replace(", answer 'cnn'", "")
    assert re.search(r"\d", picture.caption)


# retrieved object


def test_retrieved_shows_the_object_below_the_truth(world):
    stack, found = world["volume"]["stack"], world["volume"]["real_space"]
    axes = panels(retrieved(stack, found).figure)
    inside = central_slice(found.support, 3) > 0
    window = real_window(inside)
    expected = [central_slice(values, 3)[window] for values in (stack.truth.composition, found.composition)]
    for one, values in zip((axes[2], axes[5]), expected, strict=True):
        assert_allclose(image_of(one)[inside[window]], values[inside[window]])
    density = central_slice(np.abs(found.rho_resonant + found.rho_normal), 3)[window]
    for one in (axes[0], axes[3]):  # electrons and sqrt(photon) meet in one unit; the shift is found by Newton's method
        assert_allclose(image_of(one)[inside[window]], density[inside[window]], rtol=1e-6)


@pytest.mark.parametrize("hand_passed", [True, False])
def test_an_object_elsewhere_is_moved_onto_the_truth_and_turned_only_if_its_hand_is_unknown(world, hand_passed):
    stack, found = world["frame"]["stack"], world["frame"]["real_space"]
    sharp = replace(found, composition=stack.truth.composition * found.support)
    fields = ("rho_resonant", "rho_normal", "support", "composition")
    moved = {name: np.roll(getattr(sharp, name), (3, -4), (0, 1)) for name in fields}
    if not hand_passed:
        moved = {name: twin(torch.as_tensor(array), 2).numpy() for name, array in moved.items()}
    verdicts = json.dumps({"hand": {"value": 2.0, "limit": 1.0, "passed": hand_passed, "meaning": ""}})
    body = body_on_truth(replace(sharp, **moved, verdicts=verdicts), stack)
    inside = found.support > 0
    assert_array_equal(body.inside, inside)
    assert_allclose(body.composition[inside], stack.truth.composition[inside])
    expected = np.abs(sharp.rho_resonant + sharp.rho_normal) * inside
    assert_allclose(body.density, expected, atol=1e-6 * expected.max())  # the shift is found by Newton's method
    turned = {name: twin(torch.as_tensor(array), 2).numpy() for name, array in moved.items()}
    other = body_on_truth(replace(sharp, **turned, verdicts=verdicts), stack)
    assert bool(np.array_equal(other.inside, inside)) != hand_passed


def test_a_phase_that_no_intensity_knows_is_taken_out(world):
    stack, found = world["frame"]["stack"], world["frame"]["real_space"]
    turned = replace(found, rho_resonant=found.rho_resonant * 1j, rho_normal=found.rho_normal * 1j)
    true, same = (image_of(panels(retrieved(stack, turned).figure)[index]) for index in (1, 4))
    difference = np.angle(np.exp(1j * (true - same)))
    assert np.abs(difference).max() < 1e-6  # the shift is found by Newton's method


def test_without_a_truth_the_mean_direction_inside_is_phase_zero(world):
    found = world["frame"]["real_space"]
    turned = replace(found, rho_resonant=found.rho_resonant * 1j, rho_normal=found.rho_normal * 1j)
    first, second = body_from_object(found), body_from_object(turned)
    # rounding of sums over some hundred voxels of modulus near 1, and of angles up to pi
    assert np.abs(np.angle(np.exp(1j * (first.phase - second.phase))))[first.inside].max() < 1e-12
    mean = (first.density * np.exp(1j * first.phase))[first.inside].sum()
    assert abs(np.angle(mean)) < 1e-12


def test_the_profile_of_a_core_and_a_shell():
    place = np.indices((41, 41)) - 20
    radius = np.hypot(*place)
    inside = radius <= 15
    composition = np.where(radius <= 9, 0.75, 1.0)
    profile = composition_profile(Body(inside * 1.0, inside * 0.0, composition, inside), 2.0)
    depth, mean, error = profile.T
    assert 14 <= len(profile) <= 16  # one layer per voxel of a radius of 15
    assert_allclose(
        np.diff(depth), 2.0, atol=1.0
    )  # a layer per voxel of 2 nm; distances on a grid vary by half a voxel
    # the shell is 6 voxels thick; a distance to the nearest voxel outside is off by one voxel at most
    assert_allclose(mean[depth < 2.0 * 5], 1.0)
    assert_allclose(mean[depth > 2.0 * 7.5], 0.75)
    assert_allclose(error[depth < 2.0 * 5], 0.0, atol=1e-15)


def test_the_caption_repeats_the_verdicts(world):
    caption = retrieved(world["frame"]["stack"], world["frame"]["real_space"]).caption
    assert "support overlap: 0.97, passed" in caption
    assert "overlap of the supports 1.000" in caption


# strain, errors and profiles of an object


def test_object_maps_show_the_object_s_own_arrays(world):
    stack, found = world["volume"]["stack"], world["volume"]["real_space"]
    moved = replace(found, displacement=np.random.default_rng(1).normal(size=stack.shape))
    axes = panels(object_maps(stack, moved).figure)
    inside = central_slice(found.support, 3) > 0
    window = real_window(inside)
    for one, values in zip((axes[0], axes[2]), (moved.displacement, moved.composition_errors), strict=True):
        assert_allclose(image_of(one)[inside[window]], central_slice(values, 3)[window][inside[window]])
    strain = strain_along(found.rho_resonant + found.rho_normal, inside_of(found), found.voxel_size, stack.q_bragg)
    assert_allclose(
        image_of(axes[1]).filled(np.nan), 1e3 * np.where(inside, central_slice(strain, 3), np.nan)[window], atol=1e-9
    )


def inside_of(found):
    return found.support > 0


def test_the_caption_of_object_maps_names_the_shell_found_and_the_true_one(world):
    stack, found = world["frame"]["stack"], world["frame"]["real_space"]
    sharp = replace(found, composition=stack.truth.composition * found.support)
    caption = object_maps(stack, sharp).caption
    depths = depths_of(inside_of(found), sharp.composition, np.full(stack.shape, np.nan), found.voxel_size)
    thickness, error = depths.shell.thickness / 10, depths.shell.thickness_error / 10
    assert f"shell of {with_error(thickness, error)} nm" in caption  # the retrieved one, which is the true one here
    assert f"shell of {thickness:.1f} nm" in caption  # a truth has no error
    assert depths.shell.found
    assert caption.count("strain of the core less that of the shell") == 2
    assert "projection" in caption
    noise = object_maps(stack, found).caption  # composition without a shell
    assert "Retrieved: no shell" in noise


def test_an_object_that_does_not_know_its_bragg_vector_has_no_strain(world):
    found = world["measured"]["real_space"]
    stack = replace(world["measured"]["stack"], q_bragg=None)
    axes = panels(object_maps(stack, found).figure)
    assert np.ma.getmaskarray(image_of(axes[1])).all()


@pytest.mark.parametrize("draw", [retrieved, object_maps])
@pytest.mark.parametrize("case", ["frame", "volume", "measured"])
@pytest.mark.parametrize("voxels", [0, 1])
def test_a_failed_retrieval_is_drawn_too(world, draw, case, voxels):
    stack, found = world[case]["stack"], world[case]["real_space"]
    support = np.zeros(found.support.shape, dtype=np.uint8)
    support.flat[support.size // 2 : support.size // 2 + voxels] = 1
    picture = draw(stack, replace(found, support=support))
    texts_on_canvas(picture.figure)
    assert f"{voxels} voxels" in picture.caption
    assert "nan" not in picture.caption


def test_figures_do_without_the_element_where_the_stack_has_f_prime_alone():
    stack = replace(simulated("measured"), element="", edge="")
    assert "f', f'' as given" in dispersion([stack], [None]).caption
    assert "edge" not in particle(stack).caption
    assert contrasting_energies(stack) == contrasting_energies(simulated("measured"))
