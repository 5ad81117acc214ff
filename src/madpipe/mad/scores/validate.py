"""Scores of a fit or of a network: R beside its noise floor, error bars, truth where there is one, by photon shell."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from madpipe.base import metrics
from madpipe.mad.config import ValidateConfig
from madpipe.mad.fit.exact import covariance, fisher_information
from madpipe.mad.fit.fit import structure_factors
from madpipe.mad.measurement import bijvoet_pairs, calculated_photons, condition_number, measurement_from_stack
from madpipe.mad.realspace.verdicts import compare_routes, on_truth
from madpipe.mad.records import PHASES, QUANTITIES, Fit, RealSpace, Stack
from madpipe.physics.noise import poisson

NOTHING = 1e-9  # share of the largest |F_T| below which a true modulus is rounding
Scores = dict[str, Any]


@dataclass(frozen=True)
class Deviations:
    """One quantity of an answer beside its truth, in some points; sqrt(photon), or radian for a phase."""

    value: np.ndarray
    sigma: np.ndarray  # the standard error that the answer states
    true: np.ndarray
    bound: np.ndarray  # Cramer-Rao, at the truth
    error: np.ndarray  # value - true, a phase's within half a turn


def score(
    stack: Stack,
    answers: Mapping[str, Fit],
    objects: Mapping[str, RealSpace],
    config: ValidateConfig,
    generator: torch.Generator,
) -> Scores:
    """Score every answer on a stack.

    Parameters
    ----------
    stack:
        The data, with truth where it is simulated.
    answers:
        ``fit``, and ``network`` where it ran. Without truth the network is compared with the fit.
    objects:
        Retrieved objects by route and, where it is not the fit, the answer that it starts from; their verdicts are
        taken over, and each is compared with the first.
    config:
        Shells and noise draws.
    generator:
        Draws the noise floor of R.
    """
    scores: Scores = {
        "sample": stack.name,
        "title": stack.title,
        "simulated": stack.truth is not None,
        "dimensions": len(stack.shape),
        "photons": _brightest(stack),
        "condition_number": metrics.finite(
            condition_number(stack, answers["fit"].nuisance if "fit" in answers else None)
        ),
        "answers": {name: _answer(stack, fit, config, generator) for name, fit in answers.items()},
    }
    if stack.truth is not None:
        scores["mad_residual"] = json.loads(stack.truth.drawn)["mad_residual"]
    elif {"fit", "network"} <= set(answers):
        scores["network_against_fit"] = _agreement(stack, answers["network"], answers["fit"])
    if objects:
        scores["retrieve"] = {route: _verdicts(item) for route, item in objects.items()}
        scores["retrieved"] = {route: _retrieved(item, stack) for route, item in objects.items()}
    first = next(iter(objects), None)
    for route, item in objects.items():
        if route != first:
            scores["retrieve"][route]["routes"] = compare_routes(objects[first], item)
    return scores


def _brightest(stack: Stack) -> float | None:
    """Photons of the brightest energy over the frame or volume, the expected ones where they are known."""
    if stack.data_errors is not None:
        return None
    photons = np.where(stack.good, stack.data, 0.0) if stack.truth is None else stack.truth.expected
    return float(photons.reshape(len(photons), -1).sum(axis=1, dtype=float).max())


def rows(scores: Scores) -> list[dict[str, Any]]:
    """Flatten the shells of every answer into rows of one table."""
    return [
        {"sample": scores["sample"], "answer": name, **row}
        for name, answer in scores["answers"].items()
        for row in answer["shells"]
    ]


def _verdicts(item: RealSpace) -> dict[str, dict[str, Any]]:
    """An object's verdicts, with null for a value that is no number."""
    return {
        name: {**check, "value": metrics.finite(check["value"])} for name, check in json.loads(item.verdicts).items()
    }


def _retrieved(item: RealSpace, stack: Stack) -> Scores:
    """Composition of an object: its mean and stated error inside, and, where there is a truth, how far off it is."""
    inside, sigma = item.support > 0, item.composition_errors
    found = {
        "voxels": int(inside.sum()),
        "mean": metrics.finite(float(item.composition[inside].mean())) if inside.any() else None,
        "stated_rms": metrics.finite(float(np.sqrt(np.mean(sigma[inside] ** 2)))) if inside.any() else None,
    }
    if stack.truth is None:
        return found
    placed, composition, sigma = on_truth(item, stack)
    both = placed.support.numpy() & (stack.truth.support > 0)
    off = (composition - stack.truth.composition)[both]
    rms, error = metrics.root_mean_square(off)
    return found | {
        "rms_error": metrics.finite(rms),
        "rms_error_standard_error": metrics.finite(error),
        "bias": metrics.finite(float(off.mean())) if len(off) else None,
        **metrics.coverages(off, sigma[both]),
    }


