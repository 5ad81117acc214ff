"""Frozen configuration models: unknown keys refused with the nearest one, overlays merged, YAML written."""

import difflib
import os
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, PlainSerializer, ValidationError
from pydantic.fields import FieldInfo

from madpipe.base.errors import InputError, is_control, one_line
from madpipe.base.files import require_file, require_memory


class Model(BaseModel):
    """A section of the configuration: frozen, unknown keys forbidden, every field described with its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


AnyModel = TypeVar("AnyModel", bound=Model)
_INPUT_FILE = "input file"
_LONGEST = 200  # characters of a value in an error
_MOST_NODES = 1_000_000  # of a YAML file: a thousand times the default configuration
# A key of this type names a file that a job reads. In plain values, which results keep, it has no folder: that is this
# machine's, and the file's content is among the result's inputs.
InputFile = Annotated[
    str, _INPUT_FILE, PlainSerializer(lambda path: Path(path).name, return_type=str, when_used="json")
]


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
# Folders that a study's rules make beside those of its samples, whichever study it is; compared without regard to case,
# as some file systems do.
RESERVED = frozenset(
    {"figures", "network", "ablation", "evaluation", "testsuite", "unet_patches", "logs", "paper", "parts"}
)


def _sample_name(name: str) -> str:
    """Refuse a sample's name that is no name of a folder of its own."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a sample's name, which is its folder's, needs letters, digits, '.', '_' and '-', at most 100, the first a "
            "letter, digit or '_'"
        )
    if name.lower() in RESERVED:
        raise ValueError(
            f"a sample's name must not be that of a folder of the workflow ({', '.join(sorted(RESERVED))})"
        )
    return name


def _folder(path: str) -> str:
    """Refuse what is no folder of its own, or a name that Snakemake or a shell would take for something else."""
    if any(is_control(one) or one in _NOT_IN_FOLDERS for one in path):
        raise ValueError(f"a folder's name is required without any of {_NOT_IN_FOLDERS} and line breaks")
    if set(Path(os.path.normpath(path.strip() or ".")).parts) <= {".", "..", "/"} or path.startswith("~"):
        raise ValueError("a folder of its own is required, such as results")
    return path


_NOT_IN_FOLDERS = "{}*?[]<>|;&$`'\"\\!"
SampleName = Annotated[str, AfterValidator(_sample_name)]
Folder = Annotated[str, AfterValidator(_folder)]


def _kind_of_sample(values: object) -> str:
    """Tell which kind of sample a section is, told or validated: one with a path is measured."""
    has_path = "path" in values if isinstance(values, Mapping) else hasattr(values, "path")
    return "measured" if has_path else "simulated"


KIND_OF_SAMPLE = Discriminator(_kind_of_sample)  # of a union whose parts have the tags measured and simulated


def input_files(section: Model) -> dict[str, tuple[str, ...]]:
    """Give the files that a section names, by its keys of the type :data:`InputFile`, in the order of its fields."""
    found = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value is not None and (_INPUT_FILE in field.metadata or _mentions_file(field.annotation)):
            found[name] = (value,) if isinstance(value, str) else tuple(value)
    return found


def _mentions_file(annotation: Any) -> bool:
    """Say whether an annotation is of files: one, several, or none."""
    inner = typing.get_args(annotation)
    return _INPUT_FILE in getattr(annotation, "__metadata__", ()) or any(map(_mentions_file, inner))


def with_files(section: AnyModel, paths: Sequence[str]) -> AnyModel:
    """Put other paths in the place of all files that a section names, in the order of :func:`input_files`."""
    left = list(paths)
    changed: dict[str, Any] = {}
    for name, files in input_files(section).items():
        taken, left = left[: len(files)], left[len(files) :]
        changed[name] = taken[0] if isinstance(getattr(section, name), str) else tuple(taken)
    return section.model_copy(update=changed)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one YAML mapping.

    Raises
    ------
    InputError
        No such file, not a YAML mapping, a key twice, or nested without end.
    """
    path = require_file(path, "configuration file")
    require_memory(str(path), path.stat().st_size)
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_OnceLoader) or {}
    except RecursionError as error:
        raise InputError(f"{path}: needs a few levels of sections; they are nested too deeply; mend it.") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: needs valid YAML; got: {one_line(error)}; mend it.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: needs key: value pairs at the top; got {type(content).__name__}; mend it.")
    return content


class _OnceLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML's own loader takes the last, and endless aliases."""

    def get_single_data(self) -> Any:
        """Make the document's values; the nodes that aliases repeat are counted as often as they are repeated."""
        node = self.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > _MOST_NODES:
            raise yaml.constructor.ConstructorError(problem=f"more than {_MOST_NODES} values, by aliases of aliases")
        return self.construct_document(node)


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the nodes of a document, those that an alias names each time, and look at the keys of each mapping."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1  # of a node inside itself
        parts = [] if isinstance(node, yaml.ScalarNode) else node.value
        if isinstance(node, yaml.MappingNode):
            _require_each_key_once(node)
            parts = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(node)]


