"""Fits of an energy series whose curves were made apart from the package, and what a fit says of itself."""

import warnings

import numpy as np
import pytest
import torch
import xraydb

from madpipe.base.curves.records import Curves
from madpipe.base.errors import InputError
from madpipe.physics.atoms import dispersion_correction
from madpipe.saxs.anomalous.dispersion import Dispersion, Spectrum
from madpipe.saxs.anomalous.fit import anomalous_problem, fit_anomalous
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.config_plan import PlanSettings
from madpipe.saxs.plan.information import Particle, derivatives, standard_errors
from madpipe.saxs.plan.materials import material_of
from madpipe.saxs.records import AT_BOUND, FREE, OPEN

BELOW_FE = np.array([6812.0, 7012.0, 7062.0, 7087.0, 7096.0])
ROUND_MATCH = np.array([8133.0, 8230.0, 8278.77, 8300.0, 8315.0])  # 8278.77: Ni3Fe and Ni look alike
BEGUN = [{"core_radius": 36.0, "thickness": 14.0, "pd": 0.12, "core:Fe": 0.35}]
QUICK = {"library": 16, "starts": 1, "distribution": "gaussian"}
R_E, AVOGADRO = 28.179403, 0.602214076  # classical radius [1e-6 angstrom]; atoms per angstrom^3 of 1 mol/cm^3
IRON, WATER = {"Ni": 3, "Fe": 1}, {"H": 2, "O": 1}


def density_of(atoms, energy):
    """Complex scattering length density [1e-6/angstrom^2] of atoms per volume [1/angstrom^3]."""
    total = 0j
    for symbol, many in atoms.items():
        first, second = (float(table(symbol, energy)) for table in (xraydb.f1_chantler, xraydb.f2_chantler))
        total += many * (xraydb.atomic_number(symbol) + first + 1j * second)
    return R_E * total


def atoms_of(counts, density):
    """Atoms per volume [1/angstrom^3] of counts at a density [g/cm^3]."""
    mass = sum(many * xraydb.atomic_mass(symbol) for symbol, many in counts.items())
    return {symbol: AVOGADRO * density * many / mass for symbol, many in counts.items()}


def ball(q, radius):
    """Integral of exp(iqr) over a ball [angstrom^3]."""
    x = q * radius
    return 4 * np.pi * radius**3 * (np.sin(x) - x * np.cos(x)) / x**3


def section(q, particles, core, shell):
    """Cross section for phi of 1 [1/cm] of core-shell balls; particles are (radius, thickness, weight)."""
    square, volume = np.zeros(len(q)), 0.0
    for radius, thickness, weight in particles:
        inner, whole = ball(q, radius), ball(q, radius + thickness)
        amplitude = core * inner + shell * (whole - inner)
        square += weight * np.abs(amplitude) ** 2
        volume += weight * 4 / 3 * np.pi * (radius + thickness) ** 3
    return 1e-4 * square / volume


def in_proportion(radius, thickness, width, count=160):
    """Sizes of a Gaussian distribution, all lengths in proportion, cut at five standard deviations."""
    place, weight = np.polynomial.legendre.leggauss(count)
    size = 1 + 5 * width * place
    return [
        (radius * s, thickness * s, w * np.exp(-0.5 * ((s - 1) / width) ** 2))
        for s, w in zip(size, weight, strict=True)
    ]


def two_kinds(radius, thickness, width):
    """What no model of ours has: cores of one triangular distribution, shells of another, two populations."""
    some = []
    for shift in (-2, -1, 0, 1, 2):
        for turn in (-1, 0, 1):
            weight = (3 - abs(shift)) * (2 - abs(turn))
            some.append((radius * (1 + width * shift), thickness * (1 + 4 * width * turn), weight))
    return some + [(0.55 * r, 2.2 * t, 0.9 * w) for r, t, w in some]


def series(q, energies, particles, core, shell, solvent, phi):
    """Intensities at each energy [1/cm]."""
    rows = []
    for energy in energies:
        around = density_of(solvent, energy)
        rows.append(phi * section(q, particles, density_of(core, energy) - around, density_of(shell, energy) - around))
    return np.array(rows)


