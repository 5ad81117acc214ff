"""The fit of a stack's file to the file of its answer: what a rule, a command and a script of one's own call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from madpipe.base.files import require_apart
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.parts import gather
from madpipe.mad.fit.slabs import fit_by_slabs


def fit_file(
    path: str | Path,
    output: str | Path,
    config: FitConfig,
    refine: Sequence[str] = (),
    process: Mapping[str, str] | None = None,
    *,
    parts: Sequence[str | Path] = (),
    nuisance: str | Path | None = None,
) -> None:
    """Fit a stack's file and write the answer, whole or not at all, in memory that does not grow with the stack.

    Parameters
    ----------
    path, output:
        stack.h5 and fit.h5. What a run that was interrupted has done already lies beside the output.
    config, refine:
        As in :func:`madpipe.mad.fit.fit.fit_with_nuisances`. Nuisances of a stack that needs several slabs are refined
        on a sample of its rows (:func:`madpipe.mad.fit.slabs.sample_rows`).
    process:
        As in :func:`madpipe.base.store.write`.
    parts:
        Files of all parts of this fit, where other jobs made them (:func:`madpipe.mad.fit.parts.fit_part`): they are
        put together to the very bytes that one job would have written.
    nuisance:
        The nuisances of these parts, where there are any (:func:`madpipe.mad.fit.parts.refine_file`).

    Raises
    ------
    InputError
        The output is one of the inputs, the input is at fault, the disk has no room, another run is writing the same
        output, or the parts do not hold every point once.
    """
    require_apart(output, [path, *parts, *([] if nuisance is None else [nuisance])])
    if parts:
        gather(path, parts, output, config, nuisance, process)
    else:
        fit_by_slabs(path, output, config, refine, process)
