"""The file of a size distribution."""

from dataclasses import dataclass

import numpy as np

from madpipe.base import warned
from madpipe.base.store import Groups, entry
from madpipe.base.warned import kept
from madpipe.saxs.analysis.size_distribution import SizeAnswer

_Array = np.ndarray
_DATA = "entry_1/size"


@dataclass(frozen=True)
class SizeDistribution:
    """Volume of particles by size, with errors, and the curve that it was estimated from."""

    size: _Array = entry(f"{_DATA}/size", "angstrom")  # (bin), geometric middle: of spheres the diameter
    edges: _Array = entry(f"{_DATA}/edges", "angstrom")  # (edge), one more than bins
    volume: _Array = entry(f"{_DATA}/volume", long_name="volume fraction of a bin")  # (bin)
    volume_error: _Array = entry(f"{_DATA}/volume_error")  # (bin), one standard deviation
    density: _Array = entry(f"{_DATA}/density", "1/angstrom", long_name="volume fraction per size")  # (bin)
    density_error: _Array = entry(f"{_DATA}/density_error", "1/angstrom")  # (bin)
    is_trusted: _Array = entry(f"{_DATA}/is_trusted")  # (bin), 1: the range of q reaches the size
    q: _Array = entry("entry_1/fit/q", "1/angstrom")  # (point)
    intensity: _Array = entry("entry_1/fit/intensity", "1/cm")  # (point)
    sigma: _Array = entry("entry_1/fit/sigma", "1/cm")  # (point), times the factor that was told
    fitted: _Array = entry("entry_1/fit/fitted", "1/cm")  # (point)
    total: float = entry(f"{_DATA}/total")  # volume fraction, at the contrast that was told
    total_error: float = entry(f"{_DATA}/total_error")
    percentiles: _Array = entry(f"{_DATA}/percentiles", "angstrom")  # (3), 10, 50 and 90 % of the volume lie below
    percentile_errors: _Array = entry(f"{_DATA}/percentile_errors", "angstrom")  # (3)
    background: float = entry("entry_1/fit/background", "1/cm")
    power_law: float = entry("entry_1/fit/power_law", "1/cm")  # at q = 1/angstrom
    chi2: float = entry("entry_1/fit/chi2")  # per point
    method: str = entry("entry_1/fit/method")
    warnings: str | None = entry(warned.PATH, optional=True)

    def nexus_groups(self) -> Groups:
        """Attributes of the groups."""
        return {
            "entry_1": {"NX_class": "NXentry", "default": "size"},
            _DATA: {"NX_class": "NXdata", "signal": "density", "axes": "size"},
            "entry_1/fit": {"NX_class": "NXdata", "signal": "intensity", "axes": "q"},
        }


def size_record(answer: SizeAnswer, method: str) -> SizeDistribution:
    """Make the record of an answer; its verdict is among the warnings."""
    widths = np.diff(answer.edges)
    return SizeDistribution(
        size=np.sqrt(answer.edges[1:] * answer.edges[:-1]),
        edges=answer.edges,
        volume=answer.volume,
        volume_error=answer.volume_error,
        density=answer.volume / widths,
        density_error=answer.volume_error / widths,
        is_trusted=answer.is_trusted.astype(np.int8),
        q=answer.q,
        intensity=answer.intensity,
        sigma=answer.sigma,
        fitted=answer.fitted,
        total=answer.total,
        total_error=answer.total_error,
        percentiles=answer.percentiles,
        percentile_errors=answer.percentile_errors,
        background=answer.background,
        power_law=answer.power_law,
        chi2=answer.chi2,
        method=method,
        warnings=kept(answer.verdict or None),
    )
