"""The doubt of a table of f', f'' as a factor of all resonant atoms, which no intensity sees."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.base.errors import InputError
from madpipe.mad.config import NuisanceConfig
from madpipe.mad.fit.refine.dispersion import dispersion_covariance
from madpipe.mad.realspace.joint.model import Experiment, expected_photons, measured
from madpipe.mad.records import Nuisance, Stack

_COMMON = 5  # real unknowns of all atoms together
_ROUNDING = 1e-12  # of normalised normal equations


def factor_error(
    stack: Stack,
    experiment: Experiment,
    atoms: Complex[Tensor, "2 *grid"],
    config: NuisanceConfig,
    nuisance: Nuisance | None = None,
) -> float | None:
    r"""Relative standard error of the factor that all resonant atoms have in common by the doubt of f', f''.

    .. math:: \sigma_\kappa^2 = r' C r,\quad r = \partial \Re\kappa / \partial(f', f'')

    with C the prior covariance of f', f'' and r from :func:`factor_response`. Where f', f'' were refined it is what the
    refinement left of that doubt.

    Parameters
    ----------
    stack, experiment:
        What was measured, with the f', f'' that were taken.
    atoms:
        Resonant and other atoms that were found [sqrt(photon) / electron].
    config:
        The doubt of a table (:func:`madpipe.mad.fit.refine.dispersion.dispersion_covariance`). A stack with an
        absorption spectrum of its own has none of the doubt near the edge, only the relative one of each energy.
    nuisance:
        What was refined.

    Returns
    -------
    :
        None where nothing tells the doubt: no resonant element, or an edge that no table has; no resonant atoms.
    """
    if nuisance is not None and nuisance.f_prime_correlation is not None:
        return nuisance.f_resonant_relative_error
    if stack.spectrum_energy is not None:
        config = config.model_copy(update={"dispersion_sigma": 0.0})
    try:
        covariance = dispersion_covariance(stack, config)
    except InputError:
        return None
    response = factor_response(experiment, experiment.transformed(atoms)).flatten()
    error = math.sqrt(float(response @ covariance @ response))
    return error if math.isfinite(error) and error > 0 else None


def factor_response(experiment: Experiment, pair: Complex[Tensor, "2 *q"]) -> Float[Tensor, "2 energy"]:
    r"""By how much errors of f', f'' scale all resonant atoms: derivatives of the factor by f' and f''.

    The most likely answer to an error of rho = f' + i f'' among changes that all atoms make together,

    .. math:: \min_{\kappa, \lambda, m} \sum_{q,E} \frac{4\tau^2}{v}
              \left[\Re F_E^* (\kappa \rho_E a + \lambda a + m F_T - a\, \delta\rho_E)\right]^2

    with kappa (that turns and scales the resonant atoms) and lambda (that f' takes from f0) complex, m real. Beside a
    joint search with wrong f', f'' it is right to some 5 % of the prior's doubt (tests).

    Parameters
    ----------
    experiment, pair:
        What was measured; F_T and a of the densities that were found.
    """
    energies = len(experiment.counts)
    normal = torch.zeros(_COMMON, _COMMON, dtype=torch.float64)
    right = torch.zeros(_COMMON, 2, energies, dtype=torch.float64)
    total, reduced = pair
    for energy in range(energies):
        amplitude, expected = expected_photons(experiment, pair, energy)
        tau, ratio = experiment.exposure[energy], experiment.ratio(energy)
        weight = measured(experiment, energy, 1 / experiment.noise.variance(expected).clamp(min=1.0))
        parts = (ratio * reduced, 1j * ratio * reduced, reduced, 1j * reduced, total)
        columns = torch.stack([(amplitude.conj() * part).real.flatten() for part in parts]).double()
        weighted = columns * (tau * tau * weight).flatten()
        normal += (weighted @ columns.T).cpu()
        right[:, :, energy] = (weighted @ columns[2:4].T).cpu()  # by f' and f'': a and i a at this energy
    scale = normal.diagonal().clamp(min=1e-300).sqrt()
    inverse = torch.linalg.pinv(normal / torch.outer(scale, scale), rtol=_ROUNDING, hermitian=True)
    return torch.einsum("i,ike->ke", inverse[0] / scale[0] / scale, right)
