r"""A Gaussian spot widened by Gaussian mosaicity, without domains.

A rotation by w moves q by w x q. For a rotation vector of covariance s^2 T a spot at q_h of covariance S_N becomes

.. math:: S = S_N + s^2 [q_h]\, T\, [q_h]^T, \qquad
    \langle F_{latt}^2 \rangle = (N_a N_b N_c)^2 \sqrt{|S_N| / |S|}\, \exp(-\tfrac12 \Delta q^T S^{-1} \Delta q)

with :math:`\Delta q = q - q_h`; for T = 1/3 and eta^2 = s^2 / 3 this is S = S_N + eta^2 (|q_h|^2 1 - q_h q_h^T). First
order in the rotation; photons that reach beyond half way to the next reflection are left out: the nearest one alone
counts.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from madpipe.physics.rotations import cross_matrix, rotation
from madpipe.stills.mosaic import SpotKernel
from madpipe.stills.scene import Scene

_Points = Float[Tensor, "3 point"]
_Three = Float[np.ndarray, "3 3"]


class _Spots:
    """Reflections that points are nearest to, at one spindle step, with the kernel's matrices."""

    def __init__(self, scene: Scene, kernel: SpotKernel, step: _Three, q: _Points) -> None:
        self.reciprocal = step @ scene.crystal.reciprocal
        indices = (torch.from_numpy(np.linalg.inv(self.reciprocal)) @ q - 0.5).ceil()
        self.of_point, found = _unique(indices)
        self.indices = found.numpy()
        self.widths = 1 / (2 * np.pi * scene.cells**2)  # of h, k, l
        self.middle = self.indices @ self.reciprocal.T
        self.across = cross_matrix(self.middle)
        mosaic = self.across @ kernel.tensor @ np.swapaxes(self.across, -1, -2)
        own = self.reciprocal * self.widths @ self.reciprocal.T
        self.mosaic = mosaic
        total = own + scene.spread**2 * mosaic
        self.inverse = np.linalg.inv(total)
        height = np.prod(scene.cells) ** 2 * np.sqrt(np.linalg.det(own) / np.linalg.det(total))
        self.height = height * scene.factors.at(found.T).numpy()
        self.apart = q - self._at_points(self.middle.T)

    def _at_points(self, values: np.ndarray) -> Tensor:
        """Give each point what its reflection, the last axis, has."""
        return torch.from_numpy(np.ascontiguousarray(values))[..., self.of_point]

    def value(self) -> tuple[Tensor, Tensor]:
        """Sum's term and S^-1 dq."""
        inverse = self._at_points(self.inverse.transpose(1, 2, 0))
        pulled = torch.einsum("ijp,jp->ip", inverse, self.apart)
        exponent = (self.apart * pulled).sum(0) * -0.5
        return self._at_points(self.height) * exponent.exp_(), pulled

    def slopes(
        self, scene: Scene, kernel: SpotKernel, tangents: Float[np.ndarray, "tangent 3 3"]
    ) -> tuple[Tensor, ...]:
        r"""Value and derivatives, in the order of `Derivatives`.

        With y = S^-1 dq and Y = y y^T - S^-1, the logarithm changes by Y : dS / 2 - y . d(dq), and by the change of
        ln sqrt|S_N|. All is linear in dB, B the reciprocal axes: the gradient with respect to B is
        Y B D + A^T + (y + g) h^T, where g, from Z = s^2 T [q_h]^T Y, is (Z_12 - Z_21, Z_20 - Z_02, Z_01 - Z_10).
        """
        value, pulled = self.value()
        outer = torch.einsum("ip,jp->ijp", pulled, pulled) - self._at_points(self.inverse.transpose(1, 2, 0))
        by_spread = scene.spread * torch.einsum("ijp,ijp->p", outer, self._at_points(self.mosaic.transpose(1, 2, 0)))
        reciprocal = torch.from_numpy(self.reciprocal)
        turned = torch.einsum("ijp,jk->ikp", outer, reciprocal)
        widths = torch.from_numpy(self.widths)[:, None]
        numbers = torch.from_numpy(scene.cells)[:, None]
        by_cells = 1 / numbers - widths / numbers * torch.einsum("ik,ijp,jk->kp", reciprocal, outer, reciprocal)
        weight = scene.spread**2 * kernel.tensor @ np.swapaxes(self.across, -1, -2)
        z = torch.einsum("ijp,jkp->ikp", self._at_points(weight.transpose(1, 2, 0)), outer)
        swung = torch.stack([z[1, 2] - z[2, 1], z[2, 0] - z[0, 2], z[0, 1] - z[1, 0]])
        moved = (pulled + swung)[:, None] * self._at_points(self.indices.T)[None]
        by_axes = turned * widths + torch.linalg.inv(reciprocal).T[..., None] + moved
        changes = [-self.reciprocal @ tangent @ self.reciprocal for tangent in tangents]
        along = torch.from_numpy(np.array(changes).reshape(-1, 9)) @ by_axes.reshape(9, -1)
        return value, -pulled * value, along * value, by_spread * value, by_cells * value


def kernel_values(scene: Scene, kernel: SpotKernel, q: _Points) -> Float[Tensor, "point"]:
    """Mean of F^2 F_latt^2 over spindle steps at points q [1/angstrom], [electron^2]."""
    steps = rotation(scene.phi.axis * scene.phi.angles[:, None])
    total = torch.zeros_like(q[0])
    for step in steps:
        total += _Spots(scene, kernel, step, q).value()[0] / len(steps)
    return total


def kernel_slopes(
    scene: Scene, kernel: SpotKernel, q: _Points, tangents: Float[np.ndarray, "tangent 3 3"]
) -> tuple[Tensor, ...]:
    """The same with derivatives by q, the axes' tangents, the spread and the numbers of cells."""
    steps = rotation(scene.phi.axis * scene.phi.angles[:, None])
    terms = [_Spots(scene, kernel, step, q).slopes(scene, kernel, tangents @ step.T) for step in steps]
    return tuple(torch.stack(term).sum(0) / len(steps) for term in zip(*terms, strict=True))


def _unique(indices: Float[Tensor, "3 point"]) -> tuple[Tensor, Tensor]:
    """Which of the different reflections each point belongs to, and their indices."""
    least = indices.amin(1, keepdim=True)
    extent = (indices.amax(1, keepdim=True) - least + 1).long()
    place = (indices - least).long()
    key = (place[0] * extent[1] + place[1]) * extent[2] + place[2]
    used = torch.zeros(int(extent.prod()), dtype=torch.bool)
    used[key] = True
    keys = used.nonzero()[:, 0]
    number = used.long().cumsum(0) - 1
    split = torch.stack([keys // (extent[1] * extent[2]), keys // extent[2] % extent[1], keys % extent[2]], dim=1)
    return number[key], split + least.T
