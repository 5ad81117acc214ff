"""Several networks, or one network several times, asked together: the spread of their answers is part of the error."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from madpipe.mad.fit.belief import Belief
from madpipe.mad.fit.exact import covariance
from madpipe.mad.network.design.sums import Seen


class Committee(nn.Module):
    """Members of one design and one training prior, whose r^2 are the same.

    Parameters
    ----------
    members:
        Networks in evaluation mode, or one several times, its dropout left on (Monte-Carlo dropout).
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.reach = members[0].reach

    def forward(self, seen: Seen) -> list[tuple[Belief, Tensor]]:
        """Mean of the members' means; mean of their covariances and the covariance of their means."""
        answers = [member(seen)[-1] for member in self.members]
        means = torch.stack([prediction.mean for prediction, _ in answers])
        mean = means.mean(0)
        off = means - mean
        spread = torch.stack([(off[:, i] * off[:, j]).mean(0) for i in range(3) for j in range(i, 3)])
        within = torch.stack([covariance(prediction.precision) for prediction, _ in answers]).mean(0)
        return [(Belief(mean, covariance(within + spread)), answers[0][1])]
