"""Slit-smeared ultra-small-angle scattering of latex: an independent analysis found R 2307 angstrom, spread 3.6 %."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from madpipe.physics.scattering.shapes.registry import FORM_FACTORS
from madpipe.physics.scattering.shapes.size_averages import size_averages, spread_of
from madpipe.physics.scattering.smearing import Resolution, smearing

SPHERE = FORM_FACTORS["sphere"]


def slit_smeared(path):
    """Columns q, I, sigma and slit length of the entry that has a slit, above 1e-4/angstrom."""
    tree = ElementTree.parse(path).getroot()
    rows = [[cell.text for cell in row] for row in tree.findall(".//{*}Idata") if row.find("{*}dQl") is not None]
    table = np.array(rows, dtype=float)[:, :4]
    return table[table[:, 0] > 1e-4].T


def test_slit_smeared_latex_has_the_size_of_an_independent_analysis(shared):
    q, measured, sigma, length = slit_smeared(shared / "saxs" / "latex_smeared.xml")
    smear = smearing(torch.from_numpy(q), Resolution(slit_length=torch.from_numpy(length)), 6000.0)

    def residual(values):
        lengths, width = torch.tensor([[1e3 * values[0]]]), torch.tensor([values[1]])
        made = size_averages(SPHERE, smear.q, lengths, "gaussian", width, spread_of(SPHERE, None))
        curve = smear(made.gram[0, :, 0, 0] / made.outer_volume).numpy() / 1e10
        columns = np.stack([curve, np.ones_like(curve)], 1) / sigma[:, None]
        return columns @ np.linalg.lstsq(columns, measured / sigma, rcond=None)[0] - measured / sigma

    found = least_squares(residual, [2.35, 0.05], bounds=([1, 0.005], [4, 0.4]), diff_step=1e-4, max_nfev=12)
    assert 1e3 * found.x[0] == pytest.approx(2307, rel=5e-3)
    assert found.x[1] == pytest.approx(0.036, abs=0.007)  # its error bar
    assert 2 * found.cost / (len(q) - 4) <= 1.3
