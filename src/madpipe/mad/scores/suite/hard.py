"""The test suite's hard particles: each prescribed, most of them of shapes or compositions that no training draws.

What is prescribed is the kind. Facets, axes, strain field, places of voids and lines are drawn for every case by
itself, so that no two cases share a particle.

Two kinds follow published particles, in kind and not in size or strain: ``facetted_thin_rhodium_shell_PtRh`` a PtRh
catalyst whose surface is enriched in Rh (PMC10938497, coherent diffraction imaging under reaction conditions), and
``facetted_precipitates_dislocations_CuAu`` a gold crystal into which copper diffuses, with dislocations (PMC4208027).
"""

from typing import Any

from madpipe.mad.config import SuiteSet

_NI_FE = {"element": "Ni", "partner": "Fe", "lattice_angstrom": 3.54}  # fcc solid solutions: Vegard's law, to 1 %
_CO_NI = {"element": "Co", "partner": "Ni", "lattice_angstrom": 3.53}
_CO_PT = {"element": "Co", "partner": "Pt", "lattice_angstrom": 3.76}
_NI_PT = {"element": "Ni", "partner": "Pt", "lattice_angstrom": 3.75}
_FE_PT = {"element": "Fe", "partner": "Pt", "lattice_angstrom": 3.83}
_CU_AU = {"element": "Cu", "partner": "Au", "lattice_angstrom": 3.87}
_AU_CU = {"element": "Au", "edge": "L3", "partner": "Cu", "lattice_angstrom": 3.87}
_PT_CO = {"element": "Pt", "edge": "L3", "partner": "Co", "lattice_angstrom": 3.76}
_PT_NI = {"element": "Pt", "edge": "L3", "partner": "Ni", "lattice_angstrom": 3.75}
_PT_RH = {"element": "Pt", "edge": "L3", "partner": "Rh", "lattice_angstrom": 3.86}
_FIVE = (8291.0, 8322.5, 8331.5, 8336.0, 8371.0)  # about the Ni K edge, as all energies of the outline are
_ELEVEN = (8268.0, 8295.5, 8310.0, 8321.0, 8327.5, 8331.0, 8334.5, 8339.0, 8347.5, 8366.0, 8396.0)


def _particle(
    shape: str, composition: str, atoms: dict[str, Any], core: float, shell: float, **fields: Any
) -> dict[str, Any]:
    """Fields of a sample; of the core and the shell the resonant atoms' shares. What is not named is at rest."""
    size = fields.pop("size", 2500.0)
    thickness = fields.pop("shell_thickness", 0.1)  # over the size
    still = {"misfit": 0.0, "strain_phase_rms": 0.0, "steps": ("fit", "infer")}
    own = {"shape": shape, "composition": composition, "core_fraction": core, "shell_fraction": shell}
    lengths = {"particle_size_angstrom": size, "shell_thickness_angstrom": thickness * size}
    return still | own | lengths | atoms | fields


