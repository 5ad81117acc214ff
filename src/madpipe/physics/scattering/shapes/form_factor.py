"""Form factors: amplitudes of a particle's regions, and the averages of their products over orientation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import pi
from operator import add
from typing import Literal

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from madpipe.physics.scattering.orientation import Directions, by_count, directions, nodes_for
from madpipe.physics.scattering.shapes.solids import Size, Solid

LengthKind = Literal["radius", "thickness", "length"]
_KEPT = 2**20  # directions of all points that a backward pass may keep: some hundred MB
Lengths = tuple[Tensor, ...]  # a tensor for each length of a shape [angstrom], all of one form
Areas = dict[tuple[int, int], Tensor]  # between two media [angstrom^2]


@dataclass(frozen=True)
class LengthSpec:
    """A length of a shape.

    Attributes
    ----------
    name:
        Its name, as a user writes it.
    default:
        [angstrom].
    low, high:
        Bounds for fits and simulations [angstrom].
    kind:
        radius and thickness are counted from the centre outwards, a length from end to end.
    """

    name: str
    default: float
    low: float
    high: float
    kind: LengthKind


@dataclass(frozen=True)
class FormFactor:
    r"""A shape of homogeneous regions, each one solid less the solid within it.

    The intensity of one particle is :math:`\langle|F|^2\rangle = \sum_{kl} c_k^* G_{kl} c_l` with the regions'
    contrasts c against the solvent, real or complex: amplitudes are never squared before the sum.

    Attributes
    ----------
    name:
        Key of the registry.
    lengths:
        What the columns of `lengths` mean, in order.
    regions:
        Names of the regions from the inside outwards.
    solid:
        The solid that all of them are made of.
    nested:
        Sizes of the solids from the innermost outwards; each contains the one before.
    areas:
        Area between each two media [angstrom^2]: regions in order, then the solvent; upper triangle.
    hollow:
        Whether the innermost solid is solvent and no region. The reference volume is then that of the material.
    """

    name: str
    lengths: tuple[LengthSpec, ...]
    regions: tuple[str, ...]
    solid: Solid
    nested: Callable[[Lengths], list[Size]]
    areas: Callable[[Lengths], Areas]
    hollow: bool = False

    @property
    def is_sheet(self) -> bool:
        """Whether it has no end: volumes are then per area [angstrom] and it has no radius of gyration."""
        return self.solid.symmetry == "sheet"

    def column(self, length: str) -> int:
        """Place of a length among the columns.

        Raises
        ------
        ValueError
            If the shape has no length of that name.
        """
        return [spec.name for spec in self.lengths].index(length)

    def gram(
        self, q: Float[Tensor, "q"], lengths: Float[Tensor, "batch length"]
    ) -> Float[Tensor, "batch q region region"]:
        r"""Products of the regions' amplitudes averaged over orientation.

        .. math:: G_{kl}(q) = \langle f_k f_l \rangle, \quad f_k = \int_k e^{i q r} d^3r

        Parameters
        ----------
        q:
            Wave numbers [1/angstrom], 0 allowed except for sheets.
        lengths:
            Of each particle, as the attribute `lengths` names them [angstrom].

        Returns
        -------
        :
            [angstrom^6]; of a sheet :math:`2\pi/q^2` times the products of amplitudes per area [angstrom^4]. Exact to
            1e-9 of the root of :math:`G_{kk} G_{ll}` at any q and size; differentiable with respect to the lengths.
        """
        return self.gram_and_mean(q, lengths)[0]

    def mean(self, q: Float[Tensor, "q"], lengths: Float[Tensor, "batch length"]) -> Float[Tensor, "batch q region"]:
        r"""Regions' amplitudes averaged over orientation, :math:`\langle f_k \rangle` [angstrom^3].

        Parameters
        ----------
        q:
            Wave numbers [1/angstrom].
        lengths:
            Of each particle [angstrom].

        Returns
        -------
        :
            [angstrom^3]; of a sheet the roots of its `gram`, so that decoupling changes nothing there.
        """
        return self.gram_and_mean(q, lengths)[1]

    def gram_and_mean(
        self, q: Float[Tensor, "q"], lengths: Float[Tensor, "batch length"]
    ) -> tuple[Float[Tensor, "batch q region region"], Float[Tensor, "batch q region"]]:
        """Both averages for the cost of one: see `gram` and `mean`."""
        batch, points = len(lengths), len(q)
        number = torch.arange(batch * points, device=q.device)
        packed = self.at_points(q[number % points], lengths[number // points])
        return self.unpacked(packed.reshape(batch, points, -1))

    def at_points(
        self, q: Float[Tensor, "point"], lengths: Float[Tensor, "point length"]
    ) -> Float[Tensor, "point column"]:
        """Averages at points that each have a q and lengths of their own.

        Parameters
        ----------
        q:
            Wave numbers [1/angstrom].
        lengths:
            [angstrom].

        Returns
        -------
        :
            Upper triangle of the products by rows, then the amplitudes; `unpacked` sorts them.
        """
        polar, azimuthal = self._nodes(q, lengths)

        def evaluate(some: Int[Tensor, "some"], along: int, around: int) -> Float[Tensor, "some column"]:
            q_of, lengths_of = q[some, None], lengths[some, None].unbind(-1)
            parts = directions(along, around, like=lengths)
            return reduce(add, (_averages(self._amplitudes(q_of, lengths_of, part), part.weight) for part in parts))

        is_large = int((polar * azimuthal).sum()) > _KEPT
        return by_count(polar, azimuthal, evaluate, recompute=is_large and lengths.requires_grad)

    def over_nodes(
        self,
        q: Float[Tensor, "point"],
        lengths: Lengths,
        weight: Float[Tensor, "point node"],
    ) -> Float[Tensor, "point column"]:
        """Averages over orientation and over nodes with lengths and weights of their own.

        Parameters
        ----------
        q:
            Wave numbers [1/angstrom].
        lengths:
            Each broadcasts to (point, node) [angstrom].
        weight:
            Of each node.

        Returns
        -------
        :
            As of `at_points`.
        """
        if self.solid.symmetry in ("ball", "sheet"):
            (towards,) = directions(1, 1, like=weight)
            return _averages(self._amplitudes(q[:, None], lengths, towards), weight)
        sizes = torch.stack([length.expand_as(weight).flatten() for length in lengths], dim=1)
        values = self.at_points(q.repeat_interleave(weight.shape[1]), sizes)
        return (weight[:, None] @ values.reshape(*weight.shape, -1))[:, 0]

    def unpacked(
        self, packed: Float[Tensor, "batch q column"]
    ) -> tuple[Float[Tensor, "batch q region region"], Float[Tensor, "batch q region"]]:
        """Symmetric matrix and amplitudes from what `at_points` gives."""
        count = len(self.regions)
        row, column = torch.triu_indices(count, count, device=packed.device)
        place = torch.zeros(count, count, dtype=torch.long, device=packed.device)
        place[row, column] = place[column, row] = torch.arange(len(row), device=packed.device)
        return packed[..., place], packed[..., len(row) :]

    def volumes(self, lengths: Float[Tensor, "batch length"]) -> Float[Tensor, "batch region"]:
        """Volumes of the regions: their amplitudes at q = 0 [angstrom^3], of a sheet per area [angstrom]."""
        zero = lengths.new_zeros(len(lengths), 1)
        towards = next(directions(1, 1, like=lengths))
        solids = [self.solid.amplitude(zero, size, towards) for size in self.nested(lengths[:, None].unbind(-1))]
        return torch.cat(self._differences(solids), dim=1)

    def outer_volume(self, lengths: Float[Tensor, "batch length"]) -> Float[Tensor, "batch"]:
        """Volume that the volume fraction counts: all regions', hence the material's of a hollow shape [angstrom^3]."""
        return self.volumes(lengths).sum(1)

    def second_moments(self, lengths: Float[Tensor, "batch length"]) -> Float[Tensor, "batch region"]:
        r"""Second moments of the regions about the centre, :math:`\int_k r^2 d^3r` [angstrom^5]."""
        return torch.stack(
            self._differences([self.solid.second_moment(size) for size in self.nested(lengths.unbind(-1))]), dim=1
        )

    def radius_of_gyration(
        self,
        lengths: Float[Tensor, "batch length"],
        contrasts: Float[Tensor, "batch region"] | Complex[Tensor, "batch region"],
    ) -> Float[Tensor, "batch"]:
        r"""Radius of gyration, the slope of Guinier's law.

        .. math:: R_g^2 = \mathrm{Re} \frac{\sum_k c_k \int_k r^2}{\sum_k c_k V_k}

        Parameters
        ----------
        lengths:
            [angstrom].
        contrasts:
            Scattering length densities against the solvent, in any unit.

        Returns
        -------
        :
            [angstrom]; not a number where the squared one is negative, as it may be near a match point, and for sheets.
        """
        if self.is_sheet:
            return lengths.new_full((len(lengths),), torch.nan)
        moment = (contrasts * self.second_moments(lengths)).sum(1)
        ratio = moment / (contrasts * self.volumes(lengths)).sum(1)
        return (ratio.real if ratio.is_complex() else ratio).sqrt()

    def porod_constant(
        self,
        lengths: Float[Tensor, "batch length"],
        contrasts: Float[Tensor, "batch region"] | Complex[Tensor, "batch region"],
    ) -> Float[Tensor, "batch"]:
        r"""Limit of :math:`q^4 \langle|F|^2\rangle` at large q, less its oscillation.

        .. math:: K = 2 \pi \sum_{k<l} S_{kl} |c_k - c_l|^2

        Parameters
        ----------
        lengths:
            [angstrom].
        contrasts:
            Scattering length densities against the solvent.

        Returns
        -------
        :
            [angstrom^2 times the square of the contrasts' unit].

        References
        ----------
        Porod, Kolloid-Z. 124, 83 (1951).
        """
        media = torch.cat([contrasts, torch.zeros_like(contrasts[:, :1])], dim=1)
        steps = [
            area * (media[:, one] - media[:, other]).abs().square()
            for (one, other), area in self.areas(lengths.unbind(-1)).items()
        ]
        return 2 * pi * torch.stack(steps).sum(0)

    def reach(self, lengths: Float[Tensor, "point length"]) -> Float[Tensor, "point"]:
        """Largest distance from the centre, or more: q times it bounds every phase [angstrom]."""
        return torch.stack(self.nested(lengths.unbind(-1))[-1]).square().sum(0).sqrt()

    def _nodes(self, q: Tensor, lengths: Tensor) -> tuple[Int[Tensor, "point"], Int[Tensor, "point"]]:
        """Counts of polar and azimuthal nodes of each point."""
        one = torch.ones(len(q), dtype=torch.long, device=q.device)
        if self.solid.symmetry in ("ball", "sheet"):
            return one, one
        reach = [self.solid.reach(size) for size in self.nested(lengths.detach().unbind(-1))]
        polar = nodes_for(q * torch.stack([along for along, _ in reach]).amax(0))
        if self.solid.symmetry == "revolution":
            return polar, one
        return polar, nodes_for(q * torch.stack([around for _, around in reach]).amax(0))

    def _amplitudes(self, q: Tensor, lengths: Lengths, towards: Directions) -> list[Tensor]:
        """Amplitudes of the regions, (point, node) each; of a sheet times the root of its average over orientation."""
        solids = [self.solid.amplitude(q, size, towards) for size in self.nested(lengths)]
        regions = self._differences(solids)
        return [(2 * pi) ** 0.5 / q * region for region in regions] if self.is_sheet else regions

    def _differences(self, solids: list[Tensor]) -> list[Tensor]:
        """Each solid less the one within it; the innermost itself, unless it is solvent."""
        outer = [solid - within for within, solid in pairwise(solids)]
        return outer if self.hollow else [solids[0], *outer]


def _averages(
    amplitudes: list[Tensor], weight: Float[Tensor, "node"] | Float[Tensor, "point node"]
) -> Float[Tensor, "point column"]:
    """Weighted sums over nodes: products by rows of the upper triangle, then the amplitudes themselves."""
    if weight.ndim == 1:
        pairs = [one * other for place, one in enumerate(amplitudes) for other in amplitudes[place:]]
        return torch.stack([column @ weight for column in [*pairs, *amplitudes]], dim=1)
    weighted = [amplitude * weight for amplitude in amplitudes]
    sums = [(one * other).sum(1) for place, one in enumerate(weighted) for other in amplitudes[place:]]
    return torch.stack([*sums, *(one.sum(1) for one in weighted)], dim=1)
