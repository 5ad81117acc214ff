"""Merging: means, halves, figures against closed forms, the null of a shuffled reference, files read back by gemmi."""

import itertools
from dataclasses import replace

import bench
import gemmi
import numpy as np
import pytest

from madpipe.base import store, tables
from madpipe.base.errors import InputError
from madpipe.base.plain import read_json
from madpipe.stills.integrate.answer import integrated_of
from madpipe.stills.integrate.fit import fit_stills
from madpipe.stills.integrate.prepare import prepared
from madpipe.stills.integrate.settings import IntegrateConfig
from madpipe.stills.merge.files import IMAGE_TABLE, write_merged, write_set, write_unmerged
from madpipe.stills.merge.left_out import left_out, ratio
from madpipe.stills.merge.merged import (
    Observations,
    error_model,
    half_sets,
    merge,
    observations_of,
    with_errors,
)
from madpipe.stills.merge.quality import (
    Quality,
    by_shell,
    cc_star,
    quality,
    r_split,
    resolution_limit,
    shuffled_in_shells,
)
from madpipe.stills.merge.records import MergedQuality
from madpipe.stills.records import Integrated
from madpipe.stills.reflections.model import indices_within

CASE = bench.Case(images=4, size=460, distance=84.0, width=3.0e-3, resolution=2.5, strength=0.3)
CONFIG = IntegrateConfig(resolution=2.5, half_box=4)


def neighbours(seed=8):
    """Four stills of one crystal, turned by a sixth of a degree: most reflections are seen at least twice."""
    generator = np.random.default_rng(seed)
    first = bench.random_turn(generator)
    turns = [bench.rotation(np.radians(0.08) * k * np.array([1.0, 0.3, 0.2])) @ first for k in range(4)]
    return bench.make(replace(CASE, turns=turns), seed)


def fit(data, reference):
    hkl = indices_within(data.crystals[0], CONFIG.resolution)
    stills = [
        prepared(f"image, {k}", [image], [np.ones(image.shape, dtype=bool)], data.beam, [data.panel], one, hkl, CONFIG)
        for k, (image, one) in enumerate(zip(data.counts, data.crystals, strict=True))
    ]
    return fit_stills(stills, "P 21 21 21", CONFIG, data.hkl, reference)


@pytest.fixture(scope="module")
def data():
    return neighbours()


@pytest.fixture(scope="module")
def record(data):
    return integrated_of(fit(data, data.reference), data.crystals)


def drawn(generator, scale=1.0, systematic=0.0, count=400, images=6):
    """Measurements of known intensities whose errors are larger than stated."""
    truth = generator.exponential(100.0, count)
    unique, image = np.repeat(np.arange(count), images), np.tile(np.arange(images), count)
    sigma = generator.uniform(3, 10, len(unique))
    true_sigma = scale * np.sqrt(sigma**2 + (systematic * truth[unique]) ** 2)
    value = truth[unique] + true_sigma * generator.normal(size=len(unique))
    return Observations(unique, image, unique % 2 == 0, value, sigma, count), truth


# --- merging


def test_merged_means_are_weighted_and_their_errors_are_the_scatter():
    told, truth = drawn(np.random.default_rng(1))
    found = merge(told)
    pulls = (found.mean - truth) / found.sigma
    assert pulls.std() == pytest.approx(1, abs=4 / np.sqrt(2 * 400))
    assert (found.number == 6).all()
    one = np.arange(6)
    assert found.mean[0] == pytest.approx(np.average(told.value[one], weights=told.sigma[one] ** -2.0))
    nothing = merge(told, told.unique > 0)
    assert np.isnan(nothing.mean[0])
    assert nothing.number[0] == 0


def test_halves_are_of_images_and_share_none():
    told, _ = drawn(np.random.default_rng(2))
    first, second = half_sets(told, np.random.default_rng(3))
    assert (first.number == 3).all()
    assert (second.number == 3).all()
    whole = merge(told)
    weights = first.sigma**-2.0, second.sigma**-2.0
    np.testing.assert_allclose((weights[0] * first.mean + weights[1] * second.mean) / sum(weights), whole.mean)
    alone = Observations(
        *(getattr(told, n)[told.image == 0] for n in ("unique", "image", "plus", "value", "sigma")), 400
    )
    with pytest.raises(InputError, match="at least 2 images; 1 came"):
        half_sets(alone, np.random.default_rng(3))