_FRAMES = {
    "concave_precipitates_CoPt": _particle(
        "concave", "precipitates", _CO_PT, 0.9, 0.15, oversampling=1.8, phase_step=1.2, strain_phase_rms=1.0
    ),
    "concave_thin_platinum_skin_NiPt": _particle(
        "concave", "core_shell", _NI_PT, 0.75, 0.05, oversampling=1.4, shell_thickness=0.03, strain_phase_rms=0.8
    ),
    "concave_domains_voids_CuAu": _particle(
        "concave", "domains", _CU_AU, 0.85, 0.1, oversampling=2.2, voids=2, strain_phase_rms=1.5
    ),
    "concave_patchy_shell_dislocations_AuCu": _particle(
        "concave", "patchy_shell", _AU_CU, 0.2, 1.0, oversampling=2.8, dislocations=2, shell_thickness=0.12
    ),
    "concave_janus_step_PtCo": _particle(
        "concave", "janus", _PT_CO, 0.9, 0.3, oversampling=3.4, phase_step=2.5, reflection=(2, 0, 0)
    ),
    "concave_alloy_dislocations_NiFe": _particle(
        "concave", "uniform", _NI_FE, 0.75, 0.75, oversampling=5.0, dislocations=2, strain_phase_rms=1.5
    ),
    "concave_multi_shell_energy_offset_CuAu": _particle(
        "concave",
        "multi_shell",
        _CU_AU,
        0.6,
        0.2,
        oversampling=2.5,
        strain_phase_rms=0.7,
        energy_offset_ev=0.4,
        energies_ev=_ELEVEN,
    ),
    "polyhedron_precipitates_voids_NiPt": _particle(
        "polyhedron", "precipitates", _NI_PT, 1.0, 0.4, oversampling=1.6, voids=1, misfit=0.001, energies_ev=_FIVE
    ),
    "facetted_precipitates_dislocations_CuAu": _particle(
        "facetted", "precipitates", _CU_AU, 0.6, 0.03, oversampling=2.0, dislocations=2, misfit=-0.002
    ),
    "smooth_precipitates_step_PtNi": _particle(
        "smooth", "precipitates", _PT_NI, 0.1, 0.8, oversampling=4.2, phase_step=-2.0, strain_phase_rms=2.0
    ),
    "polyhedron_thin_platinum_skin_CoPt": _particle(
        "polyhedron", "core_shell", _CO_PT, 0.98, 0.05, oversampling=1.5, shell_thickness=0.025, phase_step=0.8
    ),
    "polyhedron_uneven_shell_drift_NiFe": _particle(
        "polyhedron", "off_centre_core", _NI_FE, 0.6, 1.0, oversampling=3.0, misfit=0.003, scale_jitter=0.003
    ),
    "facetted_thin_rhodium_shell_PtRh": _particle(
        "facetted",
        "core_shell",
        _PT_RH,
        0.55,
        0.3,
        oversampling=2.4,
        shell_thickness=0.04,
        strain_phase_rms=0.5,
        size=1000.0,
    ),
    "polyhedron_domains_dilute_CoNi": _particle(
        "polyhedron", "domains", _CO_NI, 0.02, 0.08, oversampling=6.0, strain_phase_rms=1.0, reflection=(2, 0, 0)
    ),
}
_VOLUMES = {
    "concave_precipitates_void_CoPt": _particle(
        "concave", "precipitates", _CO_PT, 0.85, 0.2, oversampling=1.6, voids=1, strain_phase_rms=1.0
    ),
    "concave_core_step_AuCu": _particle(
        "concave", "core_shell", _AU_CU, 0.95, 0.3, oversampling=2.2, phase_step=2.2, shell_thickness=0.05
    ),
    "polyhedron_precipitates_dislocation_NiPt": _particle(
        "polyhedron", "precipitates", _NI_PT, 1.0, 0.3, oversampling=1.4, dislocations=1, strain_phase_rms=0.5
    ),
    "concave_patchy_shell_NiFe": _particle(
        "concave", "patchy_shell", _NI_FE, 0.5, 1.0, oversampling=2.4, misfit=0.003, shell_thickness=0.1
    ),
    "facetted_thin_nickel_shell_PtNi": _particle(
        "facetted", "core_shell", _PT_NI, 0.9, 0.05, oversampling=2.0, shell_thickness=0.04, strain_phase_rms=1.5
    ),
    "polyhedron_domains_voids_FePt": _particle(
        "polyhedron", "domains", _FE_PT, 0.9, 0.2, oversampling=3.0, voids=3, phase_step=1.5, energies_ev=_FIVE
    ),
}
# by set and particle, all that a sample of it prescribes but grid, dimensions and photons
PRESCRIBED: dict[SuiteSet, dict[str, dict[str, Any]]] = {"hard": _FRAMES, "hard_volumes": _VOLUMES}
