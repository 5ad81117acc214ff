"""The test suite's particles: each drawn by a generator of its case's own name, whatever else the suite holds."""

import torch

from madpipe.base.runtime import generator_for
from madpipe.mad.config import Shape, SimulatedSample, SuiteConfig
from madpipe.mad.scores.suite import outline
from madpipe.mad.scores.suite.hard import PRESCRIBED
from madpipe.physics.atoms import edge_energy

_SEED = 0  # of the suite, never the configuration's: the suite is the same for every run
_RANGES = {  # drawn uniformly
    "oversampling": (2.0, 6.0),
    "core_fraction": (0.1, 0.9),
    "shell_fraction": (0.5, 1.0),
    "misfit": (-0.004, 0.004),
    "strain_phase_rms": (0.0, 8.0),
}
_SHAPES: tuple[Shape, ...] = ("facetted", "smooth")
_SHELL_THICKNESS = (0.08, 0.3)  # over the particle's size [1]


def cases(config: SuiteConfig) -> dict[str, dict[str, SimulatedSample]]:
    """Draw the samples of the suite, by set and case.

    Oversampling, shape, the two parts' composition, shell thickness, misfit and strain are drawn for every case by
    itself: a case is the same however many others there are. Of the hard sets all of that is prescribed. The energies
    lie about the element's edge as those of Ni about its K edge.

    Raises
    ------
    InputError
        Two photon budgets that give their cases one name.
    """
    return {
        name: {
            case: _at_its_edge(sample)
            if name in PRESCRIBED
            else _at_its_edge(_drawn(sample, generator_for(_SEED, "mad_testsuite", name, case, "sample")))
            for case, sample in samples.items()
        }
        for name, samples in outline(config).items()
    }


def suite_generator(suite_set: str, case: str) -> torch.Generator:
    """Make the generator that draws a case's particle and counts in :func:`madpipe.mad.simulate.sample.simulate`."""
    return generator_for(_SEED, "mad_testsuite", suite_set, case, "stack")


def _drawn(sample: SimulatedSample, generator: torch.Generator) -> SimulatedSample:
    """Fill in what a particle of the suite draws."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))

    drawn = {
        "shape": _SHAPES[int(torch.randint(len(_SHAPES), (), generator=generator))],
        **{name: between(*limits) for name, limits in _RANGES.items()},
        "shell_thickness_angstrom": between(*_SHELL_THICKNESS) * sample.particle_size_angstrom,
    }
    return SimulatedSample(**{**sample.model_dump(), **drawn})


def _at_its_edge(sample: SimulatedSample) -> SimulatedSample:
    """Move energies from about the Ni K edge to about the sample's own."""
    shift = edge_energy(sample.element, sample.edge) - edge_energy("Ni", "K")
    return sample.model_copy(update={"energies_ev": tuple(energy + shift for energy in sample.energies_ev)})