@pytest.mark.parametrize(("scale", "systematic"), [(1.0, 0.2), (1.5, 0.1)])
def test_the_error_model_is_the_one_drawn(scale, systematic):
    told, truth = drawn(np.random.default_rng(4), scale, systematic, count=1500)
    found = error_model(told)
    assert found.scale == pytest.approx(scale, rel=0.1)
    assert found.systematic == pytest.approx(systematic, rel=0.15)
    pulls = (told.value - truth[told.unique]) / with_errors(told, found).sigma
    assert pulls.std() == pytest.approx(1.0, abs=0.08)


def test_errors_stay_where_nothing_is_measured_twice():
    told, _ = drawn(np.random.default_rng(5), images=1)
    assert error_model(told).scale == 1.0
    np.testing.assert_array_equal(with_errors(told, error_model(told)).sigma, told.sigma)


# --- figures


def test_closed_forms_of_the_figures():
    assert cc_star(1.0) == 1.0
    assert cc_star(1 / 3) == pytest.approx(np.sqrt(0.5))
    assert np.isnan(cc_star(-0.1))
    one, other = np.array([10.0, 20.0]), np.array([12.0, 18.0])
    assert r_split(one, other) == pytest.approx(4 / np.sqrt(2) / 30)
    assert np.isnan(r_split(-one, -other))


def test_cc_star_is_the_correlation_with_the_truth():
    told, truth = drawn(np.random.default_rng(6), scale=8.0, count=4000)
    halves = half_sets(told, np.random.default_rng(7))
    found = quality(merge(told), halves, np.ones(4000), truth, np.random.default_rng(8), shells=1)
    assert found.cc_half < 0.95
    assert found.cc_star == pytest.approx(found.cc_reference, abs=4 * 0.01)
    assert abs(found.cc_chance_mean) < 4 / np.sqrt(4000)
    assert found.cc_chance == pytest.approx(1 / np.sqrt(4000), rel=0.6)


def test_the_resolution_limit_says_its_rule():
    def shell(highest, half, pairs=100, ratio=5.0):
        return Quality(9.0, highest, 100, 200, pairs, ratio, half, 0.9, 0.1, 0.9, 0.1, 0.0)

    found = resolution_limit([shell(4.0, 0.9), shell(3.0, 0.5), shell(2.5, 0.2), shell(2.2, 0.8)])
    assert (found.resolution, found.rule) == (3.0, "CC1/2 >= 0.3 in each shell up to it")
    found = resolution_limit([shell(4.0, 0.9), shell(3.0, np.nan, pairs=2), shell(2.5, np.nan, pairs=2, ratio=0.5)])
    assert found.resolution == 3.0
    assert "1 of 2 shells have fewer than 10 pairs" in found.rule
    assert "no shell" in resolution_limit([shell(4.0, 0.1)]).rule


def test_shells_cover_every_measured_reflection_once(record):
    told = observations_of(record)
    merged = merge(told)
    inverse_d2 = np.zeros(len(record.intensities.hkl))
    inverse_d2[record.spots.unique] = record.spots.inverse_d2
    shells = by_shell(merged, half_sets(told, np.random.default_rng(1)), inverse_d2, record.intensities.reference,
                      np.random.default_rng(2), count=5)  # fmt: skip
    assert sum(shell.reflections for shell in shells) == (merged.number > 0).sum()
    assert sum(shell.measurements for shell in shells) == len(told.value)
    assert all(one.highest >= other.lowest - 1e-9 for one, other in itertools.pairwise(shells))
    assert shells[0].cc_half > 0.9


# --- no bias to the reference


