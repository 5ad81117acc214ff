"""Whatever a file holds, `convert` and `fit` make an answer or say in one line what is wrong; nothing is left behind.

By hypothesis, which draws fields, texts and bytes that are odd in one or two places. ``make fuzz`` draws MADPIPE_FUZZ
times as many.
"""

import os
import warnings

import numpy as np
import pytest
import strange
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madpipe.base import store
from madpipe.base.errors import InputError
from madpipe.base.warned import DataWarning
from madpipe.mad.config import FitConfig, MeasuredSample
from madpipe.mad.fit.files import fit_file
from madpipe.mad.measured.convert import convert
from madpipe.rocking.config import MeasuredCurve
from madpipe.rocking.measured.curve import read_curve, read_instrument

TIMES = int(os.environ.get("MADPIPE_FUZZ", "1"))
FITTED = []  # which kinds of files were good enough for an answer
QUICK = FitConfig(max_iterations=5)


def drawn(count):
    """So many examples, the same ones each time unless more are asked for."""
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("strange")


def refusal(work):
    """The line with which something is refused; None where it is done. Warnings of libraries are faults too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DataWarning)
        try:
            work()
        except InputError as error:
            said = str(error)
        else:
            return None
    assert "\n" not in said
    assert len(said) < 1500
    return said


def ends_well(folder, path, times=1, **told):
    """Convert and fit; only an InputError of one line may come, and nothing but inputs and whole answers is left."""
    stack, answer = folder / "stack.h5", folder / "fit.h5"
    for made in folder.iterdir():  # of the example before
        if made != path:
            made.unlink()

    def work():
        store.write(stack, convert(MeasuredSample(path=(str(path),) * times, **told)))
        fit_file(stack, answer, QUICK)

    said = refusal(work)
    assert answer.exists() == (said is None)
    FITTED.append((path.suffix, said is None))
    assert {one.name for one in folder.iterdir()} <= {path.name, stack.name, answer.name}


@drawn(150)
@given(data=st.data())
def test_odd_numpy_archives_and_hdf5_files_end_well(place, data):
    fields = data.draw(strange.measurements())
    kind, write = data.draw(st.sampled_from([("npz", strange.write_npz), ("h5", strange.write_hdf5)]))
    path = place / f"run.{kind}"
    write(path, fields, data.draw)
    ends_well(place, path, element="Ni", f0=data.draw(st.sampled_from([None, 24.0])))


@drawn(120)
@given(data=st.data())
def test_damaged_files_end_well(place, data):
    path = place / f"run.{data.draw(st.sampled_from(['npz', 'h5']))}"
    strange.write_good(path)
    path.write_bytes(strange.damaged(data.draw, path.read_bytes()))
    ends_well(place, path)


@drawn(90)
@given(data=st.data())
def test_odd_texts_of_reflections_end_well(place, data):
    kind, good = data.draw(st.sampled_from([("mad", strange.NANOMAD), ("sca", strange.SCALEPACK)]))
    path = place / f"run.{kind}"
    path.write_bytes(data.draw(strange.texts(good)))
    if kind == "mad":
        ends_well(place, path)
    else:
        ends_well(place, path, times=3, element="Ni", energies_ev=(8313.0, 8333.0, 8348.0))


@drawn(60)
@given(data=st.data())
def test_odd_mtz_files_end_well(place, data):
    path = place / "run.mtz"
    strange.write_mtz(path, data.draw)
    if data.draw(st.integers(0, 3)) == 0:
        path.write_bytes(strange.damaged(data.draw, path.read_bytes()))
    ends_well(place, path, element="Se")


@drawn(90)
@given(data=st.data())
def test_odd_curves_are_read_or_refused_in_a_line(place, data):
    path = place / "curve.txt"
    path.write_bytes(data.draw(strange.texts(strange.CURVE)))
    refusal(lambda: read_curve(path, MeasuredCurve(path=str(path))))
    refusal(lambda: read_instrument(path))


def test_what_is_drawn_from_is_good(place):
    """Else all would end at the first check."""
    for kind in ("npz", "h5"):
        path = place / f"run.{kind}"
        strange.write_good(path)
        converted = convert(MeasuredSample(path=(str(path),), element="Ni", f0=24.0))
        assert np.array_equal(converted.data, strange.COUNTS)
