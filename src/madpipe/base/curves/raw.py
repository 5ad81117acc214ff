"""What a file of curves holds, before its units, order and errors are looked at."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from madpipe.base.errors import InputError

_Array = np.ndarray


@dataclass(frozen=True)
class RawCurves:
    """One entry of a file: curves on one axis of q, in the file's own units, which "" leaves unsaid."""

    name: str
    q: _Array  # (q), in any order
    intensity: _Array  # (curve, q)
    sigma: _Array | None = None  # (curve, q)
    dq: _Array | None = None  # (q), in the unit of q, and so are the slit's
    slit_length: _Array | None = None  # (q)
    slit_width: _Array | None = None  # (q)
    q_unit: str = ""
    intensity_unit: str = ""
    names: tuple[str, ...] = ()  # of the curves
    title: str = ""
    sample: str = ""
    energy: _Array | None = None  # (curve), [eV]
    time: _Array | None = None  # (curve), [s]
    wavelength: float | None = None  # [angstrom], of what is scattered
    is_angle: bool = False  # the axis is 2 theta [degree]
    notes: tuple[str, ...] = field(default=())  # what was assumed, for the person

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        n = len(self.q)
        if self.q.ndim != 1 or self.intensity.ndim != 2 or self.intensity.shape[1] != n:
            raise InputError(
                f"{self.name}: needs one intensity for each q; q of shape {self.q.shape} and intensity of shape "
                f"{self.intensity.shape} came; make them alike."
            )
        if self.sigma is not None and self.sigma.shape != self.intensity.shape:
            raise InputError(
                f"{self.name}: needs a sigma for each intensity; shapes {self.sigma.shape} and "
                f"{self.intensity.shape} came; make them alike."
            )
        for what in ("dq", "slit_length", "slit_width"):
            widths = getattr(self, what)
            if widths is not None and widths.shape != (n,):
                raise InputError(f"{self.name}: needs {n} values of {what}; {widths.shape} came; make them alike.")
        for what in ("energy", "time"):
            values = getattr(self, what)
            if values is not None and values.shape != (len(self.intensity),):
                raise InputError(
                    f"{self.name}: needs one {what} for each of {len(self.intensity)} curves; {values.shape} came; "
                    "make them alike."
                )

    def with_widths(self, change: Callable[[_Array], _Array]) -> "RawCurves":
        """Change every width of the resolution that there is."""
        dq, length, width = (
            None if one is None else change(one) for one in (self.dq, self.slit_length, self.slit_width)
        )
        return replace(self, dq=dq, slit_length=length, slit_width=width)