def _require_each_key_once(node: yaml.MappingNode) -> None:
    """Refuse a mapping with a key twice."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            raise yaml.constructor.ConstructorError(
                problem=f"the key {name!r} stands in line {lines[name]} and again in line {line}: once is required"
            )
        lines[name] = line


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Lay an overlay over a configuration: mappings merge, anything else is replaced, null removes a key."""
    merged = dict(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def dropped_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out every key whose value is null: so an overlay takes a key of the base configuration away."""
    return {
        key: dropped_nulls(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def validate(model: type[AnyModel], values: Mapping[str, Any]) -> AnyModel:
    """Turn plain values into a model.

    Raises
    ------
    InputError
        One line, each fault with its place, what is required, what came; for an unknown key the nearest one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [_fault(model, values, item) for item in error.errors()]
        raise InputError("; ".join(dict.fromkeys(faults)) + ".") from error


def _fault(model: type[Model], values: Mapping[str, Any], item: Any) -> str:
    """One fault of a configuration in words."""
    where = ".".join(_keys_to(values, item["loc"]))
    if item["type"] == "extra_forbidden":
        known = sorted(_known_keys(model, item["loc"][:-1]))
        nearest = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
        advice = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
        return f"config key {where!r} is unknown; {advice}"
    if item["type"] == "missing":
        missing = ".".join(filter(None, (where, item["loc"][-1])))
        return f"config key {missing!r} is required; it is missing; add it"
    needs, came = str(item["msg"]).removeprefix("Value error, "), repr(item["input"])
    return (
        f"config key {where!r}: {needs}; got {came if len(came) <= _LONGEST else came[:_LONGEST] + '...'}; correct it"
    )


def _keys_to(values: Any, location: Sequence[Any]) -> Iterator[str]:
    """Keys on the way to a fault; a name that the values do not hold is a kind of section, not a key."""
    for name in location:
        is_entry = isinstance(values, list | tuple) and isinstance(name, int)
        if is_entry or (isinstance(values, Mapping) and name in values):
            values = values[name]
            yield str(name)


def _keys(model: type[Model]) -> dict[str, FieldInfo]:
    """Fields of a model by their key in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _known_keys(model: type[Model], path: Sequence[Any]) -> set[str]:
    """Keys allowed where an unknown one was found: those of the union of models reachable by the path."""
    models = [model]
    for name in path:
        fields = [_keys(one)[name].annotation for one in models if name in _keys(one)]
        models = [found for field in fields for found in _models_in(field)] or models
    return {key for one in models for key in _keys(one)}


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    """Every model that an annotation mentions."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, Model):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models_in(inner)


def plain(section: Model) -> dict[str, Any]:
    """Give a section as plain values, without what is None: as a rule hands it to its job, and as a result keeps it."""
    return section.model_dump(mode="json", by_alias=True, exclude_none=True)


def value_at(values: Any, words: Sequence[str]) -> Any:
    """Look up the value below a key's words in plain values; None where there is nothing."""
    for word in words:
        values = values.get(word) if isinstance(values, Mapping) else None
    return values


def to_yaml(model: Model) -> str:
    """Write a model as YAML with every field's description as a comment above it."""
    return "\n".join(_lines(model, 0)) + "\n"


def _lines(model: Model, depth: int) -> Iterator[str]:
    """Lines of one section; optional fields at None are left out, as YAML null removes a key."""
    indent = "  " * depth
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        key = field.alias or name
        if value is None:
            continue
        yield f"{indent}# {field.description}"
        if isinstance(value, Model):
            yield f"{indent}{key}:"
            yield from _lines(value, depth + 1)
        elif isinstance(value, Mapping) and any(isinstance(inner, Model) for inner in value.values()):
            yield f"{indent}{key}:"
            for entry, inner in value.items():
                changed = list(_changed_lines(inner, depth + 2))
                yield f"{indent}  {_scalar(entry)}:{'' if changed else ' {}'}"
                yield from changed
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _changed_lines(model: Model, depth: int) -> Iterator[str]:
    """Lines of one entry of a table of models: only what differs from the defaults."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name not in model.model_fields_set or value is None:
            continue
        inner = list(_changed_lines(value, depth + 1)) if isinstance(value, Model) else []
        yield f"{'  ' * depth}{field.alias or name}:{'' if inner else f' {_scalar(value)}'}"
        yield from inner


def _scalar(value: Any) -> str:
    """One value in YAML's flow style, on one line."""
    return (
        yaml.dump(_told(value), Dumper=_OneLine, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
    )


def _told(value: Any) -> Any:
    """A value as YAML has it: of a model only what was told."""
    if isinstance(value, Model):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _told(one) for key, one in value.items()}
    return [_told(one) for one in value] if isinstance(value, tuple | list) else value


class _OneLine(yaml.SafeDumper):
    """Writes a line break as an escape: as it is, it would run over lines, which a key must not."""


_OneLine.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None),
)
