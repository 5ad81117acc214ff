"""What a field of a record is in a file: a dataset in a unit, or a record of its own below a group."""

import dataclasses
from typing import Any

Groups = dict[str, dict[str, str | list[str]]]  # attributes of a record's groups, by path


def entry(path: str, unit: str = "", *, optional: bool = False, **attributes: Any) -> Any:
    """Declare a dataclass field that is one dataset at path, in unit."""
    metadata = {"path": path, "unit": unit, "optional": optional, "attributes": attributes}
    absent: dict[str, Any] = {"default": None} if optional else {}
    return dataclasses.field(metadata=metadata, **absent)


def part(path: str, record: type) -> Any:
    """Declare an optional dataclass field that is a record of its own, kept below the group at path."""
    return dataclasses.field(default=None, metadata={"path": path, "record": record})


def is_whole() -> Any:
    """Declare the field that says whether a record holds every row of its file; it is not in the file itself."""
    return dataclasses.field(default=True)
