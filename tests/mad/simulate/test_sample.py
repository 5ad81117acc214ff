"""Simulated stacks: the truth obeys the equation, the noise is one for all energies, nothing is lost."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from madpipe.mad.config import PriorConfig, SimulatedSample
from madpipe.mad.forward import dispersion_ratio, mad_intensity
from madpipe.mad.simulate.sample import draw_sample, simulate
from madpipe.physics.atoms import dispersion_correction, form_factor
from madpipe.physics.fourier import diffract, grid


def stack_of(rng, **changes):
    return simulate(SimulatedSample(**{"dimensions": 2, "grid": 48, "photons": 1e6, **changes}), rng)


def calculated(stack):
    f_prime, f_double_prime = (torch.tensor(x)[:, None, None] for x in (stack.f_prime, stack.f_double_prime))
    ratio = dispersion_ratio(f_prime, f_double_prime, torch.tensor(stack.f0))
    return mad_intensity(torch.tensor(stack.truth.f_total), torch.tensor(stack.truth.f_resonant), ratio).numpy()


def test_noise_free_stack_obeys_the_equation_with_the_partner_held_at_its_mean(rng):
    stack = stack_of(rng, noise=False, nonresonant_dispersion="mean")
    assert np.abs(stack.data - calculated(stack)).max() < 1e-12 * stack.data.max()
    assert json.loads(stack.truth.drawn)["mad_residual"] < 1e-12


def test_residual_of_the_tabulated_partner_is_recorded(rng):
    stack = stack_of(rng, noise=False)
    residual = np.abs(stack.data - calculated(stack)).sum() / stack.data.sum()
    assert json.loads(stack.truth.drawn)["mad_residual"] == pytest.approx(residual, rel=1e-9)
    assert 1e-6 < residual < 1e-2  # Fe's f', f'' move by about 0.01 electron over 35 eV


def test_truth_is_consistent_with_itself(rng):
    truth = stack_of(rng).truth
    assert np.allclose(truth.f_total, truth.f_resonant + truth.f_normal, rtol=1e-12, atol=1e-9)
    # densities are given with the form factors at the Bragg vector, the structure factors with those at q
    transform = diffract(torch.tensor(truth.rho_resonant), 2).numpy() * np.sqrt(truth.photons_per_electron2)
    strong = np.abs(truth.f_resonant) > 0.01 * np.abs(truth.f_resonant).max()
    assert np.abs(transform / truth.f_resonant - 1)[strong].max() < 0.05


def test_the_support_is_where_voxels_are_at_least_half_full(rng):
    truth = stack_of(rng).truth
    atoms = np.abs(truth.rho_resonant) / truth.f0_resonant + np.abs(truth.rho_normal / truth.f_normal_atom)
    # a full voxel, away from the rim, holds what fcc with the shell's lattice does: rounding of the division only
    occupancy = atoms / atoms.max()
    sure = np.abs(occupancy - 0.5) > 1e-9
    assert ((occupancy > 0.5) == (truth.support > 0))[sure].all()
    assert ((occupancy > 0.5) & (occupancy < 0.75)).any()  # there are voxels that a coarser rule would lose


def test_a_full_voxel_holds_four_atoms_of_every_cell(rng):
    stack = stack_of(rng)
    truth, voxel = stack.truth, 2 * np.pi / (48 * (stack.qx[1] - stack.qx[0]))
    atoms = np.abs(truth.rho_resonant) / truth.f0_resonant + np.abs(truth.rho_normal / truth.f_normal_atom)
    assert atoms.max() == pytest.approx(4 * (voxel / SimulatedSample().lattice_angstrom) ** 3, rel=1e-9)


def test_partner_at_its_mean_dispersion_is_in_the_truth(rng):
    """Fe near the Ni K edge: f0 at Ni 111 about 18.4, f' -0.83, f'' 3.03, from Chantler's table."""
    truth = stack_of(rng).truth
    assert truth.f_normal_atom.imag == pytest.approx(3.03, abs=0.02)
    core = (truth.composition == 0.75) & (truth.support == 1)
    expected = truth.f_normal_atom / truth.f0_resonant / 3
    assert (truth.rho_normal[core] / truth.rho_resonant[core]).mean() == pytest.approx(expected, rel=1e-6)


def test_control_without_partner_has_no_normal_part(rng):
    assert np.abs(stack_of(rng, composition="pure_resonant").truth.f_normal).max() < 1e-9


def test_control_without_resonant_atoms_does_not_see_the_edge(rng):
    stack = stack_of(rng, composition="no_resonant", noise=False, nonresonant_dispersion="mean")
    assert np.abs(stack.truth.f_resonant).max() < 1e-9
    assert np.ptp(stack.data, axis=0).max() < 1e-12 * stack.data.max()


def test_brightest_energy_has_the_photons_asked_for_and_the_others_keep_their_contrast(rng):
    stack = stack_of(rng, photons=1e6)
    totals = stack.truth.expected.sum(axis=(1, 2))
    assert totals.max() == pytest.approx(1e6)
    assert totals.min() < 0.9 * totals.max()
    assert stack.data.dtype == np.uint32
    assert abs(stack.data.sum() - totals.sum()) < 4 * totals.sum() ** 0.5


def test_optional_faults_are_drawn_and_recorded(rng):
    faults = {"background": 2.0, "beam_stop_radius": 2.5, "gap_width": 3, "scale_jitter": 0.01, "energy_offset_ev": 1.5}
    stack = stack_of(rng, **faults, noise=False)
    drawn = json.loads(stack.truth.drawn)
    assert drawn["sample"]["energy_offset_ev"] == 1.5
    assert 0 < np.std(drawn["scale"]) < 0.05
    assert stack.data.min() >= 2.0
    assert (stack.background == 2.0).all()
    assert not stack.good[:, 24, 24].any()
    assert not stack.good[:, :, 26:29].any()
    assert stack.good.any()
    assert drawn["mad_residual"] > 1e-3  # 1.5 eV off near the edge


def test_the_mask_says_why_by_the_bits_of_cxi(rng):
    mask = stack_of(rng, beam_stop_radius=2.5, gap_width=3).mask
    assert mask[24, 24] == 0x10  # shadowed
    assert (mask[:, 26:29] & 0x200 != 0).all()  # missing
    assert (mask != 0).sum() == 21 + 3 * 48 - 3  # a disc of radius 2.5, whose last column the gap takes up


def test_a_tabulated_partner_s_dispersion_changes_from_energy_to_energy(rng):
    """What the data are made of: F_T + rho F_A + (delta_E - mean) N, N the transform of the partner's atoms."""
    stack = stack_of(rng, noise=False, photons=1e8)
    truth = stack.truth
    q = (grid([torch.tensor(stack.qy), torch.tensor(stack.qx)]) + torch.tensor(stack.q_bragg)[:, None, None]).norm(
        dim=0
    )
    change = torch.complex(*dispersion_correction("Fe", torch.tensor(stack.energy)))
    atoms = torch.tensor(truth.f_normal) / (form_factor("Fe", q) + change.mean())
    total = torch.tensor(truth.f_total) + (change - change.mean())[:, None, None] * atoms
    ratio = dispersion_ratio(
        *(torch.tensor(x)[:, None, None] for x in (stack.f_prime, stack.f_double_prime)), torch.tensor(stack.f0)
    )
    expected = mad_intensity(total, torch.tensor(truth.f_resonant), ratio).numpy()
    assert np.abs(stack.data - expected).max() < 1e-9 * expected.max()


def test_form_factor_is_taken_at_the_true_momentum_transfer(rng):
    stack = stack_of(rng)
    assert stack.f0[24, 24] == pytest.approx(20.52, abs=0.01)
    assert stack.f0[-1, 24] < stack.f0[24, 24] < stack.f0[0, 24]


def test_undersampling_and_too_few_energies_are_refused():
    with pytest.raises(ValidationError, match="oversampling"):
        SimulatedSample(oversampling=1.5)
    with pytest.raises(ValidationError, match="3 distinct"):
        SimulatedSample(energies_ev=(8313.0, 8333.0, 8333.0))


def test_prior_is_drawn_within_its_ranges(rng):
    prior = PriorConfig(grid=32)
    samples = [draw_sample(prior, SimulatedSample(dimensions=2), rng) for _ in range(60)]
    assert {sample.composition for sample in samples} == set(prior.compositions)
    assert all(prior.photons[0] <= sample.photons <= prior.photons[1] for sample in samples)
    assert len({sample.oversampling for sample in samples}) == 60