def test_a_shuffled_reference_leaves_cc_half_and_correlates_with_nothing(data, record):
    """Each image is scaled to the reference: intensities must not follow it."""
    place = {tuple(one): n for n, one in enumerate(data.hkl.tolist())}
    d2 = np.sum((data.hkl / bench.CELL) ** 2, axis=1)
    shuffled = shuffled_in_shells(data.reference, d2, np.random.default_rng(11))
    null = integrated_of(fit(data, shuffled), data.crystals)
    figures = []
    for one in (record, null):
        told = observations_of(one, 0.3)
        inverse_d2 = np.zeros(len(one.intensities.hkl))
        inverse_d2[one.spots.unique] = one.spots.inverse_d2
        halves = half_sets(told, np.random.default_rng(1))
        figures.append(quality(merge(told), halves, inverse_d2, one.intensities.reference, np.random.default_rng(2)))
    error = (1 - figures[0].cc_half ** 2) / np.sqrt(figures[0].pairs - 3)
    assert figures[1].pairs > 100
    assert abs(figures[1].cc_half - figures[0].cc_half) < 3 * np.sqrt(2) * max(error, 0.005)
    assert abs(figures[1].cc_reference - figures[1].cc_chance_mean) < 3 * max(
        figures[1].cc_chance, 1 / np.sqrt(figures[1].reflections)
    )
    assert figures[0].cc_reference > 0.8
    assert len(place) == len(data.hkl)


# --- an image from its neighbours


def test_a_neighbour_s_photons_are_those_of_the_others_times_a_scale(record):
    """Without an error but counting's the model's error is small, and chi-square is 1."""
    found = left_out(record, 1, (0, 2), 50.0)
    assert found.reflections > 200
    assert found.correlation > 0.95
    assert found.model_error < 0.15
    assert found.chi2 == pytest.approx(1.0, abs=0.35)
    worse = left_out(record, 1, (0, 2), 50.0, partial=False)
    assert worse.model_error > 1.3 * found.model_error
    with pytest.raises(InputError, match="30 reflections that all its images measure"):
        left_out(replace(record, spots=replace(record.spots, hkl=np.cumsum(record.spots.hkl, axis=0))), 0, (1, 2))


def test_a_ratio_of_photons_is_that_drawn():
    generator = np.random.default_rng(12)
    truth = generator.exponential(100, 2000)
    sigma = np.full(2000, 15.0)
    one, other = (scale * truth + sigma * generator.normal(size=2000) for scale in (0.7, 1.0))
    assert ratio(one, sigma, other, sigma) == pytest.approx(0.7, abs=0.02)


# --- files


def test_the_record_comes_back_as_it_was(record, tmp_path):
    path = tmp_path / "integrated.h5"
    store.write(path, record)
    again = store.read(path, Integrated)
    np.testing.assert_array_equal(again.spots.photons, record.spots.photons)
    np.testing.assert_array_equal(again.images.axes, record.images.axes)
    np.testing.assert_array_equal(again.intensities.hkl, record.intensities.hkl)
    assert again.images.names == record.images.names
    assert again.instrument.names == record.instrument.names


def test_a_merged_file_holds_what_refinement_programs_look_for(record, tmp_path):
    path = tmp_path / "merged.mtz"
    told = observations_of(record)
    write_merged(path, record, told, np.random.default_rng(1))
    mtz = gemmi.read_mtz_file(str(path))
    kinds = {column.label: column.type for column in mtz.columns}
    assert kinds["IMEAN"] == "J"
    assert kinds["I(+)"] == kinds["I(-)"] == "K"
    assert kinds["SIGI(+)"] == "M"
    assert {"IHALF1", "IHALF2", "N", "IPOST", "SIGIPOST"} <= set(kinds)
    assert mtz.spacegroup.number == 19
    np.testing.assert_allclose(mtz.cell.parameters, record.cell, rtol=1e-5)
    assert mtz.datasets[1].wavelength == pytest.approx(1.0)
    rows = {tuple(int(i) for i in row[:3]): row for row in np.array(mtz.array)}
    merged = merge(told)
    labels = mtz.column_labels()
    for n in (0, 5, 50):
        row = rows[tuple(record.intensities.hkl[n].tolist())]
        np.testing.assert_allclose(row[labels.index("IMEAN")], merged.mean[n], rtol=1e-5)
        assert row[labels.index("N")] == merged.number[n]
    both = ~np.isnan(np.array(mtz.column_with_label("I(+)"))) & ~np.isnan(np.array(mtz.column_with_label("I(-)")))
    assert not both[record.intensities.centric.astype(bool)].any()
    as_cif = gemmi.MtzToCif()
    assert "_refln.intensity_meas" in as_cif.write_cif_to_string(mtz)


