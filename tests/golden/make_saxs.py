"""Curves of sasmodels 1.1.0, which our shapes are compared with; run by hand where sasmodels and a C compiler are.

    python tests/golden/make_saxs.py tests/golden/saxs_sasmodels.npz

Each curve is I(q) for scale 1 without background: 1e-4 <F^2> / V, contrasts in 1e-6/angstrom^2. Digits beyond the
sixteenth of 200 q would not compress: 60 q a curve, float64.
"""

import json
import sys

import numpy as np
from sasmodels.core import load_model
from sasmodels.data import empty_data1D
from sasmodels.direct_model import DirectModel

Q = np.logspace(-3, np.log10(0.5), 60)
SOLVENT, LAYERS = 1.0, (4.0, 2.5, 0.25, 3.0)  # 1e-6/angstrom^2, from the inside outwards

# ours: (our lengths, sasmodels' name, sasmodels' names of the lengths, of the scattering length densities)
SHAPES = {
    "sphere": ("sphere", ["radius"], ["sld"], [[50.0], [800.0]]),
    "core_shell_sphere": (
        "core_shell_sphere",
        ["radius", "thickness"],
        ["sld_core", "sld_shell"],
        [[60.0, 10.0], [300.0, 25.0]],
    ),
    "core_multi_shell": (
        "core_multi_shell",
        ["radius", "thickness1", "thickness2", "thickness3"],
        ["sld_core", "sld1", "sld2", "sld3"],
        [[60.0, 10.0, 15.0, 5.0], [200.0, 30.0, 8.0, 12.0]],
    ),
    "vesicle": ("vesicle", ["radius", "thickness"], ["sld"], [[100.0, 30.0], [900.0, 40.0]]),
    "ellipsoid": ("ellipsoid", ["radius_polar", "radius_equatorial"], ["sld"], [[20.0, 60.0], [600.0, 30.0]]),
    "triaxial_ellipsoid": (
        "triaxial_ellipsoid",
        ["radius_equat_minor", "radius_equat_major", "radius_polar"],
        ["sld"],
        [[20.0, 40.0, 60.0], [25.0, 100.0, 50.0]],
    ),
    "cylinder": ("cylinder", ["radius", "length"], ["sld"], [[20.0, 400.0], [15.0, 10000.0], [600.0, 20.0]]),
    "core_shell_cylinder": (
        "core_shell_cylinder",
        ["radius", "thickness", "length"],
        ["sld_core", "sld_shell"],
        [[20.0, 10.0, 400.0], [250.0, 15.0, 30.0]],
    ),
    "bicelle": (
        "core_shell_bicelle",
        ["radius", "thick_rim", "thick_face", "length"],
        ["sld_core", "sld_face", "sld_rim"],
        [[80.0, 10.0, 12.0, 50.0], [300.0, 20.0, 8.0, 25.0]],
    ),
    "hollow_cylinder": (
        "hollow_cylinder",
        ["radius", "thickness", "length"],
        ["sld"],
        [[20.0, 10.0, 400.0], [100.0, 8.0, 2000.0]],
    ),
    "parallelepiped": (
        "parallelepiped",
        ["length_a", "length_b", "length_c"],
        ["sld"],
        [[35.0, 75.0, 400.0], [100.0, 100.0, 100.0]],
    ),
    "lamella": ("lamellar", ["thickness"], ["sld"], [[40.0], [150.0]]),
    "bilayer": ("lamellar_hg", ["length_tail", "length_head"], ["sld", "sld_head"], [[15.0, 10.0], [20.0, 6.0]]),
}
LAWS = {
    "gaussian_coil": ("mono_gauss_coil", ["rg"], [[60.0], [200.0]], {"i_zero": 1.0}),
    "mass_fractal": ("fractal", ["radius", "fractal_dim", "cor_length"], [[10.0, 2.0, 100.0], [30.0, 2.6, 400.0]], {}),
    "power_law": ("power_law", ["power"], [[4.0], [2.5]], {}),
    "guinier_porod": ("guinier_porod", ["rg", "s", "porod_exp"], [[60.0, 1.0, 3.0], [200.0, 0.0, 4.0]], {}),
}


def curve(model: str, parameters: dict[str, float]) -> np.ndarray:
    """Intensity of a sasmodels model."""
    given = {"scale": 1.0, "background": 0.0, **parameters}
    return DirectModel(empty_data1D(Q, resolution=0.0), load_model(model))(**given)


def shape_curves():
    """Name of the curve, how to compute it with ours, the curve."""
    for name, (model, lengths, slds, cases) in SHAPES.items():
        for case in cases:
            solvent = "sld_solvent"
            given = (
                dict(zip(lengths, case, strict=True))
                | dict(zip(slds, LAYERS[: len(slds)], strict=True))
                | {solvent: SOLVENT}
            )
            extra = {"core_multi_shell": {"n": 3}, "vesicle": {"volfraction": 1.0}}.get(name, {})
            ours = [2 * case[0], case[1]] if name == "bilayer" else case  # their tail is one leaflet's
            contrasts = [layer - SOLVENT for layer in LAYERS[: len(slds)]]
            yield {"shape": name, "lengths": ours, "contrasts": contrasts}, curve(model, given | extra)


def law_curves():
    """The same of empirical laws."""
    for name, (model, names, cases, extra) in LAWS.items():
        for case in cases:
            yield {"law": name, "parameters": case}, curve(model, dict(zip(names, case, strict=True)) | extra)


def main(path: str) -> None:
    """Write all curves."""
    labels, curves = zip(*shape_curves(), *law_curves(), strict=True)
    np.savez_compressed(path, q=Q, intensity=np.stack(curves), what=np.array([json.dumps(label) for label in labels]))


if __name__ == "__main__":
    main(sys.argv[1])
