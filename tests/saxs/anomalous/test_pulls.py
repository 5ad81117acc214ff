"""Pulls and errors of the fit of an energy series over draws of noise and of nuisances.

Run as a program for the figures of many draws: ``python tests/saxs/anomalous/test_pulls.py 40``.
"""

import sys
import warnings

import numpy as np
import torch

from madpipe.saxs.anomalous.fit import fit_anomalous
from madpipe.saxs.anomalous.settings import AnomalousFitConfig
from madpipe.saxs.simulate.curves import simulate_curves
from madpipe.saxs.simulate.settings import SimulatedCurves, iron_below_its_edge, nickel_iron

SHOWN = ("core_radius", "thickness", "pd", "core:Fe", "energy_offset", "core:density")


def drawn(sample: SimulatedCurves, number: int, small: bool):
    """Fit one draw; density, energies and scales are off as the priors say. Gives values, errors and truths."""
    generator = np.random.default_rng([7, number])
    density = 1 + 0.005 * generator.standard_normal()
    offset = 2.0 * generator.standard_normal()
    materials = {"core": f"Ni3Fe@{8.6 * density:.8f}", "shell": "Ni@8.9"}
    update = {"materials": materials, "offset": offset, **({"points": 40} if small else {})}
    curves, truth = simulate_curves(sample.model_copy(update=update), generator)
    config = AnomalousFitConfig(
        materials={"core": "Ni3Fe@8.6", "shell": "Ni@8.9"},
        densities={"shell": 0.0},
        table=0.0,
        **({"library": 16, "starts": 1} if small else {}),
    )
    begun = [{"core_radius": 43.0, "thickness": 12.0, "pd": 0.12, "core:Fe": 0.4}] if small else []
    found = fit_anomalous(curves, config, number, starts=begun)
    truths = {name: truth.of(name) for name in SHOWN[:4]} | {"energy_offset": offset, "core:density": density}
    return found, truths


def pulls_of(sample: SimulatedCurves, draws: int, small: bool):
    """Pulls (draw, quantity), errors relative to the mean stated one, and chi-squares."""
    pulls, off, stated, chi2 = [], [], [], []
    for number in range(draws):
        found, truths = drawn(sample, number, small)
        pairs = [found.of(name) for name in SHOWN]
        off.append([value - truths[name] for (value, _), name in zip(pairs, SHOWN, strict=True)])
        stated.append([error for _, error in pairs])
        pulls.append([one / error for one, error in zip(off[-1], stated[-1], strict=True)])
        chi2.append(found.chi2)
    return np.array(pulls), np.array(off), np.array(stated), np.array(chi2)


def test_errors_cover_what_noise_and_doubts_do():
    """Eight draws of density, energies, scales and counts: the mean square pull of 6 quantities, within chance.

    A mean square of 8 draws has a standard deviation of (2/8)^1/2 = .5; four of them, and no less than a tenth.
    """
    pulls, _, _, chi2 = pulls_of(iron_below_its_edge(), 8, small=True)
    mean_square = (pulls**2).mean(axis=0)
    assert (mean_square < 1 + 4 * 0.5).all(), mean_square
    assert (mean_square > 0.1).all(), mean_square
    assert (np.abs(pulls) < 4.5).all()
    assert abs(chi2.mean() - 1) < 4 * (2 / 190 / 8) ** 0.5


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_default_dtype(torch.float64)
    for made in (iron_below_its_edge(), nickel_iron()):
        pulls, off, stated, chi2 = pulls_of(made, int(sys.argv[1]), small=len(sys.argv) > 2)
        sys.stdout.write(f"{made.energies} chi2 {chi2.mean():.3f}, at most {chi2.max():.3f}\n")
        for place, name in enumerate(SHOWN):
            rmse, bound = np.sqrt((off[:, place] ** 2).mean()), np.sqrt((stated[:, place] ** 2).mean())
            inside = [(np.abs(pulls[:, place]) < many).mean() for many in (1, 2)]
            sys.stdout.write(
                f"{name:14} pull sd {pulls[:, place].std():.2f} mean {pulls[:, place].mean():+.2f} "
                f"rmse/stated {rmse / bound:.2f} stated {bound:.4g} inside 1, 2 sd {inside}\n"
            )
