"""The whole configuration: what every study shares, and a section per study; and the files that config/ has of it."""

from collections.abc import Mapping
from typing import Any, Literal

import yaml
from pydantic import Field, create_model

from madpipe.base.config import Model, to_yaml
from madpipe.studies import BY_NAME, STUDIES


class Shared(Model):
    """What every study shares."""

    results: str = Field("results", description="folder of the results, relative to the working directory")
    logs: str = Field("logs", description="folder of the logs, relative to the working directory")
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
