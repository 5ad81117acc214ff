import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch.testing import assert_close

from madpipe.base.columns import read_columns
from madpipe.physics.absorption import RAMP, dispersion_from_spectrum, kramers_kronig
from madpipe.physics.atoms import absorptive_part, chantler_table, dispersion_correction, edge_energy
from madpipe.physics.normalisation import absorption_from_columns, interpolate

EDGES = [("Fe", "K"), ("Co", "K"), ("Ni", "K"), ("Cu", "K"), ("Pt", "L3"), ("Au", "L3")]
DOUBLE = {"dtype": torch.float64}
NUMBER = partial(st.floats, allow_subnormal=False)  # the tests run with denormals flushed to zero


def finer(nodes, parts):
    """Each interval in so many parts."""
    inner = torch.lerp(nodes[:-1, None], nodes[1:, None], torch.arange(parts, **DOUBLE) / parts)
    return torch.cat([inner.flatten(), nodes[-1:]])


def random_polygon(rng, nodes=9):
    """Uneven nodes from 100 to 1000 eV and f'' that is zero at both ends."""
    energy = 100 + 900 * torch.cat([torch.zeros(1), torch.rand(nodes, generator=rng), torch.ones(1)]).sort().values
    f_double_prime = torch.cat([torch.zeros(1), torch.rand(nodes, generator=rng), torch.zeros(1)])
    return energy, f_double_prime


# Kramers-Kronig itself


def test_kramers_kronig_is_the_principal_value_integral(rng):
    energy, f_double_prime = random_polygon(rng)
    at = torch.cat([torch.tensor([7.0, 99.0, 1001.0, 5e4]), 100 + 900 * torch.rand(6, generator=rng)])

    def curve(x):
        return float(interpolate(energy, f_double_prime, torch.tensor([x])))

    def segment(low, high, pole):
        inside = low < pole < high
        kernel = curve if inside else (lambda x: curve(x) / (x - pole))
        near = quad(kernel, low, high, weight="cauchy", wvar=pole) if inside else quad(kernel, low, high)
        return near[0] + quad(lambda x: curve(x) / (x + pole), low, high)[0]

    bounds = energy.tolist()
    expected = [-sum(segment(low, high, float(pole)) for low, high in pairwise(bounds)) / math.pi for pole in at]
    # quad stops at 1.5e-8 relative or absolute per segment
    assert_close(kramers_kronig(energy, f_double_prime, at), torch.tensor(expected), rtol=1e-7, atol=3e-7)


def oscillator(energy, width=20.0, centre=500.0):
    """A causal pair: f = -S / (E0^2 - E^2 - i w E), as f' and f'' >= 0."""
    response = 1e4 / (centre**2 - energy**2 - 1j * width * energy)
    return -response.real, response.imag


def test_kramers_kronig_of_an_oscillator_converges_with_the_square_of_the_step():
    at = torch.tensor([300.0, 470.0, 495.0, 500.0, 505.0, 530.0, 900.0])
    errors = []
    for points in (2000, 4000):
        energy = torch.logspace(-3, 7, points, **DOUBLE)
        error = kramers_kronig(energy, oscillator(energy)[1], at) - oscillator(at)[0]
        errors.append(error.abs().max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)  # straight lines: second order
    # step^2 / 8 x the peak's curvature 8/width^2, with step = 500 eV x 10 decades x ln 10 / 4000 = 2.9 eV
    assert errors[1] < 2.9**2 / 20**2


