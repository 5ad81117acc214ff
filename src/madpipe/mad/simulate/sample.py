"""Simulated measurements: a particle's Bragg peak at several photon energies, with the truth that made it."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from madpipe.mad.config import PriorConfig, SimulatedSample
from madpipe.mad.forward import anomalous_factor, dispersion_ratio, mad_intensity
from madpipe.mad.measured.spectrum import dispersion_in
from madpipe.mad.records import Stack, Truth
from madpipe.mad.simulate.particle import Particle, make_particle
from madpipe.physics.atoms import dispersion_correction, form_factor
from madpipe.physics.fourier import diffract, grid, q_axis, real_axis
from madpipe.physics.noise import beam_stop, gap, poisson, scale_jitter

_ATOMS_PER_CELL = 4  # fcc
_SHADOWED, _MISSING = 0x10, 0x200  # bits of the CXI pixel mask


@dataclass(frozen=True)
class _Scattering:
    """Structure factors of a particle [electron], form factors [electron] and dispersion corrections [electron]."""

    resonant: Complex[Tensor, "*q"]
    normal: Complex[Tensor, "*q"]  # with the partner's mean dispersion correction
    partner_atoms: Complex[Tensor, "*q"]  # transform of the partner's number density
    f0: Float[Tensor, "*q"]
    partner_variation: Complex[Tensor, "energy"]  # partner's dispersion correction less its mean


def bragg_vector(sample: SimulatedSample) -> Float[Tensor, "axis"]:
    """Bragg vector of the shell's lattice, along the first axis of the grid [1/angstrom]."""
    length = 2 * math.pi * math.sqrt(sum(index**2 for index in sample.reflection)) / sample.lattice_angstrom
    return torch.tensor([length] + [0.0] * (sample.dimensions - 1), dtype=torch.float64)


def simulate(sample: SimulatedSample, generator: torch.Generator) -> Stack:
    r"""Simulate a stack and keep its truth.

    .. math:: \mu_E(q) = G_E\, k\, |F_T + \rho_E F_A + (\delta_E - \bar\delta) N_N|^2 + b

    k: photons per electron squared, one for all energies; G: per-energy scale; N_N: transform of the partner's number
    density, whose mean dispersion correction is part of F_N and F_T and whose variation is part of the data only.

    Parameters
    ----------
    sample:
        What to simulate. Intensities of every energy are given on one q grid, as after regridding; polarisation,
        absorption in the particle, partial coherence and energy-dependent detector geometry are left out.
    generator:
        Draws particle, scale jitter and counts, in this order.

    Raises
    ------
    InputError
        The spectrum's file cannot be read or does not fit element and energies.
    ValueError
        Element or energies that the tables do not know.
    """
    q_bragg = bragg_vector(sample)
    particle = make_particle(sample, float(q_bragg.norm()), generator)
    nominal = torch.tensor(sorted(sample.energies_ev), dtype=torch.float64)
    q_axes = [q_axis(sample.grid, particle.voxel_size)] * sample.dimensions
    scattering = _scatter(particle, sample, nominal + sample.energy_offset_ev, q_bragg, q_axes)
    true = dispersion_in(sample.spectrum, sample.element, sample.edge, nominal + sample.energy_offset_ev)
    ideal = _intensities(scattering, true, variation=True)
    per_electron2 = sample.photons / float(ideal.flatten(1).sum(1).max())
    jitter = scale_jitter(len(nominal), sample.scale_jitter, generator)
    ideal *= per_electron2
    expected = ideal * jitter.reshape(-1, *[1] * sample.dimensions) + sample.background
    counts = poisson(expected, generator).numpy().astype(np.uint32) if sample.noise else expected.numpy()
    drawn = {
        "sample": sample.model_dump(mode="json"),
        "scale": jitter.tolist(),
        "f_prime": true[0].tolist(),
        "f_double_prime": true[1].tolist(),
        "mad_residual": _mad_residual(scattering, sample, nominal, ideal, per_electron2),
    }
    truth = _truth(particle, scattering, sample, expected, per_electron2, q_bragg, drawn)
    return _stack(sample, counts, nominal, scattering.f0, q_bragg, q_axes, truth)


