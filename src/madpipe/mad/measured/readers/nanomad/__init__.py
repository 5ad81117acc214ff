r"""Text in the manner of NanoMAD: unit cell, f' and f'' per energy, and a line per reflection with real h k l.

No specification of NanoMAD's own files is public; this layout holds the same content and says itself what it holds.

Words are parted by blanks; blank lines and lines that start with # say nothing. The header has one keyword a line,
in any order::

    title   Ni3Fe core, run 12
    element Ni                     # the resonant one
    edge    K
    cell    3.524 3.524 3.524 90 90 90    # a b c [angstrom], alpha beta gamma [degree]
    energies 3                     # how many, then each with f' and f'' [eV, electron, electron]
    energy  8313 -5.794 0.514
    energy  8333 -9.047 2.086
    energy  8348 -6.042 3.848
    data 2                         # how many lines follow; the number may be left out
    1    1 1  1043 32.3   987 31.4  1101 33.2
    1.02 1 1  -1   -1      12  3.5  nan  nan

A line of the table is h k l, real numbers, then intensity [photon] and its standard error for every energy, in
the energies' order; or intensities alone, which then are counts. ``nan`` was not measured; nor was -1 where no
positive standard error says that it was, nor what has a standard error that is not positive. f' and f'' may be
left out at every energy, to be taken from a table or a spectrum. f0 is the resonant element's at the \|Q\| of
h k l and the cell. Optional are the texts ``name``, ``table``, ``chemical_formula`` and ``start_time``; ``monitor``
and ``monitor_sigma``, relative exposures and their errors; and ``columns``, which names what a line holds where that
is more: h k l, then friedel (+1; -1 for the mate at -h -k -l, which has its partner's indices), f0 [electron], then,
repeated for every energy, intensity, sigma, background [photon]. After # a line says nothing, but for texts other
than ``element`` and ``edge``.
"""

from madpipe.mad.measured.readers.nanomad.layout import is_nanomad
from madpipe.mad.measured.readers.nanomad.reading import read_nanomad
from madpipe.mad.measured.readers.nanomad.writing import write_nanomad

SUFFIXES = (".mad", ".nanomad")

__all__ = ["SUFFIXES", "is_nanomad", "read_nanomad", "write_nanomad"]
