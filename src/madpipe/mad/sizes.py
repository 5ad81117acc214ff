"""How much each job has to do: points times photon energies, or frames of a training, from the configuration alone."""

from madpipe.mad.config import MadConfig, SimulatedSample
from madpipe.mad.scores.suite import outline


def points_times_energies(sample: SimulatedSample) -> int:
    """Intensities of a simulated sample."""
    return sample.grid**sample.dimensions * len(sample.energies_ev)


def data_sizes(config: MadConfig) -> dict[str, int]:
    """Give the size of what a sample's jobs, by its name, and other rules, by theirs, have to do.

    Points times energies of a simulated sample and of the whole test suite (``mad_testsuite``, ``mad_compare``);
    frames of a training (``mad_train``, ``mad_ablate``). A measured sample has none before it is read.
    """
    suite = [sample for samples in outline(config.testsuite).values() for sample in samples.values()]
    compared = sum(points_times_energies(sample) for sample in suite)
    return {
        "mad_testsuite": compared,
        "mad_compare": compared,
        "mad_train": config.train.steps * config.train.batch,
        "mad_ablate": config.ablation.steps,
        **{
            name: points_times_energies(sample)
            for name, sample in config.samples.items()
            if isinstance(sample, SimulatedSample)
        },
    }
