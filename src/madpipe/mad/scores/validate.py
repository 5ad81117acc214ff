"""Scores of a fit or of a network: R beside its noise floor, error bars, truth where there is one, by photon shell."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from madpipe.base import metrics
from madpipe.base.errors import InputError
from madpipe.base.verdict import Verdict, verdicts_in
from madpipe.base.warned import kept, lines_of
from madpipe.mad.config import ValidateConfig
from madpipe.mad.fit.exact import covariance, fisher_information
from madpipe.mad.fit.fit import structure_factors
from madpipe.mad.measurement import bijvoet_pairs, calculated_photons, condition_number, measurement_from_stack
from madpipe.mad.realspace.verdicts import compare_routes, on_truth
from madpipe.mad.records import PHASES, QUANTITIES, Fit, Nuisance, RealSpace, Stack
from madpipe.mad.scores.coverage import coverage_scores
from madpipe.mad.scores.records import Agreement, AnswerScores, NuisanceScores, ObjectScores, SampleScores, ShellScore
from madpipe.mad.scores.split import split_scores
from madpipe.physics.noise import poisson

NOTHING = 1e-9  # share of the largest |F_T| below which a true modulus is rounding


@dataclass(frozen=True)
class Deviations:
    """One quantity of an answer beside its truth, in some points; sqrt(photon), or radian for a phase."""

    value: np.ndarray
    sigma: np.ndarray  # the standard error that the answer states, half the width of its 68.3 % interval
    half_95: np.ndarray  # half the width of its 95 % interval
    true: np.ndarray
    bound: np.ndarray  # Cramer-Rao, at the truth
    error: np.ndarray  # value - true, a phase's within half a turn


def score(
    stack: Stack,
    answers: Mapping[str, Fit],
    objects: Mapping[str, RealSpace],
    config: ValidateConfig,
    generator: torch.Generator,
) -> SampleScores:
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

    Raises
    ------
    InputError
        An answer of another shape than the stack.
    """
    for name, fit in answers.items():
        if fit.f_total.shape != stack.shape:
            raise InputError(
                f"scores need an answer to this stack, of {stack.shape} points; the {name} has {fit.f_total.shape}; "
                "name the stack that it was made from."
            )
    compared = stack.truth is None and {"fit", "network"} <= set(answers)
    return SampleScores(
        sample=stack.name,
        title=stack.title,
        simulated=stack.truth is not None,
        dimensions=len(stack.shape),
        photons=_brightest(stack),
        condition_number=metrics.finite(condition_number(stack, answers["fit"].nuisance if "fit" in answers else None)),
        answers={name: _answer(stack, fit, config, generator) for name, fit in answers.items()},
        mad_residual=None if stack.truth is None else float(json.loads(stack.truth.drawn)["mad_residual"]),
        network_against_fit=_agreement(stack, answers["network"], answers["fit"]) if compared else None,
        retrieve=_verdicts(objects),
        retrieved={route: _retrieved(item, stack) for route, item in objects.items()},
        warnings=_warnings(stack, answers, objects),
    )


def _warnings(stack: Stack, answers: Mapping[str, Fit], objects: Mapping[str, RealSpace]) -> tuple[str, ...]:
    """All that is warned of, each line once."""
    of_answers = [answer.warnings for answer in answers.values()]
    return lines_of(kept(stack.warnings, *of_answers, *(item.warnings for item in objects.values())))


def _brightest(stack: Stack) -> float | None:
    """Photons of the brightest energy over the frame or volume, the expected ones where they are known."""
    if stack.data_errors is not None:
        return None
    photons = np.where(stack.good, stack.data, 0.0) if stack.truth is None else stack.truth.expected
    return float(photons.reshape(len(photons), -1).sum(axis=1, dtype=float).max())


def _verdicts(objects: Mapping[str, RealSpace]) -> dict[str, dict[str, Verdict]]:
    """Each object's verdicts, with null for a value that is no number, and how it agrees with the first."""
    found = {route: verdicts_in(item.verdicts) for route, item in objects.items()}
    for checks in found.values():
        checks |= {name: replace(check, value=metrics.finite(check.value)) for name, check in checks.items()}
    for route in list(objects)[1:]:
        found[route]["routes"] = compare_routes(next(iter(objects.values())), objects[route])
    return found


