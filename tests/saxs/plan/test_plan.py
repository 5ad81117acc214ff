import json
import math

import pytest
import torch

from madpipe.base.errors import InputError
from madpipe.base.plain import from_plain, to_plain
from madpipe.saxs.config_plan import PlanSettings
from madpipe.saxs.plan.information import Particle, _bound, derivatives, standard_errors
from madpipe.saxs.plan.materials import densities, matches, material_of
from madpipe.saxs.plan.plan import plan
from madpipe.saxs.plan.records import SaxsPlan

EXACT = {"scale": 0, "offset": 0, "background": 0, "core_density": 0}


def particle(settings):
    return Particle(*(material_of(one) for one in (settings.core, settings.shell, settings.solvent)), "Fe", settings)


def test_the_bound_is_that_of_counts_and_their_differences():
    """Fisher's matrix of Poisson counts, sum of dN dN / N, from the curves alone."""
    settings = PlanSettings(points=60, **EXACT)
    energy = torch.tensor([6900.0, 7080.0, 7095.0])
    made = derivatives(particle(settings), energy)
    photons = torch.tensor([1e6, 3e6, 2e6])
    found = standard_errors(made, settings, photons, (settings.q_min, settings.q_max))

    at = torch.tensor([40.0, 15.0, 0.1, 0.25, 0.0, 0.0])
    ideal = particle(settings).curves(at, energy, made.q) * made.q**2
    factor = photons[:, None] / ideal.sum(1).mean()
    slopes = []
    for place, step in enumerate([1e-3, 1e-3, 1e-5, 1e-5, 1e-5]):
        change = torch.zeros(6)
        change[place] = step
        high, low = (particle(settings).curves(one, energy, made.q) for one in (at + change, at - change))
        slopes.append(((high - low) * made.q**2 * factor / (2 * step) / (ideal * factor).sqrt()).flatten())
    jacobian = torch.stack(slopes, 1)
    expected = torch.linalg.inv(jacobian.T @ jacobian).diagonal().sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_errors_fall_with_the_root_of_photons_where_nothing_else_is_in_doubt():
    found = plan(PlanSettings(points=60, photons=(1e8, 1e6), **EXACT)).errors
    assert [one.photons for one in found] == [1e6, 1e8]
    for name in ("core_radius", "thickness", "spread", "share", "phi"):
        assert getattr(found[0], name) == pytest.approx(10 * getattr(found[1], name), rel=1e-6)


def test_doubts_never_help_and_energies_decide_where_the_density_is_in_doubt():
    exact, doubted = (plan(PlanSettings(points=60, **values)) for values in (EXACT, {}))
    for name in ("core_radius", "thickness", "spread", "share", "phi"):
        assert getattr(doubted.errors[-1], name) >= getattr(exact.errors[-1], name)
    assert min(one.share for one in doubted.singles) > 2
    for part in doubted.ranges:
        assert part.core_radius >= doubted.errors[-1].core_radius


def test_the_match_of_two_metals_is_found_and_moves_with_density_as_told():
    core, shell = material_of("Ni3Fe"), material_of("Ni")
    (below, above) = matches(core, shell, 7900.0, 8800.0)
    for row in (below, above):
        both = densities([core, shell], torch.tensor([row.energy_ev]))[0]
        assert abs(float((both[0] - both[1]).real)) < 1e-5
    assert below.energy_ev < 8333 < above.energy_ev
    denser = material_of(f"Ni3Fe@{core.density * 1.0005}")
    moved = matches(denser, shell, 7900.0, 8800.0)[0]
    assert (moved.energy_ev - below.energy_ev) / 0.05 == pytest.approx(below.shift_ev, rel=0.1)


def test_a_match_is_told_with_the_planned_edge_s_verdict():
    made = plan(PlanSettings(points=40))
    assert any("Ni3Fe/Ni match at 8.2" in line for line in made.verdict)
    assert any("one energy" in line for line in made.verdict)
    near = plan(PlanSettings(points=40, energies=(7000.0, 7105.0)))
    assert any("measure a spectrum" in line for line in near.verdict)


def test_a_plan_goes_through_json():
    made = plan(PlanSettings(points=40, energies=(7000.0, 7050.0, 7090.0)))
    assert from_plain(SaxsPlan, json.loads(json.dumps(to_plain(made)))) == made


def test_a_solvent_changes_contrasts_by_its_own_density():
    bare = plan(PlanSettings(points=40)).energies[0]
    wet = plan(PlanSettings(points=40, solvent="H2O@0.997")).energies[0]
    assert bare.core - wet.core == pytest.approx(9.4, rel=0.01)
    assert bare.core_shell == pytest.approx(wet.core_shell, rel=1e-9)


def test_what_nothing_determines_is_infinite():
    slopes = torch.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]])
    assert torch.isinf(_bound(slopes.T @ slopes)).all()
    assert math.isinf(float(_bound(torch.diag(torch.tensor([4.0, 0.0])))[1]))
    assert float(_bound(torch.diag(torch.tensor([4.0, 0.0])))[0]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"core": "Fe3O4"}, "density is required"),
        ({"core": "Xx2"}, "Xx2"),
        ({"core": "Ni3Fe@heavy"}, "heavy"),
        ({"shell": ""}, "formulas of core and shell"),
        ({"element": "Co"}, "Co with other elements"),
        ({"core": "Fe"}, "Fe with other elements"),
        ({"edge": "K9"}, "K9"),
        ({"q_min": 1.0}, "exchange"),
        ({"energies": (-1.0,)}, "above 0"),
        ({"photons": ()}, "photons above 0"),
        ({"energies": (1e9,)}, "table"),
    ],
)
def test_no_plan_is_told_in_one_line(values, words):
    with pytest.raises(InputError, match=words) as raised:
        plan(PlanSettings(**values))
    assert "\n" not in str(raised.value)