def measured(energies, particles, stated=None, photons=1e7, seed=1, share=0.25, phi=1e-3, background=0.02, points=70):
    """Curves with counting noise: cores of Ni and Fe at 8.65 g/cm^3 of Ni3Fe's atoms per volume, shells of Ni."""
    generator = np.random.default_rng(seed)
    q = np.geomspace(0.01, 0.4, points)
    total = sum(atoms_of(IRON, 8.65).values())
    core = {"Ni": (1 - share) * total, "Fe": share * total}
    made = series(q, energies, particles, core, atoms_of({"Ni": 1}, 8.9), atoms_of(WATER, 1.0), phi)
    expected = made + background
    per_unit = photons * q**2 / (expected * q**2).sum(1).mean()
    counts = generator.poisson(expected * per_unit)
    return Curves(
        q=q,
        intensity=counts / per_unit,
        sigma=np.sqrt(np.maximum(expected * per_unit, 1)) / per_unit,
        absolute=1,
        names="\n".join(f"{one:g}" for one in energies),
        title="made apart",
        energy=np.asarray(energies if stated is None else stated, dtype=float),
    )


def config(**more):
    told = {"materials": {"core": "Ni3Fe@8.65", "shell": "Ni@8.9"}, "densities": {"shell": 0.0}, **QUICK}
    return AnomalousFitConfig(**{**told, **more})


def test_the_curves_are_those_of_a_sum_over_particles_written_apart():
    """Atomic weights of two libraries differ by 1e-4, twice that in the level; shapes agree to the cut, 1e-4."""
    for energies in (BELOW_FE, ROUND_MATCH):
        curves = measured(energies, in_proportion(38, 13, 0.1), background=0.0)
        problem = anomalous_problem(curves, config(offset=0, table=0, scale=0, density=0), 200.0)
        fitted = problem.fitted(
            problem.unknowns.numbers({"core_radius": 38.0, "thickness": 13.0, "pd": 0.1, "core:Fe": 0.25})
        )
        total = sum(atoms_of(IRON, 8.65).values())
        core = {"Ni": 0.75 * total, "Fe": 0.25 * total}
        made = series(
            curves.q, energies, in_proportion(38, 13, 0.1), core, atoms_of({"Ni": 1}, 8.9), atoms_of(WATER, 1.0), 1.0
        )
        for own, one, expected in zip(problem.rows, problem.curves, made, strict=True):
            ratio = fitted.columns[own, 0] * one.sigma / expected
            np.testing.assert_allclose(ratio, 1, rtol=5e-4)
            np.testing.assert_allclose(ratio, ratio.mean(), rtol=1.5e-4)


@pytest.mark.parametrize("smeared", [False, True])
def test_derivatives_are_those_of_differences(smeared):
    curves = measured(ROUND_MATCH, in_proportion(38, 13, 0.1))
    if smeared:
        curves = Curves(**{**vars(curves), "dq": 0.05 * curves.q})
    problem = anomalous_problem(curves, config(tables=("Ni", "Fe")), 150.0)
    numbers = problem.unknowns.numbers({"core_radius": 37.0, "thickness": 14.0, "pd": 0.12, "core:Fe": 0.3})
    numbers += 0.01 * np.random.default_rng(0).standard_normal(len(numbers))
    here = problem.fitted(numbers)
    assert len(numbers) == 4 + 1 + 1 + 4 + 5
    for place, one in enumerate(problem.unknowns.moved):
        step = np.zeros(len(numbers))
        step[place] = 1e-5
        high, low = (problem.fitted(numbers + sign * step).columns[:, 0] for sign in (1, -1))
        expected = here.factors.factors[0] * (high - low) / 2e-5
        # averages over sizes are good to 1e-6 of the curve, and their nodes move with the width
        np.testing.assert_allclose(
            here.slopes[:, place], expected, atol=2e-5 * np.abs(expected).max(), err_msg=one.name
        )
    again, evaluated = problem.fitted(numbers), problem.evaluated(numbers)
    assert evaluated.deviance == again.deviance


