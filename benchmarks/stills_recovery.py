"""Recovery of misset and mosaic spread: figures of docs. Usage: python benchmarks/stills_recovery.py PART TRIALS."""

import sys
from collections.abc import Iterator

import numpy as np

from madpipe.base.runtime import fix_threads
from madpipe.stills.scores.recovery import box_score, method_scores, mosaic_score, pull_score, radius_score

METHODS = ("adam", "adam-long", "marquardt", "low-angles", "starts")
OFFSETS = (2.0, 4.0, 6.0, 8.0, 10.0, 14.0)  # degree


def methods(trials: int) -> Iterator[object]:
    """Each number by each method; the original's own way with its domains beside it."""
    yield from method_scores(METHODS)
    yield from method_scores(("adam", "adam-long"), domains=5)


def radius(trials: int) -> Iterator[object]:
    """From how far."""
    for pixel in (0.1, 0.4):
        for method in ("marquardt", "low-angles", "starts"):
            yield from (radius_score(method, offset, trials, pixel=pixel) for offset in OFFSETS)


def large_pixels(trials: int) -> Iterator[object]:
    """Pixels of 0.4 mm."""
    yield from (radius_score(method, 6.0, trials, pixel=0.4) for method in ("low-angles", "starts"))


def box(trials: int) -> Iterator[object]:
    """Anywhere in a box of 10 degree."""
    yield from (box_score(method, 10.0, trials) for method in ("starts", "low-angles"))


def mosaic(trials: int) -> Iterator[object]:
    """Domains that no model knows, without noise."""
    scores = [mosaic_score(trial) for trial in range(trials)]
    yield from scores
    yield "spread error, largest, median", np.quantile([abs(row.spread_error) for row in scores], [1, 0.5])
    yield "orientation error, largest, median", np.quantile([row.orientation_error for row in scores], [1, 0.5])


def counts(trials: int) -> Iterator[object]:
    """Counted images."""
    scores = [mosaic_score(trial, photons=1e4, background=5.0) for trial in range(trials)]
    yield from scores
    yield pull_score(scores)


PARTS = {one.__name__: one for one in (methods, radius, large_pixels, box, mosaic, counts)}

if __name__ == "__main__":
    fix_threads(1)
    for row in PARTS[sys.argv[1]](int(sys.argv[2])):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
