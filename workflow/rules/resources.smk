from functools import cache
from math import ceil

from madpipe.mad.sizes import data_sizes

SIZES = data_sizes(MAD)


@cache
def values_of(sample):
    """Count the intensities of a sample: by its section, or by the size of its files where it is measured."""
    if sample in SIZES:
        return SIZES[sample]
    files = [Path(measured_path(path)) for path in SAMPLES[sample].path]
    # two bytes an intensity, as detectors' compressed files take
    return sum(file.stat().st_size for file in files if file.exists()) // 2


ALL_VALUES = sum(map(values_of, SAMPLES))
SUITE_VALUES = SIZES["mad_compare"]
TRAINING_POINTS = SIZES["mad_train"] * MAD.train.prior.grid**2


def memory(megabytes, bytes_per_value=0, values=None):
    """Give a rule's mem_mb: what every job needs and what its data take; a second attempt asks for twice as much.

    The data are those of the sample, or so many values.
    """

    def mem_mb(wildcards, attempt):
        count = values_of(wildcards.sample) if values is None else values
        return attempt * ceil(megabytes + bytes_per_value * count / 1e6)

    return mem_mb


def minutes(least, microseconds_per_value=0, values=None):
    """Give a rule's runtime in the same way, on one processor; a part takes its share of the time."""

    def runtime(wildcards, attempt):
        count = values_of(wildcards.sample) if values is None else values
        share = SAMPLES[wildcards.sample].parts if wildcards.get("part") else 1
        return attempt * ceil(least + microseconds_per_value * count / (60e6 * share))

    return runtime
