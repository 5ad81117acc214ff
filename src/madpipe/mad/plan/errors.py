"""Expected errors of a set of energies: the Cramer-Rao bound over a prior of points, and what a wrong table adds."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.mad.fit.exact import covariance, expected_photons, fisher_information
from madpipe.mad.fit.fit import structure_factors
from madpipe.mad.fit.likelihood import climb, problem_of
from madpipe.mad.measurement import Measurement, without_counts
from madpipe.mad.plan.atom import Atom
from madpipe.physics.sums import added

QUANTITIES = ("f_total", "f_resonant", "delta_phi", "f_normal")
_RATIOS = (0.6, 1.1)  # |F_A|/|F_T| of the prior's points (docs/plan.md)
_GRID = (5, 24)  # midpoints in |F_A|/|F_T| and Delta_phi; a grid of (20, 96) changes the medians by less than 3 %
_CLIMB = 200  # steps at most
_BRIGHT = 1e6  # photons at which the information is worked out: far above the quarter photon that rounds it off


@dataclass(frozen=True)
class Contributions:
    """What each energy tells of each point of the prior, per unit of exposure; energies add up."""

    parameters: Float[Tensor, "3 point"]  # x, a, b at one photon per unit of exposure [sqrt(photon)]
    information: Float[Tensor, "6 energy point"]  # Fisher information xx, xa, xb, aa, ab, bb [1/photon]
    pull: Float[Tensor, "3 _ energy point"]  # J' (mu_true - mu_table) / mu for each place of the edge

    def of(self, which: list[int]) -> "Contributions":
        """Give some of the energies."""
        return Contributions(self.parameters, self.information[:, which], self.pull[:, :, which])


def prior_points() -> Float[Tensor, "3 point"]:
    """Midpoints of |F_A|/|F_T| in 0.6 .. 1.1 and of Delta_phi, as x = 1, a, b."""
    ratios, phases = ((torch.arange(size, dtype=torch.float64) + 0.5) / size for size in _GRID)
    ratio, phase = torch.meshgrid(_RATIOS[0] + (_RATIOS[1] - _RATIOS[0]) * ratios, math.tau * phases, indexing="ij")
    resonant = torch.polar(ratio, phase).flatten()
    return torch.stack([torch.ones_like(resonant.real), resonant.real, resonant.imag])


def points_of_unit_brightness(atom: Atom, energy: Float[Tensor, "energy"]) -> Float[Tensor, "3 point"]:
    """The prior's points, each scaled to one photon per energy on average over these energies."""
    points = prior_points()
    photons = expected_photons(without_counts(*atom.dispersion(energy), atom.f0, points.shape[1]), points)
    return points * photons.mean(0).rsqrt()


def contributions(atom: Atom, energy: Float[Tensor, "energy"], unit: Float[Tensor, "3 point"]) -> Contributions:
    """Work out what each energy [eV] tells of points with these parameters at one photon."""
    bright = unit * _BRIGHT**0.5
    f_prime, f_double_prime = atom.dispersion(energy)
    count = unit.shape[1]
    every = without_counts(f_prime, f_double_prime, atom.f0, count)
    photons = expected_photons(every, bright)
    single = [
        without_counts(*one, atom.f0, count) for one in zip(f_prime[:, None], f_double_prime[:, None], strict=True)
    ]
    information = torch.stack([fisher_information(one, bright) for one in single], dim=1)
    moved = zip(*atom.moved(energy), strict=True)
    true = torch.stack([expected_photons(without_counts(*one, atom.f0, count), bright) for one in moved])
    weight = 1 / photons.clamp(min=1e-9 * _BRIGHT)
    pull = slopes(every, bright)[:, None] * ((true - photons) * weight)
    return Contributions(unit, information, pull / _BRIGHT**0.5)


