"""Frozen configuration models: unknown keys refused with the nearest known one, overlays merged, YAML written back."""

import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from madpipe.base.errors import InputError


class Model(BaseModel):
    """A section of the configuration: frozen, unknown keys forbidden, every field described with its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


AnyModel = TypeVar("AnyModel", bound=Model)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one YAML mapping.

    Raises
    ------
    InputError
        No such file, or not a YAML mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: needs an existing configuration file; there is none; check the path.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: needs valid YAML; got: {' '.join(str(error).split())}; mend it.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: needs key: value pairs at the top; got {type(content).__name__}; mend it.")
    return content


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Lay an overlay over a configuration: mappings are merged, anything else is replaced, null removes a key."""
    merged = dict(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def validate(model: type[AnyModel], values: Mapping[str, Any]) -> AnyModel:
    """Turn plain values into a model.

    Raises
    ------
    InputError
        One line per fault: where it is, what is required, what came; for an unknown key the nearest known one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [_fault(model, item) for item in error.errors()]
        raise InputError("; ".join(dict.fromkeys(faults)) + ".") from error


def _fault(model: type[Model], item: Any) -> str:
    """One fault of a configuration in words."""
    where = ".".join(str(name) for name in item["loc"] if name not in ("measured", "simulated"))
    if item["type"] == "extra_forbidden":
        known = sorted(_known_keys(model, item["loc"][:-1]))
        nearest = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
        advice = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
        return f"config key {where!r} is unknown; {advice}"
    if item["type"] == "missing":
        return f"config key {where!r} is required; it is missing; add it"
    return f"config key {where!r}: {item['msg']}; got {item['input']!r}; correct it"


def _known_keys(model: type[Model], path: Sequence[Any]) -> set[str]:
    """Keys allowed where an unknown one was found: those of the union of models reachable by the path."""
    models = [model]
    for name in path:
        fields = [one.model_fields[name].annotation for one in models if name in one.model_fields]
        models = [found for field in fields for found in _models_in(field)] or models
    return {name for one in models for name in one.model_fields}


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    """Every model that an annotation mentions."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, Model):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models_in(inner)


def to_yaml(model: Model) -> str:
    """Write a model as YAML with every field's description as a comment above it."""
    return "\n".join(_lines(model, 0)) + "\n"


def _lines(model: Model, depth: int) -> Iterator[str]:
    """Lines of one section; optional fields at None are left out, as YAML null removes a key."""
    indent = "  " * depth
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None:
            continue
        yield f"{indent}# {field.description}"
        if isinstance(value, Model):
            yield f"{indent}{name}:"
            yield from _lines(value, depth + 1)
        elif isinstance(value, Mapping):
            yield f"{indent}{name}:"
            for key, inner in value.items():
                yield f"{indent}  {key}:"
                yield from _changed_lines(inner, depth + 2)
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _changed_lines(model: Model, depth: int) -> Iterator[str]:
    """Lines of one entry of a table of models: only what differs from the defaults."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name in model.model_fields_set and value is not None:
            yield f"{'  ' * depth}{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    """One value in YAML's flow style, on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
