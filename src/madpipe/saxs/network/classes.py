"""The classes that the network tells apart, and the parameters of each, by the names of the form factors' lengths."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShapeClass:
    """One class: a form factor in a part of its ranges."""

    name: str
    model: str  # of the form factor
    lengths: tuple[str, ...]  # [angstrom]; the network answers in ln
    numbers: tuple[str, ...] = ()  # without a unit: contrast_ratio in arsinh, the others in ln

    @property
    def parameters(self) -> tuple[str, ...]:
        """All that the network answers of the class, in its order: lengths, numbers, scale."""
        return (*self.lengths, *self.numbers, "scale")


_CORE = ("contrast_ratio", "pd")
CLASSES = (
    ShapeClass("sphere", "sphere", ("radius",), ("pd",)),
    ShapeClass("core_shell_sphere", "core_shell_sphere", ("core_radius", "thickness"), _CORE),
    ShapeClass("vesicle", "vesicle", ("core_radius", "thickness"), ("pd",)),
    ShapeClass("ellipsoid", "ellipsoid", ("radius_polar", "radius_equatorial"), ("pd",)),
    ShapeClass("cylinder", "cylinder", ("radius", "length"), ("pd",)),
    ShapeClass("disk", "cylinder", ("radius", "length"), ("pd",)),
    ShapeClass("core_shell_cylinder", "core_shell_cylinder", ("radius", "thickness", "length"), _CORE),
    ShapeClass("core_shell_disk", "core_shell_cylinder", ("radius", "thickness", "length"), _CORE),
    ShapeClass("coil", "gaussian_coil", ("rg",)),
    ShapeClass("lamella", "lamella", ("thickness",), ("pd",)),
    ShapeClass("fractal", "mass_fractal", ("radius", "correlation_length"), ("dimension",)),
)
NAMES = tuple(one.name for one in CLASSES)
MOST = max(len(one.parameters) for one in CLASSES)  # parameters of a class
BY_NAME = {one.name: one for one in CLASSES}