def slopes(measurement: Measurement, parameters: Float[Tensor, "3 point"]) -> Float[Tensor, "3 channel point"]:
    """Derivatives of the expected photons by x, a, b: the photons are quadratic, so central differences are exact."""
    step = float(parameters[0].mean())
    moved = [torch.zeros_like(parameters).index_fill(0, torch.tensor([row]), step) for row in range(3)]
    ends = [[expected_photons(measurement, parameters + sign * one) for sign in (1, -1)] for one in moved]
    return torch.stack([(above - below) / (2 * step) for above, below in ends])


def expected_errors(
    parts: Contributions, photons: float, systematic: float = 0.0, exposure: Float[Tensor, "energy"] | None = None
) -> dict[str, Float[Tensor, "point"]]:
    r"""Expected errors per point of the prior, relative for the moduli, in radian for the phase.

    .. math:: C = \mathcal I^{-1} + s^2 \left\langle \beta \beta^T \right\rangle_\delta, \quad
              \beta_\delta = \mathcal I^{-1} J^T W (\mu_\delta - \mu)

    Parameters
    ----------
    parts:
        Each energy's share; infinite photons are the limit where only the table's error is left.
    photons:
        At unit exposure, in each point and at each energy on average over those that set the unit.
    systematic:
        s: 0 for the Cramer-Rao bound alone, 1 with the error from f', f'' that belong to a moved edge.
    exposure:
        Of each energy; ones if left out.

    Notes
    -----
    The bias is linear in the error of the expected photons: where it comes out above some 30 % it says "large".
    """
    weight = torch.ones(parts.information.shape[1], dtype=torch.float64) if exposure is None else exposure
    information = added((parts.information * weight[:, None]).unbind(1))
    pull = added((parts.pull * weight[:, None]).unbind(2))
    return errors_from(information, pull, parts.parameters, photons, systematic)


def errors_from(
    information: Float[Tensor, "6 point"],
    pull: Float[Tensor, "3 _ point"],
    parameters: Float[Tensor, "3 point"],
    photons: float,
    systematic: float,
) -> dict[str, Float[Tensor, "point"]]:
    """As :func:`expected_errors`, from the sums over the energies; worked out per photon, as everything scales."""
    bound = covariance(information)
    spread = bound / photons
    if systematic:
        xx, xa, xb, aa, ab, bb = bound[:, None]
        x, a, b = pull
        bias = (xx * x + xa * a + xb * b, xa * x + aa * a + ab * b, xb * x + ab * a + bb * b)
        pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        spread = spread + systematic**2 * torch.stack([(bias[i] * bias[j]).mean(0) for i, j in pairs])
    found = structure_factors(parameters, spread, exact=True)
    moduli = {name: found[f"{name}_errors"] / found[name] for name in QUANTITIES if name != "delta_phi"}
    return {**moduli, "delta_phi": found["delta_phi_errors"]}


def hand_distance(
    atom: Atom, energy: Float[Tensor, "energy"], unit: Float[Tensor, "3 point"]
) -> Float[Tensor, "point"]:
    r"""Standard deviations, per root photon, at which the nearest answer with the other sign of Delta_phi lies.

    That is the optimum that a climb from the twin, -Delta_phi, ends at, where it stays on that side, or else
    Delta_phi = 0 or pi by the Cramer-Rao bound, whichever is nearer.
    """
    bright = unit * _BRIGHT**0.5
    f0 = bright.new_tensor([1.0, atom.f0, atom.f0])[:, None]
    measurement = without_counts(*atom.dispersion(energy), atom.f0, unit.shape[1])
    photons = expected_photons(measurement, bright)
    problem = problem_of(replace(measurement, intensity=photons), 0.0)
    end = climb(problem, bright / f0 * bright.new_tensor([1.0, 1.0, -1.0])[:, None], _CLIMB, 1e-8)[0] * f0
    there = expected_photons(measurement, end)
    chi2 = added((there - photons).square() / photons.clamp(min=1e-9 * _BRIGHT))
    across = bright[2].square() / covariance(fisher_information(measurement, bright))[5]
    stayed = end[0] * end[2] * bright[2] < 0
    return torch.where(stayed, torch.minimum(chi2, across), across).sqrt() / _BRIGHT**0.5