def test_an_unmerged_file_has_a_batch_for_each_image_and_no_partial_to_filter(record, tmp_path):
    path = tmp_path / "unmerged.mtz"
    write_unmerged(path, record)
    mtz = gemmi.read_mtz_file(str(path))
    assert [batch.number for batch in mtz.batches] == [1, 2, 3, 4]
    assert mtz.batches[0].wavelength == pytest.approx(1.0)
    assert np.allclose(mtz.batches[0].cell.parameters, bench.CELL.tolist() + [90] * 3, rtol=1e-3)
    isym = np.array(mtz.column_with_label("M/ISYM"))
    assert (isym >= 1).all()
    assert (isym < 256).all()
    assert (np.array(mtz.column_with_label("FRACTIONCALC")) == 1).all()
    mtz.switch_to_original_hkl()
    found = {(*(int(i) for i in row[:3]), int(row[4])) for row in np.array(mtz.array)}
    use = record.spots.outlier == 0
    expected = {
        (*hkl.tolist(), int(image) + 1)
        for hkl, image in zip(record.spots.hkl[use], record.spots.image[use], strict=True)
    }
    assert found == expected
    mates = gemmi.Intensities()
    mates.import_mtz(gemmi.read_mtz_file(str(path)), gemmi.DataType.Unmerged)
    mates.merge_in_place(gemmi.DataType.Mean)
    ours = merge(observations_of(record, 1e-9))
    by_gemmi = dict(zip(map(tuple, mates.miller_array.tolist()), mates.value_array.tolist(), strict=True))
    for n in np.flatnonzero(ours.number > 0)[::40]:
        assert by_gemmi[tuple(record.intensities.hkl[n].tolist())] == pytest.approx(ours.mean[n], rel=1e-4)


def test_the_orientation_in_a_batch_s_header_turns_the_cell_into_the_crystal(record, tmp_path):
    path = tmp_path / "unmerged.mtz"
    write_unmerged(path, record)
    batch = gemmi.read_mtz_file(str(path)).batches[2]
    rotation = np.array([batch.floats[n] for n in range(6, 15)]).reshape(3, 3).T
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-5)
    axes = rotation @ np.array(batch.cell.orth.mat.tolist())
    np.testing.assert_allclose(axes.T, record.images.axes[2], atol=1e-3)


def test_one_image_exports_too(record, tmp_path):
    spots = record.spots
    alone = {name: getattr(spots, name)[spots.image == 0] for name in spots.__dataclass_fields__}
    single = replace(record, spots=replace(spots, **alone))
    told = observations_of(single)
    write_merged(tmp_path / "one.mtz", single, told, np.random.default_rng(1))
    mtz = gemmi.read_mtz_file(str(tmp_path / "one.mtz"))
    assert np.isnan(np.array(mtz.column_with_label("IHALF1"))).all()
    assert np.isfinite(np.array(mtz.column_with_label("IMEAN"))).sum() == (merge(told).number > 0).sum()
    write_unmerged(tmp_path / "one_unmerged.mtz", single)
    assert gemmi.read_mtz_file(str(tmp_path / "one_unmerged.mtz")).nreflections > 50


def test_a_set_is_written_with_its_figures_and_the_table_of_its_images(record, tmp_path):
    process = {"program": "madpipe", "version": "0", "date": "now", "note_1": "{}"}
    found = write_set(tmp_path / "merged.mtz", record, 0.1, 0, process)
    assert read_json(tmp_path / "merged.json", MergedQuality) == found
    rows = tables.records(tables.read_csv(tmp_path / "merged_images.csv", IMAGE_TABLE))
    assert [row["image"] for row in rows] == record.images.names.split("\n")
    assert [row["ln_G"] for row in rows] == pytest.approx(record.images.ln_scale)
    batches = gemmi.read_mtz_file(str(tmp_path / "merged_images.mtz")).batches
    assert len(batches) == len(rows) == found.images == 4


def test_nothing_to_merge_is_said(record):
    with pytest.raises(InputError, match="the file lacks them"):
        observations_of(replace(record, spots=None))
    hidden = replace(record.spots, outlier=np.ones_like(record.spots.outlier))
    with pytest.raises(InputError, match="none of a good image is left"):
        observations_of(replace(record, spots=hidden))
