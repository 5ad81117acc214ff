"""The whole configuration: what every study shares, and a section per study; and the files that config/ has of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, create_model

from madpipe.base.config import Folder, Model, to_yaml
from madpipe.base.errors import InputError
from madpipe.studies import BY_NAME, STUDIES


class Shared(Model):
    """What every study shares."""

    results: Folder = Field("results", description="folder of the results, relative to the working directory")
    logs: Folder = Field("logs", description="folder of the logs, relative to the working directory")
    seed: int = Field(2026, description="seed that every job's generator is derived from")
    studies: tuple[Literal[*BY_NAME], ...] = Field(tuple(BY_NAME), description="studies that the workflow runs")


_sections: dict[str, Any] = {
    study.name: (study.config, Field(study.config(), description=study.about)) for study in STUDIES
}
Config: type[Any] = create_model(
    "Config",
    __base__=Shared,
    __doc__="The whole configuration.",
    **_sections,
)
DEFAULT = Config.model_validate({study.name: {"samples": study.samples} for study in STUDIES})
RESOLVED_HEAD = "# madpipe "  # how the configuration beside results begins
_HEADS = {
    "smoke": "The whole workflow on tiny data: what `make smoke` and the tests run.",
    "weights": "The training of the weights that come with madpipe: what `make weights` runs.",
}


def written() -> dict[str, str]:
    """Give the files of config/ that are made from the studies, by name: the default run, and overlays."""
    return {"config.yaml": to_yaml(DEFAULT), **{f"{name}.yaml": _overlay(name) for name in _HEADS}}


def _overlay(name: str) -> str:
    """One overlay, its studies' sections one below the other."""
    sections: Mapping[str, object] = {
        "results": f"results/{name}",
        "logs": f"results/{name}/logs",
        **{study.name: study.overlays[name] for study in STUDIES if name in study.overlays},
    }
    head = f"# {_HEADS[name]}\n# Laid over config.yaml; null takes a key away. Made from each study.py: make configs.\n"
    return head + yaml.safe_dump(sections, default_flow_style=None, sort_keys=False, width=120)


def require_places(settings: Any, project: Path) -> None:
    """Refuse folders of results and logs in which a run would replace what is no result.

    Parameters
    ----------
    settings:
        The configuration.
    project:
        Folder of the checkout, or of the project that uses the workflow as a module.

    Raises
    ------
    InputError
        Such a folder holds the project or the working directory, or the results' own config.yaml would replace another.
    """
    for key, folder in (("results", settings.results), ("logs", settings.logs)):
        if any(place.is_relative_to(Path(folder).resolve()) for place in (project, Path.cwd())):
            raise InputError(
                f"config key {key!r}: a folder of its own is required; {folder!r} holds the project; take {key}, say."
            )
    resolved = Path(settings.results, "config.yaml")
    if resolved.is_file() and not resolved.read_text(encoding="utf-8", errors="replace").startswith(RESOLVED_HEAD):
        raise InputError(
            f"config key 'results': {resolved} would be replaced by the results' own; it is another's; take another "
            "folder, or move that file."
        )
