"""Rotations of batches, differentiable: from the network's six numbers, from rotation vectors, and back to them."""

import torch
from jaxtyping import Float
from torch import Tensor

_Rotations = Float[Tensor, "*image 3 3"]
_Vectors = Float[Tensor, "*image 3"]
_TINY = 1e-12


def rotation_of_six(six: Float[Tensor, "*image 6"]) -> _Rotations:
    """Rotation whose first two columns are the six numbers made orthonormal; it is continuous, as no three numbers are.

    References
    ----------
    Zhou, Barnes, Lu, Yang, Li, arXiv:1812.07035, eq. 15.
    """
    first = torch.nn.functional.normalize(six[..., :3], dim=-1)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def rotation_of_vector(vectors: _Vectors) -> _Rotations:
    """Rotations by |v| about v (Rodrigues' formula) [radian]."""
    angle = (vectors.square().sum(-1) + _TINY).sqrt()[..., None, None]
    across = cross_matrix(vectors)
    unit = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return unit + (angle.sin() / angle) * across + ((1 - angle.cos()) / angle**2) * (across @ across)


def cross_matrix(vectors: _Vectors) -> _Rotations:
    """Matrices [v] with [v] w = v x w."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def vector_of_rotation(matrices: _Rotations) -> _Vectors:
    """Rotation vectors of angles below pi [radian], the inverse of :func:`rotation_of_vector`."""
    odd = (matrices - matrices.transpose(-1, -2)) / 2
    sine_vector = torch.stack([odd[..., 2, 1], odd[..., 0, 2], odd[..., 1, 0]], dim=-1)
    sine = (sine_vector.square().sum(-1) + _TINY).sqrt()
    trace = matrices.diagonal(dim1=-2, dim2=-1).sum(-1)
    return sine_vector * (torch.atan2(sine, (trace - 1) / 2) / sine)[..., None]
