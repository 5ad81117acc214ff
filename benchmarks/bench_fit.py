"""The point-by-point fit: points per second beside NanoMAD's grid search, and accuracy beside the Cramer-Rao bound."""

import math
import time

import pytest
import torch
from points import drawn

from madpipe.mad.fit import exact, nanomad
from madpipe.mad.fit.exact import covariance, fisher_information
from madpipe.mad.fit.fit import structure_factors

PHOTONS = (1.0, 10.0, 100.0, 1e3, 1e5)
QUANTITIES = ("f_total", "f_resonant", "delta_phi", "f_normal")


def fitted(solve, measurement):
    """Solve, and give moduli and phases with standard errors, as the workflow does."""
    solution = solve(measurement)
    return structure_factors(solution.parameters, solution.covariance)


@pytest.mark.parametrize("photons", PHOTONS)
def bench_exact_against_nanomad(record, benchmark, photons):
    measurement, _ = drawn(65536, photons)
    record(lambda: fitted(exact.solve, measurement), 65536, "points", rounds=5)
    start = time.perf_counter()
    fitted(nanomad.solve, measurement)
    peer = 65536 / (time.perf_counter() - start)
    benchmark.extra_info["photons"] = photons
    benchmark.extra_info["points per second, nanomad"] = peer
    benchmark.extra_info["times as fast as nanomad"] = benchmark.extra_info["points per second"] / peer


@pytest.mark.parametrize("method", ["exact", "nanomad"])
@pytest.mark.parametrize("photons", PHOTONS)
def bench_accuracy(record, benchmark, photons, method):
    points = 40_000 if method == "exact" else 10_000
    measurement, truth = drawn(points, photons)
    found = {}
    solve = {"exact": exact.solve, "nanomad": nanomad.solve}[method]
    record(lambda: found.update(fitted(solve, measurement)), points, "points", rounds=1)
    true = structure_factors(truth, covariance(fisher_information(measurement, truth)), exact=True)
    benchmark.extra_info["photons"] = photons
    benchmark.extra_info["method"] = method
    benchmark.extra_info["accuracy"] = {name: accuracy(name, found, true) for name in QUANTITIES}


def accuracy(name, found, true):
    """Efficiency, bias and coverage of one quantity, with standard errors."""
    error = found[name] - true[name]
    if name == "delta_phi":
        error = (error + math.pi) % (2 * math.pi) - math.pi
    deviate = error / true[f"{name}_errors"]
    square = deviate.square()
    rms, root = square.mean().sqrt(), len(error) ** 0.5
    inside = {width: (error.abs() < width * found[f"{name}_errors"]).double() for width in (1.0, 1.96)}
    return {
        "rms over bound": float(rms),
        "rms over bound, standard error": float(square.std() / (2 * rms * root)),
        "bias over bound": float(deviate.mean()),
        "coverage of 1 sigma": float(inside[1.0].mean()),
        "coverage of 1.96 sigma": float(inside[1.96].mean()),
        "coverage, standard error": float(inside[1.0].std() / root),
        "median error over median truth": float(error.abs().median() / torch.as_tensor(true[name]).abs().median()),
    }
