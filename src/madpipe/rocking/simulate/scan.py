"""A scan that is simulated: its reflection, and angles about the substrate's peak."""

import math
from dataclasses import replace
from functools import cached_property

import numpy as np

from madpipe.rocking import forward
from madpipe.rocking.config import Scan
from madpipe.rocking.forward import Reflection
from madpipe.rocking.model import peak_two_theta, reflection_of
from madpipe.rocking.prior import LARGEST_STRAIN
from madpipe.rocking.records import Curve, curve_of

_ANYWHERE = 90.0  # degree of 2 theta, until the peak's place is known


class Setup:
    """Reflection and angles of a scan.

    Parameters
    ----------
    scan:
        Sample, beam, and angles about the peak.
    title:
        Of the curves.

    Raises
    ------
    InputError
        Unknown crystal, forbidden reflection.
    """

    def __init__(self, scan: Scan, title: str) -> None:
        self.scan = scan
        angles = np.linspace(*scan.two_theta, scan.points)
        blank = curve_of(scan, scan.wavelength, title, angles + _ANYWHERE, np.zeros(scan.points))
        self.reflection: Reflection = reflection_of(blank)
        self.peak = peak_two_theta(self.reflection)  # of the substrate [degree]
        self.blank: Curve = replace(blank, two_theta=self.peak + angles)
        self.theta = forward.as_radian(self.blank.two_theta)
        self.half_width = math.radians(scan.half_width) / 2  # of the resolution in theta [radian]

    @cached_property
    def step(self) -> float:
        """Thickest sublayer of a fit [angstrom]."""
        return forward.largest_step(self.theta, self.reflection, LARGEST_STRAIN)
