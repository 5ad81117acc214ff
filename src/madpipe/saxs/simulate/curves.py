"""Draw curves of a particle as an instrument would measure them."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.physics.scattering.contrast import charges_of, dispersion_of, scattering_length_density
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.physics.scattering.shapes.size_averages import size_averages, spread_of
from madpipe.physics.scattering.smearing import Resolution, smearing
from madpipe.saxs.forward import cross_section
from madpipe.saxs.intensities import is_absolute, largest_dimension, unit_intensities
from madpipe.saxs.model import ParticleModel, model_named
from madpipe.saxs.plan.materials import atoms_of, elements_of, material_of
from madpipe.saxs.simulate.records import SaxsTruth
from madpipe.saxs.simulate.settings import SimulatedCurves

_FEWEST = 1.0  # photons of a point for which its error is that of counting; below, that of one photon


def simulate_curves(config: SimulatedCurves, generator: np.random.Generator) -> tuple[Curves, SaxsTruth]:
    """Simulate curves.

    Parameters
    ----------
    config:
        Particle and instrument.
    generator:
        Draws scales and noise.

    Returns
    -------
    :
        Curves whose sigma is that of the expected counts, and the truth.

    Raises
    ------
    InputError
        No such model or parameter; neither contrasts nor materials with energies; q or slit out of order.
    """
    model = model_named(config.model, None if config.spread == "none" else config.spread)
    values = _values(model, config)
    q = _axis(config)
    ideal = _ideal(model, values, q, config)
    scales = _scales(len(ideal), config, generator)
    background = config.background * (1 + config.background_rise * np.linspace(0, 1, max(len(ideal), 2))[: len(ideal)])
    expected = scales[:, None] * config.volume_fraction * ideal + background[:, None]
    per_unit = _photons_per_unit(expected, q, config)
    curves = _measured(expected, per_unit, q, config, generator)
    named = {**values, "volume_fraction": config.volume_fraction}
    for region, text in config.materials.items():
        one = material_of(text)
        named |= {f"{region}:{element}": one.share(element) for element in one.atoms}
    truth = SaxsTruth(
        "\n".join(named),
        np.array(list(named.values())),
        expected,
        scales,
        background,
        config.offset,
        config.model,
    )
    return curves, truth


def _values(model: ParticleModel, config: SimulatedCurves) -> dict[str, float]:
    """Every parameter of the model: as told, else its default."""
    known = {one.name: one.default for one in model.parameters()}
    if strange := [name for name in config.values if name not in known]:
        raise InputError(f"simulate: values needs parameters of {', '.join(known)}; {strange[0]} came; rename it.")
    told = known | dict(config.values)
    is_told = bool(config.materials or config.contrast)
    return {name: value for name, value in told.items() if not (is_told and name.endswith("_contrast_ratio"))}


def _axis(config: SimulatedCurves) -> Float[np.ndarray, "q"]:
    """The q of the points [1/angstrom]."""
    if not config.q_min < config.q_max:
        raise InputError(
            f"simulate: needs q_min below q_max; {config.q_min:g} and {config.q_max:g}/angstrom came; exchange them."
        )
    space = np.geomspace if config.spacing == "logarithmic" else np.linspace
    return np.asarray(space(config.q_min, config.q_max, config.points))


def _ideal(
    model: ParticleModel, values: Mapping[str, float], q: Float[np.ndarray, "q"], config: SimulatedCurves
) -> Float[np.ndarray, "curve q"]:
    """Smeared curves for a volume fraction of 1 [1/cm]."""
    at, matrix = torch.from_numpy(q), None
    if config.pinhole or config.slit_length or config.slit_width:
        smeared = smearing(at, _resolution(q, config), _largest(model, values))
        at, matrix = smeared.q, smeared.matrix.numpy()
    sharp = _of_materials(model, values, at, config) if config.materials else _of_contrasts(model, values, at, config)
    return sharp if matrix is None else sharp @ matrix.T


def _resolution(q: Float[np.ndarray, "q"], config: SimulatedCurves) -> Resolution:
    """What smears the curves."""
    told = (config.pinhole * q, np.full(len(q), config.slit_length), np.full(len(q), config.slit_width))
    dq, length, width = (torch.from_numpy(one) if one.any() else None for one in told)
    return Resolution(dq, length, width)


def _largest(model: ParticleModel, values: Mapping[str, float]) -> float:
    """Largest dimension of the particles, those of the distribution's upper end included [angstrom]."""
    found = [1.0]
    for term in model.terms:
        if isinstance(term.shape, FormFactor) and not term.shape.is_sheet:
            lengths = torch.tensor([values[term.prefix + one.name] for one in term.shape.lengths]).double()
            found.append(largest_dimension(term.shape, lengths, values.get(f"{term.prefix}pd", 0.0), deviations=4.0))
    return max(found)