def _retrieved(item: RealSpace, stack: Stack) -> ObjectScores:
    """Composition of an object: its mean and stated error inside, and, where there is a truth, how far off it is."""
    inside, sigma = item.support > 0, item.composition_errors
    found = ObjectScores(
        voxels=int(inside.sum()),
        mean=metrics.finite(float(item.composition[inside].mean())) if inside.any() else None,
        stated_rms=metrics.finite(float(np.sqrt(np.mean(sigma[inside] ** 2)))) if inside.any() else None,
    )
    if stack.truth is None:
        return found
    placed, composition, sigma = on_truth(item, stack)
    both = placed.support.numpy() & (stack.truth.support > 0)
    off = (composition - stack.truth.composition)[both]
    rms, error = metrics.root_mean_square(off)
    covered: dict[str, Any] = metrics.coverages(off, sigma[both])
    return replace(
        found,
        rms_error=metrics.finite(rms),
        rms_error_standard_error=metrics.finite(error),
        bias=metrics.finite(float(off.mean())) if len(off) else None,
        **covered,
    )


def _answer(stack: Stack, fit: Fit, config: ValidateConfig, generator: torch.Generator) -> AnswerScores:
    """R factors and, where there is a truth, the shells of one answer."""
    calculated = calculated_photons(stack, fit)
    floor = noise_floor(stack, fit, calculated, config.noise_draws, generator)
    r_noise, r_noise_error = metrics.mean_with_error(floor["all"])
    good = stack.good
    observed = np.asarray(stack.data, dtype=float)
    shells = () if stack.truth is None else tuple(_shells(stack, fit, config))
    return AnswerScores(
        method=fit.method,
        energies_ev=tuple(stack.energy.tolist()),
        r_factor=metrics.r_factor(observed[good], calculated[good]),
        r_noise=r_noise,
        r_noise_standard_error=r_noise_error,
        r_factor_per_energy=tuple(
            metrics.r_factor(o[g], c[g]) for o, c, g in zip(observed, calculated, good, strict=True)
        ),
        r_noise_per_energy=tuple(floor["each"].mean(axis=0).tolist()),
        certified_share=float(fit.certified[measured_points(stack)].mean()),
        chi2_per_dof=_chi2_per_dof(stack, fit),
        shells=shells,
        bijvoet_correlations=None if stack.friedel_sign is None else tuple(bijvoet_correlations(stack, calculated)),
        nuisance=None if fit.nuisance is None else _nuisance(fit.nuisance),
        coverage=coverage_scores(shells),
        split=None if fit.split is None else split_scores(fit.split, fit, stack),
        by_stated_error={} if stack.truth is None else _by_stated_error(stack, fit, config),
    )


def _by_stated_error(stack: Stack, fit: Fit, config: ValidateConfig) -> dict[str, tuple[float, ...]]:
    """Share of points within the 95 % interval, of each quantity, in thirds of every shell by the error over |F_T|.

    The first third holds the points of which the answer is surest. Where it is the farthest from 0.95, the answer is
    wrong where it claims most, which neither a shell's mean square nor a factor common to a shell can tell.
    """
    truth, photons = truth_columns(stack), stack.truth.expected.mean(axis=0)
    shell = np.digitize(photons, config.shell_edges)
    found = {}
    for name, field in QUANTITIES.items():
        within: list[list[np.ndarray]] = [[], [], []]
        for number in np.unique(shell):
            points = measured_points(stack) & (shell == number)
            one = deviations(field, truth, fit, points)
            claimed = one.sigma if field in PHASES else one.sigma / np.maximum(fit.f_total[points], 1e-300)
            for third, part in zip(within, np.array_split(np.argsort(claimed, kind="stable"), 3), strict=True):
                third.append(np.abs(one.error[part]) <= one.half_95[part])
        found[name] = tuple(float(np.concatenate(third).mean()) for third in within)
    return found