def test_kramers_kronig_dips_below_and_keeps_the_sum_rules(rng):
    energy, f_double_prime = random_polygon(rng)
    fine = finer(energy, 400)
    curve = interpolate(energy, f_double_prime, fine)
    low, high = kramers_kronig(energy, f_double_prime, torch.tensor([0.0, 1e6]))
    # E -> 0: -(2/pi) int f''/x dx; E -> inf: (2/pi) int x f'' dx / E^2, less 1e-6 relative at (1 keV / 1 MeV)^2;
    # the trapezoids' own error is below (1/400)^2
    assert low.item() == pytest.approx(-2 / math.pi * torch.trapezoid(curve / fine, fine).item(), rel=1e-5)
    assert high.item() == pytest.approx(2 / math.pi * torch.trapezoid(curve * fine, fine).item() / 1e12, rel=1e-5)
    assert low < 0 < high


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), parts=st.integers(2, 6), turn=NUMBER(-12, -3))
def test_kramers_kronig_at_near_and_between_nodes(seed, parts, turn):
    energy, f_double_prime = random_polygon(torch.Generator().manual_seed(seed), nodes=5)
    if energy.diff().min() < 1:
        return
    fine = finer(energy, parts)
    curve = interpolate(energy, f_double_prime, fine)
    at = torch.cat([fine, fine + 10**turn])
    coarse = kramers_kronig(energy, f_double_prime, at)
    # nodes on a straight line change nothing: rounding of some 30 terms of order 1 x ln(1e15)
    assert_close(kramers_kronig(fine, curve, at), coarse, rtol=0, atol=1e-10)
    # continuous at the nodes: slope (at most 1 per eV) x step x ln(step)
    at_nodes, beside = coarse.chunk(2)
    assert ((beside - at_nodes).abs() <= 3 * 10**turn * abs(math.log(10) * turn - 8) + 1e-12).all()


def test_kramers_kronig_is_infinite_where_f_double_prime_jumps():
    energy, flat = torch.tensor([100.0, 200.0]), torch.ones(2)
    below, above = kramers_kronig(energy, flat, energy)
    assert below == -math.inf
    assert above == math.inf


def jump(energy, f_prime, at):
    """Step of a smooth curve: parabolas through four points on either side."""
    upper = int(torch.searchsorted(energy, at))
    sides = []
    for part in (slice(upper - 4, upper), slice(upper, upper + 4)):
        distance = (energy[part] - at) / at
        basis = torch.stack([torch.ones_like(distance), distance, distance**2], 1)
        sides.append(float(torch.linalg.lstsq(basis, f_prime[part, None]).solution[0, 0]))
    return sides[1] - sides[0]


def kramers_kronig_of_the_table(element, at):
    """With the table's f'' read as a power law between its nodes, and as straight lines."""
    energy, _, f_double_prime = chantler_table(element)
    fine = finer(energy, 8)
    return kramers_kronig(fine, absorptive_part(element, fine), at), kramers_kronig(energy, f_double_prime, at)


@pytest.mark.parametrize(
    ("element", "edges", "low", "high", "floor"),
    [
        # floor: what the table's own integration leaves, [electron]: 0.002 to 0.004 below the K edge and 0.001 above
        # twice its energy for the 3d metals, of f' = -0.5 to -8. For gold the constant at the end of the table
        # and below the L edges differ by 0.03.
        ("Fe", ["K"], 4e3, 1e5, 0.005),
        ("Co", ["K"], 4e3, 1e5, 0.005),
        ("Ni", ["K"], 4e3, 1e5, 0.005),
        ("Cu", ["K"], 4e3, 1e5, 0.005),
        ("Pt", ["L3", "L2", "L1"], 8e3, 7e4, 0.04),
        ("Au", ["L3", "L2", "L1"], 8e3, 7e4, 0.04),
    ],
)
def test_kramers_kronig_of_chantler_is_chantler(element, edges, low, high, floor):
    """The tolerance is the sum of what can be known of the table without the transform.

    (1) The ends of the table, 1 eV and 966 keV: f''(end)/pi < 2e-4 electron for the 3d metals, in the floor.
    (2) The constants (relativistic, nuclear Thomson) are not in f'': read at 537 keV, where f' has died away.
    (3) Between nodes f'' is not known: beside an edge it triples within one step. Two readings, power law and
        straight line, differ by up to 0.2 electron in f' there; twice their difference is allowed.
    (4) Chantler's f' from an edge to twice its energy is off by a smooth 0.04 to 0.06 electron, which shows as a
        jump at 2 E, where f'' is smooth and no causal f' can jump: twice the jump is allowed in that range.
    """
    energy, f_prime, _ = chantler_table(element)
    far = slice(-60, -59)
    constant = f_prime[far] - kramers_kronig_of_the_table(element, energy[far])[0]
    within = (energy > low) & (energy < high)
    power_law, lines = kramers_kronig_of_the_table(element, energy[within])
    allowed = floor + 2 * (power_law - lines).abs()
    for edge in (edge_energy(element, name) for name in edges):
        reach = (energy[within] > 0.999 * edge) & (energy[within] < 2 * edge)
        allowed += reach * 2 * abs(jump(energy, f_prime, 2 * edge))
    assert ((power_law + constant - f_prime[within]).abs() < allowed).all()
    assert allowed.median() < 0.09 if floor < 0.01 else allowed.median() < 0.3