def test_the_slope_is_half_that_of_the_deviance_priors_included():
    problem = anomalous_problem(measured(BELOW_FE, in_proportion(38, 13, 0.1)), config(), 150.0)
    numbers = problem.unknowns.numbers({"core_radius": 38.2, "thickness": 12.9, "pd": 0.101, "core:Fe": 0.27})
    numbers += 0.01
    found = problem.evaluated(numbers).slope
    for place in range(len(numbers)):
        step = np.zeros(len(numbers))
        step[place] = 1e-5
        high, low = (problem.evaluated(numbers + sign * step).deviance for sign in (1, -1))
        assert found[place] == pytest.approx((high - low) / 4e-5, rel=2e-3, abs=0.05), problem.unknowns.moved[
            place
        ].name


NEAR_FE = np.array([6812.0, 7012.0, 7062.0, 7087.0, 7096.0, 7104.0, 7108.0])
NEAR_NI = np.array([8033.0, 8133.0, 8203.0, 8253.0, 8283.0, 8303.0, 8313.0, 8318.0])


@pytest.mark.parametrize(("energies", "errors_off"), [(NEAR_FE, 50), (NEAR_NI, 10)])
@pytest.mark.filterwarnings("ignore:energy series")
def test_an_offset_of_energies_spoils_a_plain_fit_and_is_found_by_one_that_doubts_them(energies, errors_off):
    """3 eV at 1e8 photons: a plain fit's chi-square is large and its share many errors off."""
    curves = measured(energies + 3, in_proportion(38, 13, 0.1), stated=energies, photons=1e8, points=50)
    plain = fit_anomalous(curves, config(offset=0, table=0, scale=0, density=0), 0, starts=BEGUN)
    assert plain.chi2 > 5
    assert not plain.explained
    assert "does not explain" in plain.verdict
    off = (plain.of("core:Fe")[0] - 0.25) / (plain.of("core:Fe")[1] / plain.error_scale)
    assert abs(off) > errors_off
    found = fit_anomalous(curves, config(), 0, starts=BEGUN)
    assert found.explained
    for name, value, within in (("core:Fe", 0.25, 0.02), ("energy_offset", 3.0, 1.0), ("core_radius", 38.0, 0.5)):
        assert found.of(name)[1] < within
        assert found.of(name)[0] == pytest.approx(value, abs=4 * found.of(name)[1]), name


def test_near_a_match_the_fit_stays_right_and_tells_where_it_is():
    curves = measured(ROUND_MATCH, in_proportion(38, 13, 0.1), photons=1e8)
    found = fit_anomalous(curves, config(), 0, starts=BEGUN)
    assert found.explained
    for name, value in (
        ("core_radius", 38),
        ("thickness", 13),
        ("pd", 0.1),
        ("core:Fe", 0.25),
        ("volume_fraction", 1e-3),
    ):
        assert found.of(name)[0] == pytest.approx(value, abs=4 * found.of(name)[1]), name
    assert found.match_pairs.split("\n")[0] == "core/shell"
    total = sum(atoms_of(IRON, 8.65).values())
    core = {"Ni": 0.75 * total, "Fe": 0.25 * total}
    apart = [(density_of(core, one) - density_of(atoms_of({"Ni": 1}, 8.9), one)).real for one in (8100.0, 8320.0)]
    assert apart[0] * apart[1] < 0  # there is a match between
    low, high = 8100.0, 8320.0
    for _ in range(30):
        middle = (low + high) / 2
        value = (density_of(core, middle) - density_of(atoms_of({"Ni": 1}, 8.9), middle)).real
        low, high = (middle, high) if value * apart[0] > 0 else (low, middle)
    assert found.matches[0, 0] == pytest.approx(low, abs=4 * found.matches[0, 1])


def test_a_blind_search_ends_where_one_from_the_truth_does():
    curves = measured(BELOW_FE, in_proportion(24, 21, 0.08), points=40)
    told = [{"core_radius": 24.0, "thickness": 21.0, "pd": 0.08, "core:Fe": 0.25}]
    near = fit_anomalous(curves, config(), 0, starts=told)
    for seed in (1, 2):
        blind = fit_anomalous(curves, config(library=400, starts=4), seed)
        assert blind.chi2 == pytest.approx(near.chi2, rel=1e-5)
        for name in ("core_radius", "thickness", "core:Fe"):
            assert blind.of(name)[0] == pytest.approx(near.of(name)[0], abs=0.02 * near.of(name)[1])


