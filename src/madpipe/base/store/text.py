"""Plain values as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from madpipe.base.plain import to_plain
from madpipe.base.store.whole import whole_file


def write_json(path: str | Path, content: Any, *, process: Mapping[str, str] | None = None) -> None:
    """Write a record or plain values, a process as their key of this name, as JSON, whole or not at all; no NaN."""
    content = to_plain(content)
    content = {**content, "process": {**process, "note_1": json.loads(process["note_1"])}} if process else content
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