@pytest.mark.parametrize("element", ["Fe", "Co", "Ni", "Cu"])
def test_the_jump_at_twice_the_edge_is_the_table_s_and_not_the_transform_s(element):
    energy, f_prime, _ = chantler_table(element)
    twice = 2 * edge_energy(element, "K")
    here = (energy > 0.9 * twice) & (energy < 1.1 * twice)
    transform = torch.zeros_like(energy)
    transform[here] = kramers_kronig_of_the_table(element, energy[here])[0]
    # smooth elsewhere to 2e-4, the table's printed digits and the parabolas' error
    assert abs(jump(energy, f_prime, 0.95 * twice)) < 2e-4
    assert abs(jump(energy, transform, twice)) < 1e-3
    assert 0.03 < jump(energy, f_prime, twice) < 0.05


def test_the_constant_of_nickel_is_relativistic_and_nuclear():
    energy, f_prime, _ = chantler_table("Ni")
    far = slice(-60, -59)
    # 3/5 Cromer-Liberman -0.081 (three digits), nuclear Thomson -Z^2 m/M = -0.0073
    constant = f_prime[far] - kramers_kronig_of_the_table("Ni", energy[far])[0]
    assert constant.item() == pytest.approx(-0.081 - 28**2 / (58.693 * 1822.89), abs=5e-4)


# A spectrum of known f''


def spectrum_grid(element, edge, rng, step=0.5, spread=0.8):
    """Uneven: fine at the edge, coarse away from it, jittered."""
    origin = edge_energy(element, edge)
    parts = [(-200.0, -20.0, 10 * step), (-20.0, 60.0, step), (60.0, 800.0, 6 * step)]
    energy = origin + torch.cat([torch.arange(low, high, width, **DOUBLE) for low, high, width in parts])
    jitter = torch.rand(len(energy) - 2, generator=rng, **DOUBLE) - 0.5
    energy[1:-1] += spread * jitter * torch.minimum(energy.diff()[:-1], energy.diff()[1:])
    return energy


def white_line(element, edge):
    """A polygon on top of the table, so that its transform is exact."""
    nodes = edge_energy(element, edge) + torch.tensor([-4.0, 1.5, 3.0, 11.0], **DOUBLE)
    return nodes, torch.tensor([0.0, 3.0, 1.0, 0.0], **DOUBLE)


def measured(energy, f_double_prime, element, edge):
    """What a detector would see: another scale on a sloping background."""
    return 0.3 * f_double_prime - 1.7 + 4e-4 * (energy - edge_energy(element, edge))


@pytest.mark.parametrize(("element", "edge"), EDGES)
def test_a_white_line_comes_back_with_its_dispersion(element, edge, rng):
    nodes, height = white_line(element, edge)
    energy = torch.cat([spectrum_grid(element, edge, rng), nodes]).unique(sorted=True)
    at = torch.cat([nodes[1:3], edge_energy(element, edge) + torch.tensor([-150.0, -9.3, 0.0, 7.7, 300.0])])
    table = absorptive_part(element, energy)
    line = torch.where((energy > nodes[0]) & (energy < nodes[-1]), interpolate(nodes, height, energy), 0.0)
    plain = dispersion_from_spectrum(energy, measured(energy, table, element, edge), element, edge, at)
    lined = dispersion_from_spectrum(energy, measured(energy, table + line, element, edge), element, edge, at)
    peak = torch.where((at > nodes[0]) & (at < nodes[-1]), interpolate(nodes, height, at), 0.0)
    # the fit is exact (the background is in its basis) up to its condition number, about 10 to 100, x 1e-16 x 10
    assert_close(lined[1] - plain[1], peak, rtol=0, atol=1e-10)
    assert_close(lined[0] - plain[0], kramers_kronig(nodes, height, at), rtol=0, atol=1e-10)
    # without the white line: the table, up to straight lines between points 0.5 eV apart (with the jitter up to
    # 0.9) across its steepest corner (1 electron/eV for 3d metals, 0.4 for L3)
    assert_close(plain[1], absorptive_part(element, at), rtol=0, atol=0.25)
    tabulated, f_prime, _ = chantler_table(element)
    near = (tabulated > energy[0]) & (tabulated < energy[-1]) & ((tabulated - nodes[0]).abs() > 20)
    again = dispersion_from_spectrum(energy, measured(energy, table, element, edge), element, edge, tabulated[near])
    assert_close(again[0], f_prime[near], rtol=0, atol=0.02)