def _answer(stack: Stack, fit: Fit, config: ValidateConfig, generator: torch.Generator) -> Scores:
    """R factors and, where there is a truth, the shells of one answer."""
    calculated = calculated_photons(stack, fit)
    floor = noise_floor(stack, fit, calculated, config.noise_draws, generator)
    r_noise, r_noise_error = metrics.mean_with_error(floor["all"])
    good = stack.good
    observed = np.asarray(stack.data, dtype=float)
    answer = {
        "method": fit.method,
        "energies_ev": stack.energy.tolist(),
        "r_factor": metrics.r_factor(observed[good], calculated[good]),
        "r_noise": r_noise,
        "r_noise_standard_error": r_noise_error,
        "r_factor_per_energy": [
            metrics.r_factor(o[g], c[g]) for o, c, g in zip(observed, calculated, good, strict=True)
        ],
        "r_noise_per_energy": floor["each"].mean(axis=0).tolist(),
        "certified_share": float(fit.certified[measured_points(stack)].mean()),
        "chi2_per_dof": _chi2_per_dof(stack, fit),
        "shells": [] if stack.truth is None else _shells(stack, fit, config),
    }
    if stack.friedel_sign is not None:
        answer["bijvoet_correlations"] = bijvoet_correlations(stack, calculated)
    if fit.nuisance is not None:
        answer["nuisance"] = {
            "gauge": fit.nuisance.gauge,
            "noise_scale": fit.nuisance.noise_scale,
            "verdicts": (fit.nuisance.verdicts or "").splitlines(),
            "f_resonant_relative_error": metrics.finite(fit.nuisance.f_resonant_relative_error),
            "scale": fit.nuisance.scale.tolist(),
            "scale_errors": fit.nuisance.scale_errors.tolist(),
            "energy_offset_ev": fit.nuisance.energy_offset,
            "energy_offset_errors_ev": fit.nuisance.energy_offset_errors,
            "f_prime": fit.nuisance.f_prime.tolist(),
            "f_prime_errors": fit.nuisance.f_prime_errors.tolist(),
            "f_double_prime": fit.nuisance.f_double_prime.tolist(),
            "f_double_prime_errors": fit.nuisance.f_double_prime_errors.tolist(),
        }
    return answer


def bijvoet_correlations(stack: Stack, calculated: np.ndarray) -> list[float]:
    """Correlation of observed and calculated I(+) - I(-) at each energy, over pairs with every intensity measured."""
    plus, minus = bijvoet_pairs(stack).T
    return [
        metrics.correlation(o[plus] - o[minus], c[plus] - c[minus])
        for o, c in zip(np.asarray(stack.data, dtype=float), calculated, strict=True)
    ]


def measured_points(stack: Stack) -> np.ndarray:
    """Points with at least three good energies."""
    return stack.good.sum(axis=0) >= min(3, len(stack.energy))


def _chi2_per_dof(stack: Stack, fit: Fit) -> float:
    """Sum of chi2 over sum of degrees of freedom."""
    points = measured_points(stack)
    return float(fit.chi2[points].sum() / max(fit.dof[points].sum(), 1))


def noise_floor(
    stack: Stack, fit: Fit, calculated: np.ndarray, draws: int, generator: torch.Generator
) -> dict[str, np.ndarray]:
    """R of data drawn from the calculated intensities, over all energies and for each, one row per draw."""
    good = stack.good
    expected = torch.as_tensor(calculated).clamp(min=0)
    overall, each = [], []
    for _ in range(draws):
        if stack.data_errors is None:
            drawn = poisson(expected, generator).numpy()
        else:
            sigma = stack.data_errors * (1.0 if fit.nuisance is None else fit.nuisance.noise_scale)
            drawn = calculated + sigma * torch.randn(calculated.shape, generator=generator, dtype=torch.float64).numpy()
        overall.append(metrics.r_factor(drawn[good], calculated[good]))
        each.append([metrics.r_factor(d[g], c[g]) for d, c, g in zip(drawn, calculated, good, strict=True)])
    return {"all": np.array(overall), "each": np.array(each)}