def test_particles_of_no_model_of_ours_are_said_to_be_unexplained():
    curves = measured(BELOW_FE, two_kinds(38, 13, 0.06), photons=1e8)
    found = fit_anomalous(curves, config(), 0, starts=BEGUN)
    assert not found.explained
    assert "does not explain" in found.verdict
    assert found.error_scale > 1


def test_the_stated_errors_are_the_plan_s_bound_where_both_doubt_the_same():
    """Two codes: the plan's differences and rings of an even ln q, the fit's derivatives at the same photons."""
    settings = PlanSettings(
        core="Ni3Fe@8.65",
        shell="Ni@8.9",
        solvent="H2O@1",
        energies=tuple(BELOW_FE),
        points=100,
        core_radius=38,
        thickness=13,
    )
    made = derivatives(
        Particle(*(material_of(one) for one in (settings.core, settings.shell, settings.solvent)), "Fe", settings),
        torch.tensor(BELOW_FE),
    )
    bound = standard_errors(made, settings, torch.full((5,), 1e7), (settings.q_min, settings.q_max)).numpy()
    q = made.q.numpy()
    model = 1e-7 * made.expected.numpy()
    expected = model + settings.background * model.min()
    per_unit = 1e7 * q**2 / (expected * q**2).sum(1).mean()
    curves = Curves(
        q=q,
        intensity=expected,
        sigma=np.sqrt(expected / per_unit),
        absolute=1,
        names="1\n2\n3\n4\n5",
        title="",
        energy=BELOW_FE,
    )
    found = fit_anomalous(curves, config(offset=1.0, table=0.0), 0, starts=BEGUN)
    for name, one in zip(("core_radius", "thickness", "pd", "core:Fe"), bound[:4], strict=True):
        assert found.of(name)[1] == pytest.approx(one, rel=0.02), name
    assert found.of("volume_fraction")[1] / found.of("volume_fraction")[0] == pytest.approx(bound[4], rel=0.02)


def test_fluorescence_narrows_the_share():
    curves = measured(BELOW_FE, in_proportion(38, 13, 0.1), photons=1e6)
    free = fit_anomalous(curves, config(), 0, starts=BEGUN)
    known = fit_anomalous(curves, config(composition={"core:Fe": (0.25, 0.005)}), 0, starts=BEGUN)
    both = (free.of("core:Fe")[1] ** -2 + 0.005**-2) ** -0.5
    assert known.of("core:Fe")[1] == pytest.approx(both, rel=0.05)  # Gaussian errors add as information
    expected = (free.of("core:Fe")[0] * free.of("core:Fe")[1] ** -2 + 0.25 * 0.005**-2) * both**2
    assert known.of("core:Fe")[0] == pytest.approx(expected, abs=0.3 * both)
    far = fit_anomalous(curves, config(composition={"core:Fe": (0.6, 0.01)}), 0, starts=BEGUN)
    assert "standard deviations off what was known" in far.verdict


def test_what_no_energy_tells_is_left_open():
    """A ball of one alloy far from its edges: neither phi, nor the density, nor the share can be told apart."""
    particles = [(40.0 * s, 1e-9, w) for s, _, w in in_proportion(1.0, 1e-9, 0.1)]
    curves = measured(np.array([20000.0, 22000.0]), particles, photons=1e5)
    found = fit_anomalous(
        curves,
        config(model="sphere", materials={"core": "Ni3Fe@8.65"}, densities={}),
        0,
        starts=[{"radius": 42.0, "pd": 0.12, "core:Fe": 0.3}],
    )
    states = dict(zip(found.names.split("\n"), found.states, strict=True))
    assert states["core:Fe"] in (OPEN, AT_BOUND)
    assert "core:Fe is " in found.verdict
    assert states["radius"] == FREE
    assert found.of("radius")[0] == pytest.approx(40, abs=4 * found.of("radius")[1])


