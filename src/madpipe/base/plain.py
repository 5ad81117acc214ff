"""Records as plain values and back: frozen dataclasses on one side, what JSON holds on the other, types checked.

A field's key is its name. A field that has its default is left out of the plain values, so that what does not apply is
absent there; None without being a default is null. :func:`told` gives a field its unit and meaning, another key, or
puts a mapping's entries among the record's own.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from madpipe.base.errors import InputError, one_line
from madpipe.base.files import require_file, require_memory

Kind = TypeVar("Kind")
_SCALARS = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
_AGAIN = "it may come from another version: make it again"


def told(meaning: str = "", unit: str = "", *, key: str = "", inline: bool = False) -> Any:
    """Declare a dataclass field with its meaning and unit.

    Parameters
    ----------
    key:
        In the plain values, where it is not the field's name.
    inline:
        The field is a mapping whose entries stand among the record's own; at most one field of a record.
    """
    return dataclasses.field(metadata={"meaning": meaning, "unit": unit, "key": key, "inline": inline})


@cache
def keys_of(record: type) -> dict[str, dataclasses.Field[Any]]:
    """Give the fields of a record by their keys in the plain values."""
    return {field.metadata.get("key") or field.name: field for field in dataclasses.fields(record)}


@cache
def kinds_of(record: type) -> dict[str, Any]:
    """Give the type of each field of a record by the field's name."""
    return typing.get_type_hints(record)


def to_plain(value: Any) -> Any:
    """Turn records, and configurations, at any depth into mappings, lists, text, numbers and None."""
    if dataclasses.is_dataclass(value):
        return dict(_entries(value))
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: to_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    return value


def _entries(record: Any) -> Iterator[tuple[str, Any]]:
    """Keys and plain values of a record, in the order of its fields."""
    kind: Any = type(record)
    for key, field in keys_of(kind).items():
        value = getattr(record, field.name)
        if field.metadata.get("inline"):
            yield from to_plain(value).items()
        elif not _is_default(value, field):
            yield key, to_plain(value)


def _is_default(value: Any, field: dataclasses.Field[Any]) -> bool:
    """Say whether a field has the value that it would have unsaid."""
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and bool(value == field.default)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    """Say whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def from_plain(kind: type[Kind], value: Any, where: str = "") -> Kind:
    """Make a record from plain values.

    Parameters
    ----------
    kind:
        A dataclass of records, configurations, numbers, text, Literals, and of lists, mappings and ``| None`` of these.
    value:
        What :func:`to_plain` gave, or JSON.
    where:
        What to call it in an error: its file.

    Raises
    ------
    InputError
        A key is unknown or missing, or a value of another type.
    """
    made: Kind = _made(kind, value, where)
    return made


def read_json(path: str | Path, kind: type[Kind]) -> Kind:
    """Read a JSON file as a record; who made it, its key ``process``, is left out.

    Raises
    ------
    InputError
        No such file, no JSON, or another record's.
    """
    path = require_file(path, "JSON file")
    require_memory(str(path), path.stat().st_size)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: needs complete JSON; got: {one_line(error)}; make it again.") from error
    if isinstance(content, dict):
        content.pop("process", None)
    return from_plain(kind, content, str(path))


def _made(kind: Any, value: Any, where: str) -> Any:
    """A value of any of the kinds that a record may hold."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        inner = next(one for one in typing.get_args(kind) if one is not type(None))
        return None if value is None else _made(inner, value, where)
    if dataclasses.is_dataclass(kind):
        return _record(kind, _of_type(dict, value, "an object", where), where)
    if origin is not None:
        return _collected(kind, origin, value, where)
    if issubclass(kind, BaseModel):
        return _model(kind, value, where)
    wanted = (int, float) if kind is float else kind
    fits = isinstance(value, wanted) and (kind is bool or not isinstance(value, bool))
    return kind(value) if fits else _refuse(_SCALARS[kind], value, where)


def _collected(kind: Any, origin: Any, value: Any, where: str) -> Any:
    """A Literal, a mapping or a sequence."""
    inner = typing.get_args(kind)
    if origin is typing.Literal:
        return value if value in inner else _refuse(f"one of {', '.join(map(str, inner))}", value, where)
    if issubclass(origin, Mapping):
        items = _of_type(dict, value, "an object", where).items()
        return {_made(inner[0], key, where): _made(inner[1], one, f"{where}: {key}") for key, one in items}
    members = _of_type(list, value, "a list", where)
    return (list if origin is list else tuple)(_made(inner[0], one, where) for one in members)


def _record(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    """A dataclass; what none of its keys names goes to its inline mapping, where it has one."""
    fields, kinds = keys_of(kind), kinds_of(kind)
    own = {key: field for key, field in fields.items() if not field.metadata.get("inline")}
    inline = [field.name for field in fields.values() if field.metadata.get("inline")]
    rest = {key: one for key, one in values.items() if key not in own}
    missing = [key for key, one in own.items() if key not in values and _is_required(one)]
    if missing or (rest and not inline):
        _keys_differ(kind.__name__, missing, list(rest) if not inline else [], where)
    made = {
        field.name: _made(kinds[field.name], values[key], f"{where}: {key}")
        for key, field in own.items()
        if key in values
    }
    return kind(**made, **{name: _made(kinds[name], rest, where) for name in inline})


def _model(kind: type[BaseModel], value: Any, where: str) -> Any:
    """A configuration."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{where}: needs a {kind.__name__}; got: {one_line(error)}; {_AGAIN}.") from error


def _of_type(wanted: type[Kind], value: Any, words: str, where: str) -> Kind:
    """A value that is of a type."""
    return value if isinstance(value, wanted) else _refuse(words, value, where)


def _refuse(words: str, value: Any, where: str) -> Any:
    """Say what is needed and what came."""
    raise InputError(f"{where}: needs {words}; got {one_line(ValueError(repr(value)))}; {_AGAIN}.")


def _keys_differ(name: str, missing: Sequence[str], unknown: Sequence[str], where: str) -> None:
    """Say which keys are missing and which are unknown."""
    words = [f"{', '.join(missing)} missing"] if missing else []
    words += [f"{', '.join(unknown)} unknown"] if unknown else []
    raise InputError(f"{where}: needs the keys of {name}; got {' and '.join(words)}; {_AGAIN}.")
