"""CUDA graphs: a function of tensors recorded once and replayed, where launching its kernels takes longer than they."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_WARM_UP = 3  # calls before the recording, in which libraries choose their kernels
Function = Callable[..., Sequence[Tensor]]


class Replayed:
    """A function that is recorded at its first call on a GPU, and called as it is elsewhere.

    Parameters
    ----------
    function:
        Of tensors, giving tensors; must wait for none of them. Arguments keep their shapes from call to call.
    restored:
        Gives the tensors that the function changes: the calls before the recording are undone.
    """

    def __init__(self, function: Function, restored: Callable[[], Sequence[Tensor]] = tuple) -> None:
        self.function, self.restored = function, restored
        self.graph: torch.cuda.CUDAGraph | None = None
        self.given: Sequence[Tensor] = ()
        self.found: Sequence[Tensor] = ()

    def __call__(self, *given: Tensor) -> list[Tensor]:
        """Give what the function gives."""
        if given[0].device.type != "cuda":
            return list(self.function(*given))
        if self.graph is None:
            self._record(given)
        for place, value in zip(self.given, given, strict=True):
            place.copy_(value)
        if self.graph is not None:
            self.graph.replay()
        return [one.clone() for one in self.found]

    def _record(self, given: Sequence[Tensor]) -> None:
        """Call the function a few times, record it, and put back what it changed."""
        self.given = [one.detach().clone() for one in given]
        before = {id(one): (one, one.detach().clone()) for one in self.restored()}
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it without types
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self.function(*self.given)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.found = list(self.function(*self.given))
        self.graph = graph
        with torch.no_grad():
            for one in self.restored():
                if id(one) in before:
                    one.copy_(before[id(one)][1])
                else:
                    one.zero_()