def truth_columns(stack: Stack) -> dict[str, np.ndarray]:
    """Moduli and phases of the truth in the stack's shape, with their Cramer-Rao bounds as errors."""
    truth = stack.truth
    measurement = measurement_from_stack(stack)
    turned = truth.f_total * np.exp(-1j * np.angle(truth.f_resonant))
    cosine_sine = np.abs(truth.f_resonant) * np.exp(1j * np.angle(turned))
    parameters = torch.as_tensor(np.stack([np.abs(truth.f_total), cosine_sine.real, cosine_sine.imag]).reshape(3, -1))
    information = fisher_information(measurement, parameters)
    columns = structure_factors(parameters, covariance(information), exact=True)
    return {name: column.numpy().reshape(stack.shape) for name, column in columns.items()}


def _shells(stack: Stack, fit: Fit, config: ValidateConfig) -> list[dict[str, Any]]:
    """One row per quantity and shell of expected photons per point and energy."""
    truth = truth_columns(stack)
    photons = stack.truth.expected.mean(axis=0)
    edges = [*config.shell_edges, math.inf]
    table = []
    for low, high in pairwise(edges):
        points = measured_points(stack) & (photons >= low) & (photons < high)
        for quantity, field in QUANTITIES.items():
            row = {"quantity": quantity, "shell_low": low, "shell_high": high if high < math.inf else None}
            table.append({**row, **_row(field, truth, fit, points)})
    return [row for row in table if row["points"] > 0]


def deviations(field: str, truth: Mapping[str, np.ndarray], fit: Fit, points: np.ndarray) -> Deviations:
    """Hold one field of an answer against the truth.

    Parameters
    ----------
    field:
        A value of ``QUANTITIES``.
    truth:
        From :func:`truth_columns`.
    fit:
        The answer, of the truth's shape.
    points:
        Where, bool, of the same shape.
    """
    value, true = getattr(fit, field)[points], truth[field][points]
    error = metrics.wrapped(value - true) if field in PHASES else value - true
    sigma, bound = getattr(fit, f"{field}_errors")[points], truth[f"{field}_errors"][points]
    return Deviations(value, sigma, true, bound, error)


def _row(field: str, truth: dict[str, np.ndarray], fit: Fit, points: np.ndarray) -> dict[str, Any]:
    """Error, bound and calibration of one quantity in one shell."""
    found = deviations(field, truth, fit, points)
    value, sigma, true, error = found.value, found.sigma, found.true, found.error
    phase = field in PHASES
    rms, rms_error = metrics.root_mean_square(error)
    scale = 1.0 if phase else metrics.root_mean_square(true)[0]
    if scale < NOTHING * np.abs(truth["f_total"]).max():  # a control's absent atoms: no relative error
        scale, true = 0.0, np.zeros_like(true)
    bound_rms = metrics.root_mean_square(found.bound)[0]
    l1, l1_error = metrics.relative_l1(error, true)
    return {
        "points": int(points.sum()),
        "relative_l1": metrics.finite(l1),
        "relative_l1_standard_error": metrics.finite(l1_error),
        "rms_error": metrics.finite(rms),
        "rms_error_standard_error": metrics.finite(rms_error),
        "median_error": metrics.finite(np.median(np.abs(error)) if len(error) else math.nan),
        "relative_rms": _ratio(rms, scale),
        "relative_rms_standard_error": _ratio(rms_error, scale),
        "relative_bound": _ratio(bound_rms, scale),
        "efficiency": _ratio(rms, bound_rms),
        "bias_sigma": metrics.finite((error / sigma).mean() if len(error) else math.nan),
        **metrics.coverages(error, sigma),
        "log_correlation": None if phase else metrics.finite(metrics.log_correlation(value, true)),
    }


def _ratio(value: float, scale: float) -> float | None:
    """Value over scale, or None where that means nothing."""
    return metrics.finite(value / scale) if scale > 0 else None


def _agreement(stack: Stack, network: Fit, fit: Fit) -> dict[str, dict[str, float | None]]:
    """Network against fit where there is no truth: relative L1 and correlation per quantity."""
    points = measured_points(stack)
    table = {}
    for quantity, field in QUANTITIES.items():
        difference = getattr(network, field)[points] - getattr(fit, field)[points]
        difference = metrics.wrapped(difference) if field in PHASES else difference
        table[quantity] = {
            "relative_l1": metrics.finite(metrics.relative_l1(difference, getattr(fit, field)[points])[0]),
            "rms_in_sigma": metrics.finite(
                metrics.root_mean_square(difference / getattr(fit, f"{field}_errors")[points])[0]
            ),
        }
    return table