def draw_sample(prior: PriorConfig, like: SimulatedSample, generator: torch.Generator) -> SimulatedSample:
    """Draw a sample from a prior; energies, element, photons, size and lattice are those of ``like``."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))

    def one_of(choices: tuple[str, ...]) -> str:
        return choices[int(torch.randint(len(choices), (), generator=generator))]

    def some(most: int) -> int:
        has_any = between(0.0, 1.0) < prior.defective
        return 1 + int(torch.randint(most, (), generator=generator)) if has_any else 0

    drawn = {
        "grid": prior.grid if like.dimensions == 2 else prior.volume_grid,
        "oversampling": between(*prior.oversampling),
        "shape": one_of(prior.shapes),
        "composition": one_of(prior.compositions),
        "core_fraction": between(*prior.core_fraction),
        "shell_fraction": between(*prior.shell_fraction),
        "shell_thickness_angstrom": between(*prior.shell_thickness) * like.particle_size_angstrom,
        "misfit": between(*prior.misfit) * between(0.0, 1.0),  # weak strain is as usual as strong
        "strain_phase_rms": between(*prior.strain_phase_rms) * between(0.0, 1.0),
        "phase_step": some(1) * between(-math.pi, math.pi),
        "dislocations": some(prior.dislocations),
        "voids": some(prior.voids),
        "steps": (),
    }
    return SimulatedSample(**{**like.model_dump(), **drawn})


def _scatter(
    particle: Particle, sample: SimulatedSample, energy: Tensor, q_bragg: Tensor, q_axes: list[Tensor]
) -> _Scattering:
    """Structure factors with the form factors at the true momentum transfer of every point."""
    ndim = sample.dimensions
    q = (grid(q_axes) + q_bragg.reshape(-1, *[1] * ndim)).norm(dim=0)
    f0_resonant, f0_partner = form_factor(sample.element, q), form_factor(sample.partner, q)
    resonant_atoms, partner_atoms = number_densities(particle, sample, float(q_bragg.norm()))
    correction = anomalous_factor(*dispersion_correction(sample.partner, energy))
    mean = correction.mean()
    transform = diffract(partner_atoms, ndim)
    return _Scattering(
        diffract(resonant_atoms, ndim) * f0_resonant,
        transform * (f0_partner + mean),
        transform,
        f0_resonant,
        torch.zeros_like(correction) if sample.nonresonant_dispersion == "mean" else correction - mean,
    )


def number_densities(
    particle: Particle, sample: SimulatedSample, q_length: float
) -> tuple[Complex[Tensor, "*grid"], Complex[Tensor, "*grid"]]:
    """Complex densities of resonant and of other atoms [atom per voxel], phase Q.u of one displacement field.

    A 2-D particle is taken as one voxel thick.
    """
    atoms = particle.occupancy * (_ATOMS_PER_CELL * (particle.voxel_size / sample.lattice_angstrom) ** 3)
    wave = torch.exp(1j * q_length * particle.displacement) * atoms
    return wave * particle.resonant_fraction, wave * (1 - particle.resonant_fraction)


def _intensities(
    scattering: _Scattering, dispersion: tuple[Tensor, Tensor], *, variation: bool
) -> Float[Tensor, "energy *q"]:
    """Noise-free intensities [electron^2], with or without the slow variation of the partner's dispersion."""
    total = scattering.resonant + scattering.normal
    intensities = torch.empty(len(dispersion[0]), *total.shape, dtype=torch.float64)
    for k, (f_prime, f_double_prime) in enumerate(zip(*dispersion, strict=True)):
        shift = scattering.partner_variation[k] * scattering.partner_atoms if variation else 0
        ratio = dispersion_ratio(f_prime, f_double_prime, scattering.f0)
        intensities[k] = mad_intensity(total + shift, scattering.resonant, ratio)
    return intensities


