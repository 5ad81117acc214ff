"""Models of a sample as words name them: ``core_shell_sphere@hard_sphere``, ``sphere+cylinder``."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from madpipe.base.errors import InputError
from madpipe.physics.scattering.shapes.empirical import Empirical
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.physics.scattering.shapes.registry import EMPIRICAL, FORM_FACTORS
from madpipe.saxs.parameters import Parameter

ALIASES = {"disk": "cylinder", "rod": "cylinder", "core_shell_disk": "core_shell_cylinder", "bilayer_sheet": "bilayer"}
STRUCTURES = ("hard_sphere", "sticky_hard_sphere")
_LIKE = {"hardsphere": "hard_sphere", "sticky": "sticky_hard_sphere", "stickyhardsphere": "sticky_hard_sphere"}
_THINNEST = 0.05  # angstrom: a layer that is not there
_WIDTH = Parameter("pd", "1", 0.1, 0.003, 0.8, "ln")
_STRUCTURE = {
    "hard_sphere": (Parameter("structure_phi", "1", 0.1, 0.0, 0.55, "logit"),),
    "sticky_hard_sphere": (
        Parameter("structure_phi", "1", 0.1, 0.0, 0.55, "logit"),
        Parameter("stickiness", "1", 0.3, 0.02, 20.0, "ln"),
    ),
}
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Term:
    """One kind of particle: its shape, how its size is spread, how particles are placed."""

    prefix: str  # of its parameters' names: "" of a model of one term, "1." and so on
    shape: FormFactor | Empirical
    structure: str | None
    spread: str | None  # length that is spread; "all": all in proportion; None: all particles alike

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions of the particle; one of what has none."""
        return self.shape.regions if isinstance(self.shape, FormFactor) else ("all",)

    def parameters(self) -> tuple[Parameter, ...]:
        """Every number that does not enter linearly, in order: lengths, width, contrast ratios, places."""
        own = [*self._of_shape()]
        if self.spread is not None:
            own.append(_WIDTH)
        own += [Parameter(f"{region}_contrast_ratio", "1", 0.0, -1e3, 1e3, "asinh") for region in self.regions[:-1]]
        if self.structure is not None:
            own += _STRUCTURE[self.structure]
        return tuple(
            Parameter(self.prefix + one.name, one.unit, one.default, one.low, one.high, one.scale) for one in own
        )

    def _of_shape(self) -> list[Parameter]:
        """Lengths of a shape, or what an empirical law has."""
        if isinstance(self.shape, FormFactor):
            return [
                Parameter(one.name, "angstrom", one.default, max(one.low, _THINNEST), one.high, "ln")
                for one in self.shape.lengths
            ]
        return [
            Parameter(one.name, one.unit, one.default, one.low, one.high, "ln" if one.unit == "angstrom" else "logit")
            for one in self.shape.parameters
        ]


@dataclass(frozen=True)
class ParticleModel:
    """A sum of terms, each with a scale of its own, on a flat background."""

    text: str
    terms: tuple[Term, ...]

    def parameters(self) -> tuple[Parameter, ...]:
        """Every number that does not enter linearly, term by term."""
        return tuple(one for term in self.terms for one in term.parameters())


def model_named(text: str, spread: str | None = "auto") -> ParticleModel:
    """Read a model.

    Parameters
    ----------
    text:
        Names of shapes joined by +, each with @ and a structure factor behind it where there is one.
    spread:
        Length that is spread, ``all`` for all of them in proportion, None for none; ``auto``: the first length.

    Raises
    ------
    InputError
        No shape, structure factor or length of that name.
    """
    words = text.replace(" ", "").split("+")
    prefixes = [""] if len(words) == 1 else [f"{number}." for number in range(1, len(words) + 1)]
    terms = tuple(_term(prefix, word, spread) for prefix, word in zip(prefixes, words, strict=True))
    return ParticleModel(text, terms)


def _term(prefix: str, word: str, spread: str | None) -> Term:
    """Read one term."""
    name, _, structure = word.lower().partition("@")
    known: dict[str, FormFactor | Empirical] = {**FORM_FACTORS, **EMPIRICAL}
    shape = _named(ALIASES.get(name, name), known, "a shape")
    places = None
    if structure:
        _named(_LIKE.get(structure, structure), dict.fromkeys(STRUCTURES, ""), "a structure factor")
        places = _LIKE.get(structure, structure)
    if isinstance(shape, Empirical):
        if places is not None:
            raise InputError(f"{word}: a structure factor needs a shape with a volume; {name} has none; leave @ out.")
        return Term(prefix, shape, None, None)
    lengths = [one.name for one in shape.lengths]
    if spread == "auto":
        return Term(prefix, shape, places, None if shape.is_sheet else lengths[0])
    if spread not in (None, "all", *lengths):
        raise InputError(
            f"{word}: a length of the shape to spread is required, one of {', '.join(lengths)} or all; {spread!r} came."
        )
    return Term(prefix, shape, places, spread)


def _named(name: str, known: Mapping[str, _Kind], what: str) -> _Kind:
    """Look a name up, or say which one is near."""
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"model: {what} is required, one of {', '.join(known)}; {name!r} came{hint}")
    return known[name]
