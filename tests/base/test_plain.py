"""Records as plain values: there and back, in the order of the fields; anything else is refused with one line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from madpipe.base import store
from madpipe.base.config import Model
from madpipe.base.errors import InputError
from madpipe.base.plain import from_plain, read_json, to_plain, told


class Setting(Model):
    counts: float = 1.0


@dataclass(frozen=True)
class Inner:
    value: float
    limit: float | None


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: Literal["one", "two"]
    setting: Setting
    numbers: tuple[float, ...]
    maybe: int | None = None
    inner: Mapping[str, Inner]
    listed: list[Inner]
    flag: bool = told("whether it is", key="is it")
    rest: dict[Literal["a", "b"], float] = told(inline=True)
    last: str


RECORD = Outer(
    name="one",
    setting=Setting(counts=2.0),
    numbers=(1.0, 1e-300),
    inner={"x": Inner(1.5, None)},
    listed=[Inner(0.0, 1.0)],
    flag=True,
    rest={"b": 1.0, "a": 2.0},
    last="",
)
PLAIN = {
    "name": "one",
    "setting": {"counts": 2.0},
    "numbers": [1.0, 1e-300],
    "inner": {"x": {"value": 1.5, "limit": None}},
    "listed": [{"value": 0.0, "limit": 1.0}],
    "is it": True,
    "b": 1.0,
    "a": 2.0,
    "last": "",
}


def test_a_record_becomes_plain_in_the_order_of_its_fields_and_comes_back():
    assert json.dumps(to_plain(RECORD)) == json.dumps(PLAIN)
    assert from_plain(Outer, json.loads(json.dumps(PLAIN))) == RECORD


def test_what_may_be_left_out_is_there_where_it_is_not_none():
    more = from_plain(Outer, {**PLAIN, "maybe": 3})
    assert more.maybe == 3
    assert list(to_plain(more))[3] == "maybe"


def test_a_whole_number_stands_for_a_number():
    inner = from_plain(Inner, {"value": 1, "limit": 2})
    assert (type(inner.value), type(inner.limit)) == (float, float)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "three"}, "file: name: needs one of one, two; got 'three'; it may come from another version"),
        ({"numbers": 1.0}, "file: numbers: needs a list; got 1.0"),
        ({"numbers": ["1"]}, "file: numbers: needs a number; got '1'"),
        ({"numbers": [True]}, "needs a number; got True"),
        ({"maybe": 1.5}, "file: maybe: needs a whole number; got 1.5"),
        ({"maybe": False}, "file: maybe: needs a whole number; got False"),
        ({"is it": 1}, "file: is it: needs true or false; got 1"),
        ({"inner": {"x": 3}}, "file: inner: x: needs an object; got 3"),
        ({"inner": {"x": {"value": 1.0}}}, "file: inner: x: needs the keys of Inner; got limit missing"),
        ({"inner": {"x": {"value": 1.0, "limit": 1.0, "y": 2}}}, "got y unknown; it may come from another version"),
        ({"c": 1.0}, "needs one of a, b; got 'c'"),
        ({"setting": {"count": 1}}, "file: setting: needs a Setting; got: "),
        ({"last": None}, "file: last: needs text; got None"),
    ],
)
def test_anything_else_is_refused_with_its_place(change, words):
    with pytest.raises(InputError, match=words) as caught:
        from_plain(Outer, {**PLAIN, **change}, "file")
    assert "\n" not in str(caught.value)


def test_json_is_read_without_who_made_it(tmp_path):
    store.write_json(tmp_path / "x.json", Inner(1.0, None), process={"program": "madpipe", "note_1": "{}"})
    assert json.loads((tmp_path / "x.json").read_text())["process"]["program"] == "madpipe"
    assert read_json(tmp_path / "x.json", Inner) == Inner(1.0, None)
    (tmp_path / "x.json").write_text('{"value": 1')
    with pytest.raises(InputError, match=r"x\.json: needs complete JSON"):
        read_json(tmp_path / "x.json", Inner)
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match=r"x\.json: needs an object; got \[\]"):
        read_json(tmp_path / "x.json", Inner)
    with pytest.raises(InputError, match=r"y\.json: needs an existing JSON file"):
        read_json(tmp_path / "y.json", Inner)