def _mad_residual(
    scattering: _Scattering, sample: SimulatedSample, nominal: Tensor, ideal: Tensor, per_electron2: float
) -> float:
    """R factor of the MAD equation with the nominal table and the truth against the noise-free intensities."""
    tabulated = dispersion_correction(sample.element, nominal)
    calculated = _intensities(scattering, tabulated, variation=False) * per_electron2
    return float((ideal - calculated).abs().sum() / ideal.sum())


def _truth(
    particle: Particle,
    scattering: _Scattering,
    sample: SimulatedSample,
    expected: Tensor,
    per_electron2: float,
    q_bragg: Tensor,
    drawn: dict[str, object],
) -> Truth:
    """Collect what was drawn; structure factors in sqrt(photon) at unit scale, densities in electrons."""
    at_bragg = q_bragg.norm()
    f0_resonant = float(form_factor(sample.element, at_bragg))
    energy = torch.tensor(sorted(sample.energies_ev), dtype=torch.float64) + sample.energy_offset_ev
    partner = complex(
        form_factor(sample.partner, at_bragg) + anomalous_factor(*dispersion_correction(sample.partner, energy)).mean()
    )
    resonant_atoms, partner_atoms = number_densities(particle, sample, float(at_bragg))
    root = math.sqrt(per_electron2)
    return Truth(
        f_total=((scattering.resonant + scattering.normal) * root).numpy(),
        f_resonant=(scattering.resonant * root).numpy(),
        f_normal=(scattering.normal * root).numpy(),
        rho_resonant=(resonant_atoms * f0_resonant).numpy(),
        rho_normal=(partner_atoms * partner).numpy(),
        support=(particle.occupancy >= 0.5).numpy().astype(np.uint8),
        displacement=particle.displacement.numpy(),
        composition=torch.where(particle.occupancy > 0, particle.resonant_fraction, 0.0).numpy(),
        expected=expected.numpy(),
        photons_per_electron2=per_electron2,
        f0_resonant=f0_resonant,
        f_normal_atom=partner,
        drawn=json.dumps(drawn, sort_keys=True),
    )


def _stack(
    sample: SimulatedSample,
    counts: np.ndarray,
    nominal: Tensor,
    f0: Tensor,
    q_bragg: Tensor,
    q_axes: list[Tensor],
    truth: Truth,
) -> Stack:
    """Put the stack together as a beamline would hand it over: nominal energies, tabulated f', f''."""
    f_prime, f_double_prime = dispersion_correction(sample.element, nominal)
    names = ("qz", "qy", "qx")[-sample.dimensions :]
    axes: dict[str, Any] = {name: axis.numpy() for name, axis in zip(names, q_axes, strict=True)}
    energies = len(nominal)
    title = f"simulated {sample.composition} {sample.shape} {sample.element}-{sample.partner} particle"
    return Stack(
        data=counts,
        energy=nominal.numpy(),
        f_prime=f_prime.numpy(),
        f_double_prime=f_double_prime.numpy(),
        f0=f0.numpy(),
        element=sample.element,
        edge=sample.edge,
        table="Chantler (xraydb)",
        title=title,
        name=sample.composition,
        chemical_formula=f"{sample.element}{sample.partner}",
        q_bragg=q_bragg.numpy(),
        mask=_mask(sample),
        background=np.full(counts.shape, sample.background) if sample.background else None,
        monitor=np.ones(energies) if sample.scale_jitter else None,
        monitor_sigma=np.full(energies, sample.scale_jitter) if sample.scale_jitter else None,
        truth=truth,
        **axes,
    )


def _mask(sample: SimulatedSample) -> np.ndarray | None:
    """Mask of beam stop and gap with CXI's bits, or none where there is neither."""
    if not (sample.beam_stop_radius or sample.gap_width):
        return None
    points = grid([real_axis(sample.grid, 1.0)] * sample.dimensions)
    shadowed = beam_stop(points, sample.beam_stop_radius).numpy()
    missing = gap(points[-1], 2.0, float(sample.gap_width)).numpy()
    return (_SHADOWED * shadowed + _MISSING * missing).astype(np.uint32)
