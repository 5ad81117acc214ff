"""What is believed of an implanted layer beforehand: numbers only, so that the configuration loads at once."""

from typing import Literal, get_args

Parameter = Literal["Dmax1", "D01", "L1", "Rp1", "D02", "L2", "Rp2"]  # lengths L and Rp in angstrom, strains D
NAMES: tuple[Parameter, ...] = get_args(Parameter)
LOW = (0.001, 0.0005, 500.0, 50.0, 0.001, 500.0, -6500.0)
HIGH = (0.031, 0.0305, 7000.0, 5050.0, 0.031, 5000.0, 0.0)
RANGES = tuple(high - low for low, high in zip(LOW, HIGH, strict=True))
LARGEST_SUM = 0.03  # of D01 + D02
LARGEST_STRAIN = HIGH[0]
LEAST_STRAIN = 1e-4  # Dmin, where a bell ends
