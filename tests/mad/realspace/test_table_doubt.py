"""The factor common to all resonant atoms: its error against searches with wrong tables, and where it stands."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from madpipe.base import store
from madpipe.commands.about import about
from madpipe.mad.config import FitConfig, NuisanceConfig, RetrieveConfig, SimulatedSample
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.fit.refine.dispersion import dispersion_covariance
from madpipe.mad.realspace.joint.domain import box_of, cut
from madpipe.mad.realspace.joint.model import experiment_of
from madpipe.mad.realspace.joint.search import search
from madpipe.mad.realspace.retrieve import retrieve
from madpipe.mad.realspace.separation import scattering_factors
from madpipe.mad.realspace.table_doubt import factor_error, factor_response
from madpipe.mad.realspace.words import told
from madpipe.mad.records import LOWER_BOUNDS, STANDARD, RealSpace
from madpipe.mad.simulate.sample import simulate

SMALL = SimulatedSample(dimensions=2, grid=48, photons=1e8, strain_phase_rms=0.5, nonresonant_dispersion="mean", seed=3)
PRIOR = NuisanceConfig()


def case(sample):
    """Stack, experiment, true atoms in their box and where they are."""
    stack = simulate(sample, torch.Generator().manual_seed(4))
    factors, root = scattering_factors(stack), math.sqrt(stack.truth.photons_per_electron2)
    parts = (stack.truth.rho_resonant / factors.resonant, stack.truth.rho_normal / factors.normal)
    atoms = torch.as_tensor(root * np.stack(parts)).to(torch.complex64)
    domain = atoms.sum(0).abs() > 0
    box = box_of(domain)
    return stack, experiment_of(stack, factors), cut(atoms, box), cut(domain, box)


@pytest.fixture(scope="module")
def measured():
    torch.set_default_dtype(torch.float64)
    return case(SMALL)


@pytest.fixture(scope="module")
def objects(measured):
    stack = measured[0]
    fit = fit_stack(stack, FitConfig())
    routes = ("joint", "linked")
    return {route: retrieve(fit, stack, RetrieveConfig(), torch.Generator().manual_seed(1), route) for route in routes}


def test_searches_with_wrong_tables_are_off_by_the_factor_that_is_told():
    """Data without noise, tables a fiftieth of the prior's doubt off: the resonant atoms' root mean square."""
    stack, experiment, inside, domain = case(SMALL.model_copy(update={"photons": 1e9, "noise": False}))
    response = factor_response(experiment, experiment.transformed(inside)).flatten()
    root = torch.linalg.cholesky(dispersion_covariance(stack, PRIOR))
    unit = torch.randn(4, len(root), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    told_by_response, off = [], []
    for error in 0.02 * unit @ root.T:
        prime, second = error.float().reshape(2, -1)
        wrong = replace(
            experiment, f_prime=experiment.f_prime - prime, f_double_prime=experiment.f_double_prime - second
        )
        found = search(wrong, inside, domain, most=40, tolerance=1e-3).atoms[0]
        off.append(float(found.norm() / inside[0].norm()) - 1)
        told_by_response.append(float(response @ error))
    assert max(map(abs, off)) > 0.01
    # what densities do beside a common factor: a twentieth of the prior's doubt in this direction
    doubt = math.sqrt(float((root.T @ response).square().sum()))
    np.testing.assert_allclose(off, told_by_response, atol=4 * 0.05 * 0.02 * doubt)


def test_the_error_is_the_prior_s_along_the_response(measured):
    stack, experiment, inside, _ = measured
    error = factor_error(stack, experiment, inside, PRIOR)
    response = factor_response(experiment, experiment.transformed(inside)).flatten()
    root = torch.linalg.cholesky(dispersion_covariance(stack, PRIOR))
    assert error == pytest.approx(float((root.T @ response).norm()), rel=1e-9)
    twice = NuisanceConfig(dispersion_sigma=4.0, dispersion_relative=0.1)
    assert factor_error(stack, experiment, inside, twice) == pytest.approx(2 * error, rel=1e-6)


def test_a_spectrum_of_the_sample_leaves_the_relative_doubt_alone(measured):
    stack, experiment, inside, _ = measured
    column = np.linspace(8300.0, 8360.0, 5)
    own = replace(stack, spectrum_energy=column, spectrum_f_prime=column / 1e4, spectrum_f_double_prime=column / 1e4)
    error, other = (factor_error(one, experiment, inside, PRIOR) for one in (own, stack))
    response = factor_response(experiment, experiment.transformed(inside)).numpy()
    values = np.stack([stack.f_prime, stack.f_double_prime])
    assert error == pytest.approx(0.05 * np.linalg.norm(response * values), rel=1e-6)
    assert error < 0.5 * other


def test_where_nothing_tells_the_doubt_there_is_none(measured):
    stack, experiment, inside, _ = measured
    assert factor_error(replace(stack, element=""), experiment, inside, PRIOR) is None
    assert factor_error(stack, experiment, torch.zeros_like(inside), PRIOR) is None


def test_factor_and_kind_of_errors_stand_in_file_terminal_and_info(objects, measured, tmp_path):
    stack = measured[0]
    for route, are in (("joint", STANDARD), ("linked", LOWER_BOUNDS)):
        found = objects[route]
        store.write(tmp_path / f"{route}.h5", found, process={})
        back = store.read(tmp_path / f"{route}.h5", RealSpace)
        assert back.composition_errors_are == are
        assert back.resonant_factor_errors == pytest.approx(found.resonant_factor_errors)
        line = f"common factor of the resonant atoms: 1 +- {found.resonant_factor_errors:.2g} by the doubt of f', f''"
        summary, factor = told(found, stack)[:2]
        info = "\n".join(about(tmp_path / f"{route}.h5"))
        assert factor.startswith(line)
        assert line in info
        assert ("a lower bound" in summary) is (are == LOWER_BOUNDS)
        assert ("errors of the composition: lower bounds" in info) is (are == LOWER_BOUNDS)
    assert objects["joint"].resonant_factor_errors == pytest.approx(objects["linked"].resonant_factor_errors, rel=0.1)


def test_refined_dispersion_has_its_doubt_in_the_factor_not_in_the_voxels(objects, measured):
    stack = measured[0]
    found = retrieve(
        None, stack, RetrieveConfig(), torch.Generator().manual_seed(1), refine=("dispersion",), known=PRIOR
    )
    assert found.resonant_factor_errors == pytest.approx(found.nuisance.f_resonant_relative_error)
    assert 0.05 < found.resonant_factor_errors < objects["joint"].resonant_factor_errors
    inside = found.support > 0
    assert np.median(found.composition_errors[inside]) < 0.3 * found.resonant_factor_errors
