"""Scenes of nanoBragg's golden images, from their records alone."""

import json

import numpy as np

from madpipe.stills.geometry import Beam, Crystal, Panel
from madpipe.stills.mosaic import listed
from madpipe.stills.scene import Phi, Scene, Sources, StructureFactors

OWN_SHAPES = {"gauss": "nanobragg-gauss", "tophat": "nanobragg-tophat"}
NAMES = (
    "c01_cubic",
    "c02_triclinic",
    "c03_hkl_xds_tilt_phi",
    "c04_demo_nomosaic",
    "c05_divergence_dispersion",
    "c06_round",
    "c07_mosaic",
    "c08_twotheta_beam",
    "c09_twotheta_sample",
    "c10_gauss",
    "c11_tophat",
    "c12_hexagonal",
    "c13_lysozyme_2A",
)


def golden(shared, name, first_subpixel=False):
    """Scene, and nanoBragg's image."""
    folder = shared / "stills" / "golden"
    said = json.loads((folder / "cases.json").read_text())
    (case,) = (one for one in said["cases"] if one["name"] == name)
    arrays = np.load(folder / case["image"])
    sources = np.array(case["beam"]["sources"], dtype=float)
    beam = Beam(
        np.array(case["beam"]["direction"], dtype=float),
        float(sources[0, 3]),
        polarised=float(case["beam"]["kahn_factor"]),
        electric=np.array(case["beam"]["polarisation_direction"], dtype=float),
    )
    crystal, phi, other = case["crystal"], case["phi"], float(case["default_F"])
    factors = StructureFactors.flat(other)
    if "hkl" in arrays:
        factors = StructureFactors.listed(arrays["hkl"].astype(int), arrays["F"].astype(float), other)
    scene = Scene(
        beam=beam,
        panels=(panel_of(case["detector"]),),
        crystal=Crystal(np.array(crystal["real_space_vectors_angstrom"], dtype=float)),
        cells=np.array(crystal["cells"], dtype=float),
        factors=factors,
        scale=said["r_e_squared_m2"] * case["beam"]["fluence_photons_per_m2"],
        shape=OWN_SHAPES.get(crystal["shape"], crystal["shape"]),
        fudge=float(crystal["fudge"]),
        mosaicity=listed(np.array(crystal["mosaic_rotations"], dtype=float).reshape(-1, 3, 3)),
        spread=1.0,
        sources=Sources(sources[:, :3].copy(), sources[:, 3].copy(), np.ones(len(sources))),
        phi=Phi(
            np.array(phi["axis"], dtype=float),
            np.radians(phi["start_deg"] + phi["step_deg"] * np.arange(phi["steps"])),
        ),
        oversample=case["oversample"],
        first_subpixel=first_subpixel,
    )
    return scene, arrays["image"].astype(float)


def panel_of(detector):
    """The detector's one panel."""
    corner, fast, slow = (
        np.array(detector[key], dtype=float) for key in ("first_pixel_corner_mm", "fast_axis", "slow_axis")
    )
    side, shape = float(detector["pixel_size_mm"]), detector["shape_slow_fast"]
    return Panel(corner, fast, slow, (side, side), (shape[0], shape[1]))
