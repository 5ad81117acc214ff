"""The fixed test suite: particles that no training ever sees. What there is stands here, drawn and scored beside it.

The workflow lists the suite's files from here each time it starts, hence nothing heavy is imported.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

from madpipe.base.errors import InputError
from madpipe.mad.config import Composition, SimulatedSample, SuiteConfig, SuiteSet
from madpipe.mad.scores.suite.hard import PRESCRIBED

_COMPOSITIONS: tuple[Composition, ...] = (
    "core_shell",
    "radial_gradient",
    "linear_gradient",
    "janus",
    "multi_shell",
    "uniform",
    "off_centre_core",
    "pure_resonant",
    "no_resonant",
)
_ELSEWHERE: tuple[Composition, ...] = ("core_shell", "radial_gradient", "janus")
_ENERGIES = (  # uneven, none of them a reference energy, within 80 eV of the Ni K edge at 8333 eV
    (8300.5, 8327.3, 8334.1, 8341.7, 8390.0),
    (8262.0, 8311.4, 8326.2, 8331.9, 8336.6, 8352.3, 8401.0),
    (8258.3, 8289.7, 8306.1, 8319.4, 8325.8, 8330.6, 8334.9, 8340.2, 8353.7, 8371.5, 8405.2),
)
_EDGES = (("Mn", "K", "Ni"), ("Zn", "K", "Cu"), ("Ir", "L3", "Ni"))  # none of them in the training's prior
_DISTURBANCES = {"background": 0.5, "beam_stop_radius": 3.0, "gap_width": 3, "scale_jitter": 0.003}
# compositions of each set, and by a word for the case's name the fields in which the set differs from the reference
_SETS: dict[SuiteSet, tuple[tuple[Composition, ...], dict[str, dict[str, Any]]]] = {
    "reference": (_COMPOSITIONS, {"": {}}),
    "volumes": (("core_shell", "linear_gradient", "multi_shell", "pure_resonant"), {"": {}}),
    "energies": (_ELSEWHERE, {f"energies{len(energies)}": {"energies_ev": energies} for energies in _ENERGIES}),
    "elements": (
        _ELSEWHERE,
        {edge[0]: dict(zip(("element", "edge", "partner"), edge, strict=True)) for edge in _EDGES},
    ),
    "disturbed": (("core_shell", "off_centre_core", "uniform"), {"": _DISTURBANCES}),
}


def outline(config: SuiteConfig) -> dict[SuiteSet, dict[str, SimulatedSample]]:
    """Lay out the suite: by set and case, a sample with all that the set prescribes.

    What is drawn for each particle is still at its default, and the energies are those about the Ni K edge whatever
    the element: :func:`madpipe.mad.scores.suite.cases.cases` fills in both. A case is named after composition,
    energies or element where they vary, photons and particle: ``core_shell_6.8e4_0``, ``janus_Mn_1e9_0``; a hard one
    after what it is and photons: ``concave_janus_step_PtCo_1e5``.

    Raises
    ------
    InputError
        Two photon budgets that agree in their first two digits.
    """
    return {name: _outline_of(name, config) for name in config.sets}


def _outline_of(name: SuiteSet, config: SuiteConfig) -> dict[str, SimulatedSample]:
    """Lay out one set."""
    is_volume = name in ("volumes", "hard_volumes")
    usual = config.volume_photons if is_volume else config.photons
    hard = config.hard_volume_photons if is_volume else config.hard_photons
    budgets = hard if name in PRESCRIBED else usual
    numbers = ("",) if name in PRESCRIBED else tuple(map(str, range(config.particles)))
    common = {"dimensions": 3 if is_volume else 2, "grid": config.volume_grid if is_volume else config.grid}
    samples: dict[str, SimulatedSample] = {}
    for (kind, fields), photons, number in product(_kinds(name), budgets, numbers):
        case = "_".join(filter(None, (kind, _short(photons), number)))
        if case in samples:
            raise InputError(
                f"photon budgets of the test suite must differ in their first two digits; {list(budgets)} came; "
                "change one (mad.evaluate.photons, .volume_photons, .hard_photons, .hard_volume_photons)."
            )
        samples[case] = SimulatedSample(**{**common, **fields}, photons=photons)
    return samples


def _kinds(name: SuiteSet) -> Iterator[tuple[str, dict[str, Any]]]:
    """Particles of a set: what begins their cases' names, and the fields that it prescribes."""
    if name in PRESCRIBED:
        yield from PRESCRIBED[name].items()
        return
    compositions, variants = _SETS[name]
    for composition, (word, fields) in product(compositions, variants.items()):
        yield "_".join(filter(None, (composition, word))), {**fields, "composition": composition}


def _short(photons: float) -> str:
    """Two digits and the power of ten, for a file's name: 6.8e4."""
    digits, power = f"{photons:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"