def test_a_spectrum_takes_the_table_s_place():
    energy = np.arange(8200.0, 8500.0, 1.0)
    second = np.array([float(xraydb.f2_chantler("Ni", one)) for one in energy - 2.0])
    spectrum = Spectrum("K", energy, second / energy)
    at = np.array([8250.0, 8320.0])
    ours = Dispersion(("Ni", "Fe"), at, 2.0, {"Ni": spectrum}).at(0.0)[0]
    moved = Dispersion(("Ni", "Fe"), at - 2.0, 2.0, {}).at(0.0)[0]
    table = Dispersion(("Ni", "Fe"), at, 2.0, {}).at(0.0)[0]
    assert abs(ours[1, 0].real - moved[1, 0].real) < 0.25 * abs(table[1, 0].real - moved[1, 0].real)
    assert ours[:, 1] == pytest.approx(table[:, 1])


def test_dispersion_and_its_slope_are_the_table_s():
    """A cubic spline of .25 eV between straight and cubic pieces: 1e-4 electron away from an edge."""
    found = Dispersion(("Ni", "O"), np.array([8200.0, 8300.0]), 2.0, {})
    for offset in (-3.1, 0.0, 2.7):
        value, slope = found.at(offset)
        first, second = dispersion_correction("Ni", torch.tensor([8200.0, 8300.0]) + offset)
        np.testing.assert_allclose(value[:, 0], first.numpy() + 1j * second.numpy(), atol=1e-4)
        high, low = (found.at(offset + step)[0] for step in (0.01, -0.01))
        np.testing.assert_allclose(slope, (high - low) / 0.02, atol=1e-6)
    ends = [found.at(one) for one in (50.0, 51.0)]
    np.testing.assert_allclose(ends[1][0] - ends[0][0], ends[0][1])  # straight beyond the nodes


def test_energies_near_an_edge_are_told():
    curves = measured(np.array([8133.0, 8300.0, 8325.0]), in_proportion(38, 13, 0.1), points=30)
    with pytest.warns(UserWarning, match="within 15 eV of an edge of Ni"), warnings.catch_warnings():
        found = fit_anomalous(curves, config(), 0, starts=BEGUN)
    assert "edge of Ni" in (found.warnings or "")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"materials": {"core": "Ni3Fe"}}, "a formula for each region"),
        ({"materials": {"core": "Ni3Fe", "shell": ""}}, "a formula of the shell"),
        ({"materials": {"core": "9Ni", "shell": "Ni"}}, "chemical formula"),
        ({"shares": ("shell:Ni",)}, "another element"),
        ({"shares": ("rim:Ni",)}, "region:element"),
        ({"shares": ("core:Fe", "core:Ni")}, "one at most"),
        ({"shares": ("core:Xx",)}, "symbol"),
        ({"fix": {"radius": 3.0}}, "radius came"),
        ({"fix": {"core:Fe": 1.5}}, "from 0 to 1"),
        ({"densities": {"rim": 0.1}}, "rim came"),
        ({"composition": {"core:Ni": (0.5, 0.1)}}, "core:Ni came"),
        ({"composition": {"core:Fe": (0.5, 0.0)}}, "above 0"),
        ({"tables": ("Au",)}, "Au came"),
        ({"model": "gaussian_coil"}, "shape that has regions"),
        ({"model": "core_shell_sphere@hard_sphere"}, "without a structure factor"),
        ({"model": "sphere+sphere"}, "one shape"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(more, says):
    curves = measured(BELOW_FE, in_proportion(38, 13, 0.1), points=20)
    with pytest.raises(InputError, match=says) as caught:
        fit_anomalous(curves, config(**more), 0)
    assert "\n" not in str(caught.value)


def test_curves_without_energies_are_refused():
    curves = measured(BELOW_FE, in_proportion(38, 13, 0.1), points=20)
    for energy in (None, np.full(5, 7000.0)):
        with pytest.raises(InputError, match="two photon energies"):
            fit_anomalous(Curves(**{**vars(curves), "energy": energy}), config(), 0)
    with pytest.raises(InputError, match="above 0 eV"):
        fit_anomalous(Curves(**{**vars(curves), "energy": BELOW_FE - 7012}), config(), 0)
