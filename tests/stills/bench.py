"""Still images of reflections whose truth is known: written apart from the package, with its own geometry and sums.

An orthorhombic crystal, P 21 21 21, is turned at random for each image. Each reflection is a round Gaussian of the
tangential distance in reciprocal space, summed over 5 x 5 points a pixel with the exact distance, times the Gaussian
partiality of its excitation error; counts are Poisson's.
"""

from dataclasses import dataclass, field

import numpy as np

from madpipe.stills.geometry import Beam, Crystal, Panel

CELL = np.array([79.6, 77.2, 38.7])
REFERENCE_ERROR = 0.4


@dataclass
class Case:
    """What is drawn; lengths [angstrom], [mm], angles [degree]."""

    images: int = 24
    size: int = 1130
    wavelength: float = 1.0
    distance: float = 170.0
    pixel: float = 0.172
    width: float = 1.5e-3  # R1 [1/angstrom]
    mosaicity: float = 1.0e-3  # R0
    bandwidth: float = 0.0
    background: float = 5.0
    strength: float = 1.0
    misorient: float = 0.0
    centre_error: tuple = (0.0, 0.0)  # of the geometry that is told [pixel]
    distance_error: float = 0.0  # relative, of the geometry that is told
    tilt: float = 0.0  # of the true detector about its slow axis [degree]
    classical: bool = True  # the reference is truth times noise; else truth is reference times noise
    reference_error: float = REFERENCE_ERROR
    resolution: float = 1.85
    turns: list = field(default_factory=list)  # rotations of the crystals, else random


@dataclass
class Bench:
    """Images with what made them; what a user is told is apart from the truth."""

    case: Case
    counts: list
    beam: Beam
    panel: Panel  # told
    true_panel: Panel
    crystals: list  # told
    true_crystals: list
    hkl: np.ndarray  # asymmetric unit: none negative
    truth: np.ndarray
    reference: np.ndarray
    ln_scale: np.ndarray
    b_factor: np.ndarray
    misset: np.ndarray  # rotation vectors that take told crystals to true ones [radian]


def rotation(vector):
    """Right-handed turn by a rotation vector, from the sum of its exponential series."""
    x, y, z = vector
    generator = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    term, total = np.eye(3), np.eye(3)
    for order in range(1, 30):
        term = term @ generator / order
        total = total + term
    return total


def random_turn(rng):
    """Uniform over all orientations: from a unit quaternion."""
    w, x, y, z = (lambda four: four / np.linalg.norm(four))(rng.normal(size=4))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def detector(case, true):
    """The panel as it is, or as the user is told; beam along z, fast along -x, slow along -y."""
    half = case.size * case.pixel / 2
    slow, fast = np.array([0.0, -1.0, 0.0]), np.array([-1.0, 0.0, 0.0])
    distance = case.distance * (1.0 if true else 1 + case.distance_error)
    shift = np.zeros(2) if true else np.array(case.centre_error) * case.pixel
    middle = np.array([0.0, 0.0, distance]) + fast * (2.5 * case.pixel) - slow * (1.5 * case.pixel)
    middle = middle + fast * shift[0] + slow * shift[1]
    if true and case.tilt:
        fast = rotation(slow * np.radians(case.tilt)) @ fast
    return Panel(middle - fast * half - slow * half, fast, slow, (case.pixel,) * 2, (case.size,) * 2)


def asymmetric_unit(case):
    """Indices without a negative one, less the absences of three screw axes, 000 left out."""
    top = (CELL / case.resolution).astype(int) + 1
    hkl = np.stack(np.meshgrid(*[np.arange(n + 1) for n in top], indexing="ij"), -1).reshape(-1, 3)
    inside = np.sum((hkl / CELL) ** 2, 1) < 1 / case.resolution**2
    axial = (hkl == 0).sum(1) == 2
    return hkl[inside & (hkl.sum(1) > 0) & ~(axial & (hkl.sum(1) % 2 == 1))]


def drawn_intensities(case, hkl, rng):
    """Wilson's law, centric where an index vanishes; 1000 photons on average at infinite d, B of 15 square angstrom."""
    mean = 1000 * case.strength * np.exp(-15 * np.sum((hkl / CELL) ** 2, 1) / 2)
    acentric, centric = rng.exponential(size=len(hkl)), rng.normal(size=len(hkl)) ** 2
    truth = mean * np.where((hkl == 0).any(1), centric, acentric)
    noise = np.exp(rng.normal(size=len(hkl)) * np.sqrt(np.log1p(case.reference_error**2)))
    noise /= np.sqrt(1 + case.reference_error**2)  # mean 1, relative spread as asked
    return (truth, truth * noise) if case.classical else (truth * noise, truth)