def _of_contrasts(
    model: ParticleModel, values: Mapping[str, float], q: torch.Tensor, config: SimulatedCurves
) -> Float[np.ndarray, "1 q"]:
    """One curve for contrasts that are told; a term without them has a scale of 1."""
    for term in model.terms:
        told = [term.prefix + one in config.contrast for one in term.regions]
        if any(told) and not is_absolute(term, config.contrast):
            raise InputError(
                f"simulate: needs contrasts of all regions, {', '.join(term.regions)}; {sum(told)} came; give the rest."
            )
    with torch.no_grad():
        at_points = {name: q.new_full(q.shape, value) for name, value in values.items()}
        terms = unit_intensities(model, at_points, q, config.distribution, config.contrast)
    found: np.ndarray = terms.sum(0, keepdim=True).numpy()
    return found


def _of_materials(
    model: ParticleModel, values: Mapping[str, float], q: torch.Tensor, config: SimulatedCurves
) -> Float[np.ndarray, "energy q"]:
    """One curve at each energy for regions made of atoms."""
    term = model.terms[0]
    shape = term.shape
    if len(model.terms) > 1 or not isinstance(shape, FormFactor) or term.structure or not config.energies:
        raise InputError("simulate: materials need one shape that has regions, and energies; give both.")
    lengths = torch.tensor([[values[one.name] for one in shape.lengths]], dtype=torch.float64)
    if term.spread is None:
        gram, mean = shape.gram_and_mean(q, lengths)
        volume = shape.outer_volume(lengths)
    else:
        width = torch.tensor([values["pd"]], dtype=torch.float64)
        chosen = spread_of(shape, None if term.spread == "all" else term.spread)
        averages = size_averages(shape, q, lengths, config.distribution, width, chosen)
        gram, mean, volume = averages.gram, averages.mean, averages.outer_volume
    contrasts = _contrasts(term.regions, config)
    rows = [cross_section(gram[0], mean[0], volume.expand(len(q)), one.expand(len(q), -1)) for one in contrasts]
    return torch.stack(rows).numpy()


def _contrasts(regions: tuple[str, ...], config: SimulatedCurves) -> torch.Tensor:
    """Contrasts of the regions at the true energies."""
    if set(config.materials) != set(regions):
        raise InputError(
            f"simulate: needs a formula of each region, {', '.join(regions)}; {', '.join(config.materials)} came."
        )
    every = [*(material_of(config.materials[one]) for one in regions), material_of(config.solvent)]
    elements = elements_of(*every)
    energy = torch.tensor(config.energies, dtype=torch.float64) + config.offset
    try:
        dispersion = dispersion_of(elements, energy)
    except ValueError as error:
        raise InputError(f"simulate: {error}.") from error
    atoms = atoms_of(every, elements)
    return scattering_length_density(atoms[:-1] - atoms[-1], charges_of(elements), dispersion)


def _scales(count: int, config: SimulatedCurves, generator: np.random.Generator) -> Float[np.ndarray, "curve"]:
    """Scale of each curve, as told or drawn."""
    drawn = np.exp(config.scale_error * generator.standard_normal(count))
    if config.scales and len(config.scales) != count:
        raise InputError(
            f"simulate: needs a scale for each of {count} curves; {len(config.scales)} came; correct them."
        )
    return np.array(config.scales) if config.scales else drawn


def _photons_per_unit(
    expected: Float[np.ndarray, "curve q"], q: Float[np.ndarray, "q"], config: SimulatedCurves
) -> Float[np.ndarray, "q"]:
    """Photons for 1/cm at each q: rings of a flat detector, whose pixels grow as q dq."""
    rings = q * np.gradient(q)
    found: np.ndarray = rings * config.photons / (expected * rings).sum(axis=1).mean()
    return found


def _measured(
    expected: Float[np.ndarray, "curve q"],
    per_unit: Float[np.ndarray, "q"],
    q: Float[np.ndarray, "q"],
    config: SimulatedCurves,
    generator: np.random.Generator,
) -> Curves:
    """Curves with noise, each error that of what was expected."""
    counts = None
    if config.photons > 0:
        counts = generator.poisson(expected * per_unit).astype(np.float64)
        intensity, sigma = counts / per_unit, np.sqrt(np.maximum(expected * per_unit, _FEWEST)) / per_unit
    else:
        sigma = config.relative_error * np.abs(expected)
        intensity = expected + sigma * generator.standard_normal(expected.shape)
    told = [f"{one:g} eV" for one in config.energies] if config.materials else ["curve"]
    return Curves(
        q=q,
        intensity=intensity,
        sigma=sigma,
        absolute=1,
        names="\n".join(told),
        title="simulated",
        dq=config.pinhole * q if config.pinhole else None,
        slit_length=np.full(len(q), config.slit_length) if config.slit_length else None,
        slit_width=np.full(len(q), config.slit_width) if config.slit_width else None,
        energy=np.array(config.energies) if config.materials else None,
        counts=counts,
        sample=", ".join(config.materials.values()) or config.model,
    )
