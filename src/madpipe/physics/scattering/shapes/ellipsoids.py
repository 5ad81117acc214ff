"""Ellipsoids of revolution and with three axes."""

from math import pi

from torch import Tensor

from madpipe.physics.scattering.orientation import directions
from madpipe.physics.scattering.shapes.form_factor import Areas, FormFactor, Lengths, LengthSpec
from madpipe.physics.scattering.shapes.solids import ELLIPSOID, SPHEROID, Size

_NODES = 128  # of the surface's integral: 1e-12 for ratios of axes up to 10


def _axes(lengths: Lengths) -> list[Size]:
    """The lengths are the half axes."""
    return [lengths]


def ellipsoid_area(axes: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    r"""Surface of an ellipsoid.

    .. math:: S = 4 \pi \langle \sqrt{(bc\,u_x)^2 + (ca\,u_y)^2 + (ab\,u_z)^2} \rangle_u

    Parameters
    ----------
    axes:
        Half axes a, b, c [angstrom].

    Returns
    -------
    :
        [angstrom^2], to 1e-6 for ratios of axes up to 20.
    """
    a, b, c = (axis[:, None] for axis in axes)
    (towards,) = directions(_NODES, _NODES, like=a)
    x, y = towards.sine * towards.azimuth.cos(), towards.sine * towards.azimuth.sin()
    across = (b * c * x) ** 2 + (c * a * y) ** 2 + (a * b * towards.polar) ** 2
    return 4 * pi * (across.sqrt() @ towards.weight)


def _revolution_areas(lengths: Lengths) -> Areas:
    """Whole surface."""
    polar, equatorial = lengths
    return {(0, 1): ellipsoid_area((equatorial, equatorial, polar))}


def _three_axes_areas(lengths: Lengths) -> Areas:
    """Whole surface."""
    a, b, c = lengths
    return {(0, 1): ellipsoid_area((a, b, c))}


def _half_axis(name: str, default: float) -> LengthSpec:
    return LengthSpec(name, default, 2.0, 20000.0, "radius")


ELLIPSOID_OF_REVOLUTION = FormFactor(
    "ellipsoid",
    (_half_axis("radius_polar", 20.0), _half_axis("radius_equatorial", 60.0)),
    ("core",),
    SPHEROID,
    _axes,
    _revolution_areas,
)
TRIAXIAL_ELLIPSOID = FormFactor(
    "triaxial_ellipsoid",
    (_half_axis("radius_a", 20.0), _half_axis("radius_b", 40.0), _half_axis("radius_c", 60.0)),
    ("core",),
    ELLIPSOID,
    _axes,
    _three_axes_areas,
)