def spots_of(case, panel, axes, hkl):
    """Every reflection near the sphere: signed indices, excitation error, 1/d2, direction, place on the panel."""
    signs = np.stack(np.meshgrid(*[[1, -1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    asu = np.repeat(np.arange(len(hkl)), 8)
    signed = (hkl[:, None] * signs).reshape(-1, 3)
    signed, keep = np.unique(signed, axis=0, return_index=True)
    asu = asu[keep]
    star = axes / np.sum(axes**2, 1)[:, None]  # orthogonal axes
    s = signed @ star + np.array([0, 0, 1 / case.wavelength])
    length = np.linalg.norm(s, axis=1)
    excitation = length - 1 / case.wavelength
    q2 = np.sum((signed @ star) ** 2, 1)
    near = np.abs(excitation) < 4 * np.sqrt(spread2(case, q2))
    s, length, excitation, q2, asu, signed = (one[near] for one in (s, length, excitation, q2, asu, signed))
    unit = s / length[:, None]
    normal = np.cross(panel.fast, panel.slow)
    normal = normal * np.sign(normal @ panel.origin)
    point = unit * ((panel.origin @ normal) / (unit @ normal))[:, None] - panel.origin
    at = np.stack([point @ panel.fast, point @ panel.slow], 1) / case.pixel
    inside = (at > 0).all(1) & (at < case.size).all(1) & (unit @ normal > 0)
    return signed[inside], asu[inside], excitation[inside], q2[inside], unit[inside], at[inside]


def spread2(case, q2):
    """Square of the partiality's radius with bandwidth [1/angstrom2]."""
    return case.mosaicity**2 + (case.bandwidth * case.wavelength) ** 2 * q2**2 / 2


def polarisation_of(unit):
    """Share kept of a beam polarised 98 % along x."""
    cos = unit[:, 2]
    azimuth = np.arctan2(unit[:, 1], unit[:, 0])
    return (1 + cos**2 - 0.98 * np.cos(2 * azimuth) * (1 - cos**2)) / 2


def add_spots(image, case, panel, unit, at, amount):
    """Add photons to an image: Gaussian of the distance sin(angle) / wavelength, 5 x 5 points a pixel."""
    reach, fine = 7, (np.arange(5) + 0.5) / 5
    start = np.floor(at).astype(int) - reach
    grid = (np.arange(2 * reach + 1)[:, None] + fine).ravel()
    step = case.pixel / case.wavelength / 5
    for n in range(len(at)):
        x, y = start[n, 0] + grid, start[n, 1] + grid
        place = panel.origin + case.pixel * (x[None, :, None] * panel.fast + y[:, None, None] * panel.slow)
        r = np.linalg.norm(place, axis=-1)
        along = place @ unit[n] / r
        density = np.exp(-(1 - along**2) / case.wavelength**2 / case.width**2) / (np.pi * case.width**2)
        normal = np.cross(panel.fast, panel.slow)
        solid = step**2 * np.abs(place @ normal) / r**3  # area in reciprocal space of a fifth of a pixel
        tile = (density * solid).reshape(2 * reach + 1, 5, 2 * reach + 1, 5).sum((1, 3)) * amount[n]
        lo_x, lo_y = max(-start[n, 0], 0), max(-start[n, 1], 0)
        hi_x, hi_y = (min(2 * reach + 1, case.size - start[n, axis]) for axis in (0, 1))
        image[start[n, 1] + lo_y : start[n, 1] + hi_y, start[n, 0] + lo_x : start[n, 0] + hi_x] += tile[
            lo_y:hi_y, lo_x:hi_x
        ]


def make(case=None, seed=0):
    """Draw a bench."""
    case = case or Case()
    rng = np.random.default_rng(seed)
    hkl = asymmetric_unit(case)
    truth, reference = drawn_intensities(case, hkl, rng)
    true_panel, panel = detector(case, True), detector(case, False)
    ln_scale, b_factor = rng.normal(0, 0.3, case.images), rng.normal(0, 4.0, case.images)
    counts, told, true, misset = [], [], [], []
    for k in range(case.images):
        axes = np.diag(CELL) @ (case.turns[k] if case.turns else random_turn(rng)).T
        _, asu, excitation, q2, unit, at = spots_of(case, true_panel, axes, hkl)
        partial = np.exp(-(excitation**2) / spread2(case, q2))
        amount = np.exp(ln_scale[k] - b_factor[k] * q2 / 4) * partial * polarisation_of(unit) * truth[asu]
        image = np.full((case.size, case.size), case.background)
        add_spots(image, case, true_panel, unit, at, amount)
        counts.append(rng.poisson(image).astype(float))
        error = np.radians(case.misorient) * rng.normal(size=3) / np.sqrt(3)
        true.append(Crystal(axes, "P 21 21 21"))
        told.append(Crystal(axes @ rotation(-error).T, "P 21 21 21"))
        misset.append(error)
    electric = np.array([1.0, 0.0, 0.0])
    beam = Beam(np.array([0.0, 0.0, 1.0]), case.wavelength, case.bandwidth, 0.98, electric)
    return Bench(
        case, counts, beam, panel, true_panel, told, true, hkl, truth, reference, ln_scale, b_factor, np.array(misset)
    )
