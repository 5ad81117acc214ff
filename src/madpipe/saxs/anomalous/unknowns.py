"""What a fit of an energy series moves: lengths, shares, and what is in doubt with a prior of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.saxs.anomalous.sample import Sample
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.model import Term
from madpipe.saxs.parameters import Parameter

OFFSET = "energy_offset"
_FARTHEST = {"ln": 0.7, "logit": 1.0}  # change in a step: a factor of 2 of a length
_LEAST_SHARE = 0.02  # where a search begins of an element that the formula lacks


@dataclass(frozen=True)
class Unknown:
    """A number that a fit moves.

    Attributes
    ----------
    parameter:
        Its name, unit and range.
    kind:
        ``shape``, ``share``, ``density``, ``offset``, ``table`` or ``scale``.
    prior:
        Mean and standard deviation, in its unit; none: the data alone tell.
    """

    parameter: Parameter
    kind: str
    prior: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """As the record calls it."""
        return self.parameter.name

    @property
    def farthest(self) -> float:
        """Largest change of the free number in a step of the search; a prior holds without a limit."""
        if self.prior is None or self.kind == "share":
            return _FARTHEST[self.parameter.scale]
        return np.inf


@dataclass(frozen=True)
class Unknowns:
    """Those that move, and values of the rest.

    Attributes
    ----------
    every:
        Names of all quantities by kind, in the order in which the equation takes them.
    moved:
        In order of their free numbers.
    held:
        Values of the others.
    """

    every: Mapping[str, tuple[str, ...]]
    moved: tuple[Unknown, ...]
    held: Mapping[str, float]
    started: Mapping[str, float] = field(default_factory=dict)  # where nothing else is known

    def of_kind(self, kind: str, numbers: Float[Tensor, "number *point"]) -> Float[Tensor, "quantity *point"]:
        """Values of all quantities of a kind."""
        places = {one.name: place for place, one in enumerate(self.moved)}
        found = [
            self.moved[places[name]].parameter.natural(numbers[places[name]])
            if name in places
            else numbers.new_full(numbers.shape[1:], self.held[name])
            for name in self.every[kind]
        ]
        return torch.stack(found) if found else numbers.new_zeros(0, *numbers.shape[1:])

    def natural(self, numbers: Float[np.ndarray, "number"]) -> dict[str, float]:
        """Every quantity's value as a plain number."""
        moved = torch.from_numpy(numbers)
        return {
            name: float(value)
            for kind, names in self.every.items()
            for name, value in zip(names, self.of_kind(kind, moved), strict=True)
        }

    def numbers(self, values: Mapping[str, float]) -> Float[np.ndarray, "number"]:
        """Free numbers of values, kept inside their ranges; of what is not told, where a search begins."""
        found = []
        for one in self.moved:
            low, high = one.parameter.low, one.parameter.high
            margin = 1e-4 * (high - low) if one.parameter.scale == "logit" else 0.0
            value = min(max(values.get(one.name, self.started[one.name]), low + margin), high - margin)
            found.append(float(one.parameter.free(torch.tensor(value, dtype=torch.float64))))
        return np.array(found)

    def without_doubts(self) -> "Unknowns":
        """Lengths and shares alone, all that has a prior of its own held at its mean."""
        kept = tuple(one for one in self.moved if one.kind in ("shape", "share"))
        means = {one.name: one.prior[0] for one in self.moved if one not in kept and one.prior is not None}
        return Unknowns(self.every, kept, {**self.held, **means}, self.started)

    def slopes(self, numbers: Float[np.ndarray, "number"]) -> Float[np.ndarray, "number"]:
        """Derivatives of the values by the free numbers."""
        moved = torch.from_numpy(numbers)
        return np.array([float(one.parameter.slope(moved[place])) for place, one in enumerate(self.moved)])

    def prior(
        self, numbers: Float[np.ndarray, "number"]
    ) -> tuple[Float[np.ndarray, "number"], Float[np.ndarray, "number"]]:
        """Standard deviations that values are from their priors, and derivatives by the free numbers; 0 without one."""
        off, slopes = np.zeros(len(numbers)), np.zeros(len(numbers))
        natural, steps = self.natural(numbers), self.slopes(numbers)
        for place, one in enumerate(self.moved):
            if one.prior is not None:
                off[place] = (natural[one.name] - one.prior[0]) / one.prior[1]
                slopes[place] = steps[place] / one.prior[1]
        return off, slopes


