"""Schemes: their text, and concentrations against closed forms and plain integration."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from madpipe.base.errors import InputError
from madpipe.kinetics.schemes.concentrations import concentrations, initial_amounts
from madpipe.kinetics.schemes.exponential import exponential_of_rates
from madpipe.kinetics.schemes.parse import parse_scheme
from madpipe.kinetics.schemes.response import response_of

TIMES = np.concatenate([[0.0], np.geomspace(1e-6, 1e3, 60)])


def solved(text, values, times=TIMES, width=0.0, dead=0.0, given=None):
    scheme = parse_scheme(text)
    response = response_of(np.asarray(times, dtype=float), width, dead)
    return concentrations(scheme, np.log(np.asarray(values, dtype=float)), response, initial_amounts(scheme, given))


@pytest.mark.parametrize(
    ("text", "states", "parameters", "linear"),
    [
        ("A->B->C", "A B C", "k1 k2", True),
        ("A<->B", "A B", "k1 k-1", True),
        ("2A<->A2", "A A2", "k1 k-1", False),
        ("A -> B, A -> C", "A B C", "k1 k2", True),
        ("A->B; B->A", "A B", "k1 k2", True),
        ("A→B⇌C", "A B C", "k1 k2 k-2", True),
        ("A+B->C", "A B C", "k1", False),
        ("A->0", "A 0", "k1", True),
        ("M->D->M", "M D M'", "k1 k2", True),
        ("M->D->M'", "M D M'", "k1 k2", True),
        ("avrami", "A B", "k n", False),
        ("A->B (stretched)", "A B", "k n", False),
        ("Finke-Watzky", "A B", "k1 k2", False),
    ],
)
def test_a_text_is_read(text, states, parameters, linear):
    scheme = parse_scheme(text)
    assert scheme.states == tuple(states.split())
    assert scheme.parameters == tuple(parameters.split())
    assert scheme.is_linear == linear


def test_a_state_that_returns_scatters_as_the_first():
    scheme = parse_scheme("M->D->M")
    assert scheme.species == ("M", "D")
    assert scheme.species_of_state == (0, 1, 0)
    assert parse_scheme("M->D, D->M").species_of_state == (0, 1)
    assert "M' scatters as M" in scheme.reading()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", 1, "at least one step"),
        ("A->", 4, "a species"),
        ("A-B", 2, "an arrow"),
        ("A->B C", 6, "before another chain"),
        ("A", 2, "an arrow"),
        ("A->B,C", 7, "an arrow"),
        ("A->A", 4, "another state"),
        ("A->B (fast)", 6, "(avrami) or (stretched)"),
        ("A->B->C (avrami)", 1, "one step"),
        ("12A->B", 1, "1 to 9"),
        ("A->%", 4, "a species"),
        ("0->A", 1, "a species that is seen"),
    ],
)
def test_a_fault_is_shown_at_its_place(text, place, words):
    with pytest.raises(InputError) as fault:
        parse_scheme(text)
    assert f"at character {place};" in str(fault.value)
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(("first", "second"), [(2.0, 0.3), (0.7, 0.7), (0.7, 0.7 * (1 + 1e-9)), (1e5, 1e-2)])
def test_a_chain_is_exact_for_equal_rates_too(first, second):
    """B = k1 t exp(-k1 t) at k1 = k2, else k1 (exp(-k1 t) - exp(-k2 t)) / (k2 - k1), written with expm1."""
    found, _ = solved("A->B->C", [first, second])
    slow, gap = min(first, second), abs(second - first) * TIMES
    ratio = np.divide(-np.expm1(-gap), gap, out=np.ones_like(gap), where=gap > 0)
    intermediate = first * TIMES * np.exp(-slow * TIMES) * ratio
    np.testing.assert_allclose(found[:, 0], np.exp(-first * TIMES), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found[:, 1], intermediate, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=1e-14)


def test_the_exponential_of_many_decades_is_scipy_s():
    rng = np.random.default_rng(5)
    matrix = 10 ** rng.uniform(-2, 2, (4, 4))
    np.fill_diagonal(matrix, 0)
    matrix -= np.diag(matrix.sum(axis=0))
    found, _ = exponential_of_rates(matrix, matrix[None], np.array([0.0, 0.01, 1.0]))
    for one, time in zip(found, (0.0, 0.01, 1.0), strict=True):
        np.testing.assert_allclose(one, expm(matrix * time), rtol=0, atol=1e-13)


CASES = [
    ("A->B->C", [2.0, 0.3], None),
    ("A->B->C", [0.7, 0.7], None),
    ("A<->B->C", [3.0, 1.0, 0.2], None),
    ("M->D->M", [2.0, 0.3], None),
    ("2A<->A2", [2.0, 0.3], None),
    ("A+B->C", [2.0], {"A": 1.0, "B": 0.4}),
    ("finke-watzky", [0.01, 3.0], None),
    ("avrami", [0.5, 2.5], None),
    ("stretched", [0.5, 0.6], None),
]


@pytest.mark.parametrize(("text", "values", "given"), CASES)
@pytest.mark.parametrize("width", [0.0, 0.3])
def test_derivatives_are_central_differences(text, values, given, width):
    times = np.concatenate([[-0.5, 0.0], np.geomspace(0.01, 20, 25)])
    _, slopes = solved(text, values, times, width, given=given)
    step = 1e-4
    for place in range(len(values)):
        up, down = list(values), list(values)
        up[place] *= np.exp(step)
        down[place] *= np.exp(-step)
        difference = solved(text, up, times, width, given=given)[0] - solved(text, down, times, width, given=given)[0]
        # truncation step^2 / 6 times a third derivative of order 1; integration 1e-9 / step
        np.testing.assert_allclose(slopes[place], difference / (2 * step), rtol=0, atol=3e-5)


def test_dimerisation_has_its_closed_form():
    """dA/dt = -2 k A^2: A = 1 / (1 + 2 k t), and two molecules of A make one of A2."""
    found, _ = solved("2A->A2", [3.0])
    np.testing.assert_allclose(found[:, 0], 1 / (1 + 6 * TIMES), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[:, 0] + 2 * found[:, 1], 1, rtol=0, atol=1e-8)


def test_finke_watzky_has_its_closed_form():
    """[A] = (k1/k2 + A0) / (1 + k1/(k2 A0) exp((k1 + k2 A0) t)), Watzky & Finke (1997), eq. 2."""
    times = np.linspace(0, 10, 50)
    found, _ = solved("finke-watzky", [0.01, 2.0], times)
    expected = (0.005 + 1) / (1 + 0.005 * np.exp(2.01 * times))
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-7)


def test_the_response_averages_over_a_gaussian():
    """Against adaptive quadrature of the exponential, and the start before time zero, with a dead time."""
    rate, width, dead = 4.0, 0.2, 0.05
    times = np.array([-1.0, -0.2, 0.0, 0.1, 0.5, 1.3, 1.6, 4.0])
    found, _ = solved("A->B", [rate], times, width, dead)

    def density(age, time):
        return np.exp(-0.5 * ((time + dead - age) / width) ** 2) / (width * np.sqrt(2 * np.pi))

    for time, value in zip(times, found[:, 0], strict=True):
        low, high = min(-3.0, time - 3), max(time + 3, 1.0)
        before = quad(density, low, 0, args=(time,), epsabs=1e-12)[0]
        after = quad(lambda age, time=time: np.exp(-rate * age) * density(age, time), 0, high, epsabs=1e-12)[0]
        assert value == pytest.approx(before + after, abs=3e-7)


def test_before_the_start_nothing_changes():
    found, slopes = solved("A->B", [1e6], [-10.1e-6, 5.0])
    np.testing.assert_array_equal(found, [[1, 0], [0, 1]])
    assert (slopes[:, 0] == 0).all()


def test_initial_amounts_are_the_scheme_s_or_those_given():
    scheme = parse_scheme("A+B->C")
    np.testing.assert_array_equal(initial_amounts(scheme), [1, 1, 0])
    np.testing.assert_array_equal(initial_amounts(scheme, {"B": 2.0}), [0, 2, 0])
    for given, words in [({"X": 1.0}, "names of the scheme"), ({"A": -1.0}, "from 0"), ({"A": 0.0}, "above 0")]:
        with pytest.raises(InputError, match=words):
            initial_amounts(scheme, given)