def test_a_denser_spectrum_of_the_table_converges_to_the_table(rng):
    tabulated, f_prime, _ = chantler_table("Ni")
    near = (tabulated > 8150) & (tabulated < 9100)
    errors = []
    for step in (1.6, 0.1):
        energy = spectrum_grid("Ni", "K", rng, step, spread=0.0)
        mu = measured(energy, absorptive_part("Ni", energy), "Ni", "K")
        result = dispersion_from_spectrum(energy, mu, "Ni", "K", tabulated[near])[0]
        errors.append((result - f_prime[near]).abs().max())
    # first order: the table's corners, where the largest error is, fall between the points
    assert errors[0] / errors[1] > 16 / 2
    assert errors[1] < 0.02


def test_outside_the_spectrum_the_table_takes_over_without_a_step(rng):
    energy = spectrum_grid("Fe", "K", rng)
    mu = measured(energy, absorptive_part("Fe", energy), "Fe", "K") + 0.02 * torch.cos(energy / 40)
    low, high = float(energy[0]), float(energy[-1])
    tiny = 1e-6
    at = torch.tensor([low - tiny, low + tiny, high - tiny, high + tiny, low - RAMP - tiny, high + RAMP + tiny, 3e4])
    f_prime, f_double_prime = dispersion_from_spectrum(energy, mu, "Fe", "K", at)
    table_prime, table = dispersion_correction("Fe", at)
    # slopes below 0.02 electron/eV
    assert (f_double_prime[[0, 2]] - f_double_prime[[1, 3]]).abs().max() < 1e-7
    assert (f_double_prime[0] - table[0]).abs() > 0.01  # there is something to take over
    assert_close(f_double_prime[4:], table[4:], rtol=1e-13, atol=0)
    # f' has kinks x ln x at the corners of f'': 0.02 x 1e-6 x ln 1e-6
    assert (f_prime[[0, 2]] - f_prime[[1, 3]]).abs().max() < 1e-5
    # at 30 keV: (2/pi) x difference (0.1 electron) x 1 keV x 7 keV / (30 keV)^2 and the spline's 0.001
    assert (f_prime[-1] - table_prime[-1]).abs() < 0.002


@settings(max_examples=15, deadline=None)
@given(scale=NUMBER(1e-3, 1e3), level=NUMBER(-10, 10), slope=NUMBER(-1e-3, 1e-3))
def test_scale_and_background_of_the_measurement_do_not_matter(scale, level, slope):
    energy = spectrum_grid("Cu", "K", torch.Generator().manual_seed(1))
    mu = 0.3 * absorptive_part("Cu", energy)
    at = torch.tensor([8900.0, 8979.0, 9000.0])
    expected = dispersion_from_spectrum(energy, mu, "Cu", "K", at)
    moved = scale * (mu + level + slope * (energy - 8979))
    # 1e-16 x condition (10) x background over signal (up to 100), with room for the sums
    assert_close(dispersion_from_spectrum(energy, moved, "Cu", "K", at), expected, rtol=0, atol=1e-10)


def test_energy_shift_moves_the_spectrum(rng):
    energy = spectrum_grid("Ni", "K", rng)
    mu = measured(energy, absorptive_part("Ni", energy), "Ni", "K")
    at = torch.tensor([8325.0, 8333.0, 8340.0])
    expected = dispersion_from_spectrum(energy, mu, "Ni", "K", at)
    shifted = dispersion_from_spectrum(energy - 2.5, mu, "Ni", "K", at, energy_shift=2.5)
    assert_close(shifted, expected, rtol=0, atol=1e-9)
    unshifted = dispersion_from_spectrum(energy - 2.5, mu, "Ni", "K", at)
    assert (unshifted[1] - expected[1]).abs().max() > 0.5