def unknowns_of(
    term: Term, sample: Sample, tables: Sequence[str], curves: int, reach: float, config: AnomalousFitConfig
) -> Unknowns:
    """List what a fit moves.

    Parameters
    ----------
    term:
        The particle.
    sample:
        What it is made of.
    tables:
        Elements whose f', f'' are in doubt.
    curves:
        How many there are.
    reach:
        Farthest offset of the energies [eV].
    config:
        Priors, and values that are held.

    Raises
    ------
    InputError
        A value held, a density or a share known otherwise of what the particle does not have.
    """
    listed = [
        *(Unknown(one, "shape") for one in term.parameters() if not one.name.endswith("_contrast_ratio")),
        *(_share(one.name, one.nominal, config) for one in sample.shares),
        *(
            _about_one(f"{name}:density", "density", config.densities.get(name, config.density))
            for name in sample.regions
        ),
        _in_doubt(Parameter(OFFSET, "eV", 0.0, -reach, reach, "plain"), "offset", config.offset),
        *(_about_one(f"{name}:{part}", "table", config.table) for name in tables for part in ("f1", "f2")),
        *(_about_one(f"scale[{place + 1}]", "scale", config.scale) for place in range(curves)),
    ]
    _refuse(listed, sample, config)
    every: dict[str, tuple[str, ...]] = {}
    for one in listed:
        every[one.kind] = (*every.get(one.kind, ()), one.name)
    every = {kind: every.get(kind, ()) for kind in ("shape", "share", "density", "offset", "table", "scale")}
    held = {one.name: one.prior[0] for one in listed if one.prior is not None and one.prior[1] == 0} | dict(config.fix)
    moved = tuple(one for one in listed if one.name not in held)
    return Unknowns(every, moved, held, {one.name: one.parameter.default for one in moved})


def _share(name: str, nominal: float, config: AnomalousFitConfig) -> Unknown:
    """An unknown share of atoms."""
    start = min(max(nominal, _LEAST_SHARE), 1 - _LEAST_SHARE)
    return Unknown(Parameter(name, "1", start, 0.0, 1.0, "logit"), "share", config.composition.get(name))


def _about_one(name: str, kind: str, sigma: float) -> Unknown:
    """A factor near 1."""
    return _in_doubt(Parameter(name, "1", 1.0, 0.1, 10.0, "ln"), kind, sigma)


def _in_doubt(parameter: Parameter, kind: str, sigma: float) -> Unknown:
    """What is in doubt by a standard deviation about its default."""
    return Unknown(parameter, kind, (parameter.default, sigma))


def _refuse(listed: Sequence[Unknown], sample: Sample, config: AnomalousFitConfig) -> None:
    """Refuse settings that name what is not there."""
    own = [one.name for one in listed if one.kind in ("shape", "share")]
    shares = [one.name for one in sample.shares]
    told = (("fix", config.fix, own), ("composition", config.composition, shares))
    for key, names, known in (*told, ("densities", config.densities, list(sample.regions))):
        if strange := [name for name in names if name not in known]:
            raise InputError(f"{key}: needs names of {', '.join(known) or 'nothing'}; {strange[0]} came; rename it.")
    if wrong := [name for name, (_, sigma) in config.composition.items() if not sigma > 0]:
        raise InputError(
            f"composition: needs a standard deviation above 0 of {wrong[0]}; {config.composition[wrong[0]][1]:g} came; "
            "hold the share with fix instead."
        )
    for one in listed:
        value = config.fix.get(one.name)
        if value is not None and not one.parameter.low <= value <= one.parameter.high:
            raise InputError(
                f"fix: needs {one.name} from {one.parameter.low:g} to {one.parameter.high:g}; {value:g} came; "
                "correct it."
            )
