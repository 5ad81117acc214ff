"""Recovery of misset and spread: the figures of docs, printed. Usage: python benchmarks/stills_recovery.py PART TRIALS."""

import sys

import numpy as np

from madpipe.base.runtime import fix_threads
from madpipe.stills.scores.recovery import box_score, method_scores, mosaic_score, pull_score, radius_score

METHODS = ("adam", "adam-long", "marquardt", "low-angles", "starts")


def main(part: str, trials: int) -> None:
    fix_threads(1)
    if part == "methods":
        for row in method_scores(METHODS):
            print(row)
    if part == "radius":
        for pixel in (0.1, 0.4):
            for method in ("marquardt", "low-angles", "starts"):
                for offset in (2.0, 4.0, 6.0, 8.0, 10.0, 14.0):
                    print(radius_score(method, offset, trials, pixel=pixel), flush=True)
    if part == "pixel":
        for method in ("low-angles", "starts"):
            print(radius_score(method, 6.0, trials, pixel=0.4), flush=True)
    if part == "box":
        for method in ("low-angles", "starts"):
            print(box_score(method, 10.0, trials), flush=True)
    if part in ("mosaic", "counts"):
        photons, background = (1e4, 5.0) if part == "counts" else (0.0, 0.0)
        scores = [mosaic_score(trial, photons=photons, background=background) for trial in range(trials)]
        for row in scores:
            print(row)
        print("spread error, worst and median", *np.quantile([abs(row.spread_error) for row in scores], [1, 0.5]))
        print("orientation error, worst and median", *np.quantile([row.orientation_error for row in scores], [1, 0.5]))
        print("seconds", np.mean([row.seconds for row in scores]))
        if photons:
            print(pull_score(scores))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