def test_a_spectrum_that_gives_negative_absorption_is_refused(rng):
    energy = spectrum_grid("Ni", "K", rng)
    dip = torch.where((energy > 8320) & (energy < 8326), -1.0, 0.0)
    mu = measured(energy, absorptive_part("Ni", energy) + dip, "Ni", "K")
    with pytest.raises(ValueError, match=r"f'' >= 0 is required; the spectrum gives -0.*at 8323 eV"):
        dispersion_from_spectrum(energy, mu, "Ni", "K", torch.tensor([8323.0, 8340.0]))


def test_dtype_and_order_of_the_energies_are_kept(rng):
    energy = spectrum_grid("Ni", "K", rng)
    mu = measured(energy, absorptive_part("Ni", energy), "Ni", "K")
    at = torch.tensor([8340.0, 8320.0, 8333.0])
    f_prime, f_double_prime = dispersion_from_spectrum(energy, mu, "Ni", "K", at.float())
    assert f_prime.dtype == f_double_prime.dtype == torch.float32
    alone = torch.cat([dispersion_from_spectrum(energy, mu, "Ni", "K", one[None])[0] for one in at])
    assert_close(f_prime.double(), alone, rtol=1e-6, atol=0)


# The measured foil


@pytest.fixture
def foil(shared):
    columns = read_columns(shared / "xanes" / "Ni_metal_rt_01.xdi").by_name
    energy, mu = absorption_from_columns({name: torch.from_numpy(values) for name, values in columns.items()})
    reference = torch.from_numpy(read_columns(shared / "xanes" / "Ni_foil_f1f2_diffKK.dat").values)
    return energy, mu, reference


def test_the_nickel_foil_gives_what_xraylarch_gives(foil):
    energy, mu, reference = foil
    result = torch.stack(dispersion_from_spectrum(energy, mu, "Ni", "K", reference[:, 0]), dim=1)
    away = (reference[:, 0] - 8333).abs() > 2
    difference = (result - reference[:, 1:])[away]
    # required: 0.3 rms, 0.6 at most. Both use the same spectrum on its own energy scale (no shift), so what is left
    # is the background's degree (2 here, 4 there), and xraylarch's 1 eV grid and spline through f' at the edge.
    assert (difference.square().mean(0).sqrt() < 0.3).all()
    assert (difference.abs() < 0.6).all()


def test_the_nickel_foil_has_no_trace_of_the_table_s_cusp(foil):
    energy, mu, _ = foil
    at = torch.arange(8329.0, 8338.0, 0.25)
    f_prime, _ = dispersion_from_spectrum(energy, mu, "Ni", "K", at)
    # the core hole of Ni K (1.4 eV) smooths f': no turn sharper than 1 electron per (1.4 eV)^2. The table's cusp,
    # left in by 0.2 electron over its step of 2 eV, would turn several times within it.
    turns = (f_prime.diff().diff().sign().diff() != 0).sum()
    assert turns <= 3
    assert f_prime.diff().diff().abs().max() / 0.25**2 < 1 / 1.4**2


@pytest.mark.parametrize(("below", "above"), [(60, 150), (80, 200), (200, 150), (150, 400), (60, 1000)])
def test_a_shorter_spectrum_of_the_foil_gives_nearly_the_same(foil, below, above):
    energy, mu, reference = foil
    cut = (energy > 8333 - below) & (energy < 8333 + above)
    at = energy[(energy - 8333).abs() < 55]
    f_prime, f_double_prime = dispersion_from_spectrum(energy[cut], mu[cut], "Ni", "K", at)
    expected = reference[(energy - 8333).abs() < 55]
    # the step's scale rests on 2 to 17 points below the edge and on EXAFS of 3 % of the step (3.3 electron) above
    assert (f_double_prime - expected[:, 2]).square().mean().sqrt() < 0.1
    assert (f_prime - expected[:, 1]).square().mean().sqrt() < 0.1
