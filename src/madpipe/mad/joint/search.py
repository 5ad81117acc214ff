"""Gauss and Newton's method with conjugate gradients: from a start to the most likely densities on a domain."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from madpipe.mad.joint.model import Curvature, Experiment, linearise, minus_log_likelihood

_DAMPING = 1e-2
Atoms = Complex[Tensor, "2 *box"]


@dataclass(frozen=True)
class Found:
    atoms: Atoms
    loss: float
    steps: int
    products: int
    norm: float  # rms of the last step


def inner(a: Tensor, b: Tensor) -> float:
    return float((a.real * b.real + a.imag * b.imag).sum(dtype=torch.float64))


def mixed(matrix: Tensor, pair: Tensor) -> Tensor:
    return torch.einsum("ij,j...->i...", matrix, pair)


def operator(experiment: Experiment, curvature: Curvature, domain: Tensor, whitening: Tensor):
    box = tuple(domain.shape)

    def apply(y: Tensor) -> Tensor:
        pair = experiment.transformed(mixed(whitening, y))
        return mixed(whitening.mH, experiment.back(curvature.times(pair), box)) * domain

    return apply


def conjugate_gradients(apply, right, damping, tolerance, most):
    x = torch.zeros_like(right)
    r = right.clone()
    p = r.clone()
    rr = r0 = inner(r, r)
    n = 0
    while n < most and rr > tolerance**2 * r0:
        hp = apply(p) + damping * p
        php = inner(p, hp)
        if php <= 0:
            break
        alpha = rr / php
        x = x + alpha * p
        r = r - alpha * hp
        new = inner(r, r)
        p = r + (new / rr) * p
        rr = new
        n += 1
    return x, n


def search(experiment, atoms, domain, *, most=60, tolerance=0.03, verbose=False, basis=None):
    whitening = experiment.whitening() if basis is None else basis
    domain = domain.to(torch.float32)
    atoms = atoms * domain
    pair = experiment.transformed(atoms)
    loss = minus_log_likelihood(experiment, pair)
    damping, products = _DAMPING, 0
    size = 2 * whitening.shape[1] * float(domain.sum())
    box = tuple(domain.shape)
    fresh = True
    for step in range(most):
        if fresh:
            gradient, curvature = linearise(experiment, pair)
            right = mixed(whitening.mH, experiment.back(gradient, box)) * domain
            apply = operator(experiment, curvature, domain, whitening)
        y, n = conjugate_gradients(apply, right, damping, 0.1, 100)
        products += n
        predicted = inner(right, y) - 0.5 * inner(y, apply(y))
        trial = atoms + mixed(whitening, y)
        tpair = experiment.transformed(trial)
        tloss = minus_log_likelihood(experiment, tpair)
        gain = (loss - tloss) / max(predicted, 1e-30)
        along = inner(right, y)
        stretch = min(along / max(2 * (tloss - loss + along), 1e-30), 3.0)
        if tloss < loss and stretch > 1.2:
            far = experiment.transformed(atoms + stretch * mixed(whitening, y))
            floss = minus_log_likelihood(experiment, far)
            if floss < tloss:
                y, trial, tpair, tloss = stretch * y, atoms + stretch * mixed(whitening, y), far, floss
        norm = math.sqrt(inner(y, y) / size)
        if verbose:
            print(step, f"loss {loss:.1f} -> {tloss:.1f} gain {gain:.2f} step {norm:.3g} damping {damping:.2g} cg {n}")
        fresh = tloss < loss
        if fresh:
            atoms, pair, loss = trial, tpair, tloss
        damping = damping * (0.2 if gain > 0.75 else 1 if gain > 0.25 else 4)
        damping = max(damping, 1e-4)
        if fresh and norm < tolerance and gain > 0.25:
            break
    return Found(atoms, loss, step + 1, products, norm)