def _nuisance(found: Nuisance) -> NuisanceScores:
    """The refined values with their errors."""
    return NuisanceScores(
        gauge=found.gauge,
        noise_scale=float(found.noise_scale),
        verdicts=tuple((found.verdicts or "").splitlines()),
        f_resonant_relative_error=metrics.finite(found.f_resonant_relative_error),
        scale=tuple(found.scale.tolist()),
        scale_errors=tuple(found.scale_errors.tolist()),
        energy_offset_ev=float(found.energy_offset),
        energy_offset_errors_ev=float(found.energy_offset_errors),
        f_prime=tuple(found.f_prime.tolist()),
        f_prime_errors=tuple(found.f_prime_errors.tolist()),
        f_double_prime=tuple(found.f_double_prime.tolist()),
        f_double_prime_errors=tuple(found.f_double_prime_errors.tolist()),
    )


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


def _shells(stack: Stack, fit: Fit, config: ValidateConfig) -> list[ShellScore]:
    """One score per quantity and shell of expected photons per point and energy, where there is a point."""
    truth = truth_columns(stack)
    photons = stack.truth.expected.mean(axis=0)
    table = []
    for shell in pairwise([*config.shell_edges, math.inf]):
        points = measured_points(stack) & (photons >= shell[0]) & (photons < shell[1])
        if points.any():
            table += [_shell_score(name, shell, truth, fit, points) for name in QUANTITIES]
    return table


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
    return Deviations(value, sigma, fit.half_width_95(field)[points], true, bound, error)


def _shell_score(
    quantity: str, shell: tuple[float, float], truth: dict[str, np.ndarray], fit: Fit, points: np.ndarray
) -> ShellScore:
    """Error, bound and calibration of one quantity in one shell."""
    field = QUANTITIES[quantity]
    found = deviations(field, truth, fit, points)
    value, sigma, true, error = found.value, found.sigma, found.true, found.error
    phase = field in PHASES
    rms, rms_error = metrics.root_mean_square(error)
    scale = 1.0 if phase else metrics.root_mean_square(true)[0]
    if scale < NOTHING * np.abs(truth["f_total"]).max():  # a control's absent atoms: no relative error
        scale, true = 0.0, np.zeros_like(true)
    bound_rms = metrics.root_mean_square(found.bound)[0]
    l1, l1_error = metrics.relative_l1(error, true)
    return ShellScore(
        quantity=quantity,
        shell_low=shell[0],
        shell_high=metrics.finite(shell[1]),
        points=int(points.sum()),
        relative_l1=metrics.finite(l1),
        relative_l1_standard_error=metrics.finite(l1_error),
        rms_error=metrics.finite(rms),
        rms_error_standard_error=metrics.finite(rms_error),
        median_error=metrics.finite(np.median(np.abs(error)) if len(error) else math.nan),
        relative_rms=_ratio(rms, scale),
        relative_rms_standard_error=_ratio(rms_error, scale),
        relative_bound=_ratio(bound_rms, scale),
        efficiency=_ratio(rms, bound_rms),
        bias_sigma=metrics.finite((error / sigma).mean() if len(error) else math.nan),
        **metrics.coverages(error, sigma, found.half_95),
        log_correlation=None if phase else metrics.finite(metrics.log_correlation(value, true)),
    )


def _ratio(value: float, scale: float) -> float | None:
    """Value over scale, or None where that means nothing."""
    return metrics.finite(value / scale) if scale > 0 else None


def _agreement(stack: Stack, network: Fit, fit: Fit) -> dict[str, Agreement]:
    """Network against fit where there is no truth: relative L1 and correlation per quantity."""
    points = measured_points(stack)
    table = {}
    for quantity, field in QUANTITIES.items():
        difference = getattr(network, field)[points] - getattr(fit, field)[points]
        difference = metrics.wrapped(difference) if field in PHASES else difference
        table[quantity] = Agreement(
            relative_l1=metrics.finite(metrics.relative_l1(difference, getattr(fit, field)[points])[0]),
            rms_in_sigma=metrics.finite(
                metrics.root_mean_square(difference / getattr(fit, f"{field}_errors")[points])[0]
            ),
        )
    return table
