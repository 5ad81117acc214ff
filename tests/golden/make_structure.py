"""Structure factors by sasmodels 1.1.0, which needs a C compiler: `python make_structure.py` writes structure.json."""

import json
import math
from pathlib import Path

import numpy as np
from sasmodels.core import load_model
from sasmodels.direct_model import call_kernel

Q = np.concatenate([[1e-5], np.geomspace(1e-3, 0.5, 40)])
HARD = [(20.0, 0.01), (50.0, 0.2), (50.0, 0.45), (300.0, 0.55)]
STICKY = [(50.0, 0.1, 0.2, 0.05), (50.0, 0.2, 0.15, 0.01), (200.0, 0.3, 0.5, 0.1), (30.0, 0.05, 5.0, 0.02)]
CHARGED = [  # at a decay of 66 per diameter hayter_msa gives S = 3e-8 for 0.21: its cosh has lost all digits
    (20.75, 0.0192, 19.0, 318.16, 0.0, 71.08),
    (20.0, 0.2, 20.0, 298.0, 0.01, 78.0),
    (50.0, 0.1, 3.0, 298.0, 0.1, 78.0),
    (50.0, 0.001, 60.0, 298.0, 0.0, 78.0),
    (50.0, 0.3, 100.0, 298.0, 0.001, 78.0),
]


def curve(name, **parameters):
    kernel = load_model(name).make_kernel([Q])
    return [float(value) for value in call_kernel(kernel, {"scale": 1.0, "background": 0.0, **parameters})]


def screening(radius, phi, charge, temperature, salt, permittivity):
    """Potential at contact and decay with the constants that hayter_msa.c has."""
    e, permittivity, beta = 1.602189e-19, permittivity * 8.85418782e-12, 1 / (1.380662e-23 * temperature)
    diameter = 2e-10 * radius
    ions = 0.5 * e * e * (charge * phi / (math.pi / 6 * diameter**3) + 2 * salt * 6.022e26)
    decay = math.sqrt(2 * beta * ions / permittivity) * diameter
    return beta * (charge * e) ** 2 / (math.pi * permittivity * diameter * (2 + decay) ** 2), decay


def made():
    """All curves with their parameters."""
    hard = [{"radius": r, "phi": phi, "s": curve("hardsphere", radius_effective=r, volfraction=phi)} for r, phi in HARD]
    sticky = [
        {
            "radius": r,
            "phi": phi,
            "tau": tau,
            "width": width,
            "s": curve("stickyhardsphere", radius_effective=r, volfraction=phi, stickiness=tau, perturb=width),
        }
        for r, phi, tau, width in STICKY
    ]
    charged = []
    for r, phi, charge, temperature, salt, permittivity in CHARGED:
        contact, decay = screening(r, phi, charge, temperature, salt, permittivity)
        values = curve(
            "hayter_msa",
            radius_effective=r,
            volfraction=phi,
            charge=charge,
            temperature=temperature,
            concentration_salt=salt,
            dielectconst=permittivity,
        )
        of_it = {"charge": charge, "temperature": temperature, "salt": salt, "permittivity": permittivity}
        charged.append({"radius": r, "phi": phi, **of_it, "contact": contact, "decay": decay, "s": values})
    return {"q": Q.tolist(), "hard": hard, "sticky": sticky, "charged": charged}


if __name__ == "__main__":
    Path(__file__).with_name("structure.json").write_text(json.dumps(made(), indent=1) + "\n")
