"""All shapes by name: a new entry meets every test of the contract unasked."""

from madpipe.physics.scattering.shapes.boxes_and_sheets import BILAYER, LAMELLA, PARALLELEPIPED
from madpipe.physics.scattering.shapes.cylinders import BICELLE, CORE_SHELL_CYLINDER, CYLINDER, HOLLOW_CYLINDER
from madpipe.physics.scattering.shapes.ellipsoids import ELLIPSOID_OF_REVOLUTION, TRIAXIAL_ELLIPSOID
from madpipe.physics.scattering.shapes.empirical import EMPIRICAL_LAWS, Empirical
from madpipe.physics.scattering.shapes.form_factor import FormFactor
from madpipe.physics.scattering.shapes.spheres import CORE_MULTI_SHELL, CORE_SHELL_SPHERE, SPHERE, VESICLE

FORM_FACTORS: dict[str, FormFactor] = {
    form.name: form
    for form in (
        SPHERE,
        CORE_SHELL_SPHERE,
        CORE_MULTI_SHELL,
        VESICLE,
        ELLIPSOID_OF_REVOLUTION,
        TRIAXIAL_ELLIPSOID,
        CYLINDER,
        CORE_SHELL_CYLINDER,
        BICELLE,
        HOLLOW_CYLINDER,
        PARALLELEPIPED,
        LAMELLA,
        BILAYER,
    )
}

EMPIRICAL: dict[str, Empirical] = {law.name: law for law in EMPIRICAL_LAWS}
