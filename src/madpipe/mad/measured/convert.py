"""A beamline's files to one checked stack: energies joined and sorted, f', f'' and f0 put in, nothing measured lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from madpipe.base.errors import InputError
from madpipe.base.warned import keeping, warn
from madpipe.mad.anomalous import NEAR_EDGE, is_near_edge
from madpipe.mad.config import MeasuredSample
from madpipe.mad.measured.axes import with_plain_axes
from madpipe.mad.measured.checks import checked_points, checked_scales
from madpipe.mad.measured.energies import check_distinct, energies_in_ev
from madpipe.mad.measured.readers import read
from madpipe.mad.measured.readers.arrays import AXES, Fields
from madpipe.mad.measured.readers.join import join_arrays, join_lists
from madpipe.mad.measured.readers.reflections import ReflectionList
from madpipe.mad.measured.scales import with_exposures
from madpipe.mad.measured.spectrum import dispersion_in, tell_of_table
from madpipe.mad.measured.transfer import with_detector_axes, with_form_factor
from madpipe.mad.records import Stack, sorted_by_energy
from madpipe.mad.records.numbers import check_fields
from madpipe.physics.atoms import edge_energy

CHANTLER = "Chantler (xraydb)"
_OFFSETS = 10.0  # eV; how far a refined offset may move the energies along a measured spectrum


@keeping
def convert(sample: MeasuredSample, name: str = "") -> Stack:
    """Read a measured sample's files and make a stack of them.

    Parameters
    ----------
    sample:
        Files, one with every energy or one per energy; element and edge; where f', f'' come from: the values given,
        else the spectrum named, else the file's own, else Chantler's table.
    name:
        Name of the sample; the first file's, if empty.

    Returns
    -------
    :
        Energies in rising order. Lists of reflections become one entry per Friedel mate, masked where a file does
        not have it. Lists that are not on one scale get relative exposures, unless ``sample.monitor`` says otherwise
        (:func:`madpipe.mad.measured.scales.with_exposures`).

    Warns
    -----
    DataWarning
        What :mod:`madpipe.mad.measured.checks`, ``axes`` and ``energies`` see in the data. All energies on one side of
        the edge; energies within 15 eV of it with a table of the free atom. Neither where f', f'' are to be refined:
        there, the energies may be nominal.

    Raises
    ------
    InputError
        What a reader or :func:`madpipe.mad.records.check_stack` refuses, files that do not fit together, no element,
        no energies, no f0.
    """
    values, is_list = _read(sample)
    exposures = values.pop("exposures", None)
    if exposures is not None:
        mean = float(np.mean(exposures))
        values.setdefault("monitor", exposures / mean if mean > 0 else exposures)
    if sample.monitor is not None:
        values["monitor"] = np.asarray(sample.monitor)
    if sample.q_bragg is not None:
        values.setdefault("q_bragg", np.asarray(sample.q_bragg))
    _check_monitor(values)
    values |= _spread(values)
    check_fields(values)
    element, edge = _resonance(sample, values)
    values |= {"element": element, "edge": edge}
    if element:
        known = sample.f_prime is not None or "f_prime" in values
        values["energy"] = energies_in_ev(values["energy"], element, edge, known_dispersion=known)
    values.setdefault("title", f"{len(values['energy'])} energies from {', '.join(Path(p).name for p in sample.path)}")
    values = with_plain_axes(with_detector_axes(values))
    values = checked_points(values, sample.counts_per_unit, sample.mask_hot)
    values |= _dispersion(sample, values)
    values = with_form_factor(values, sample.f0)
    if is_list:
        known = "dispersion" not in sample.refine
        values = with_exposures(values, separate=len(sample.path) > 1, known_dispersion=known)
    values["name"] = name or values.get("name") or Path(sample.path[0]).stem
    stack = Stack(**_with_axes(sorted_by_energy(values)))
    checked_scales(stack)
    if element and "dispersion" not in sample.refine:
        check_distinct(stack.energy)
        _warn_of_energies(stack)
        if sample.spectrum is None:
            tell_of_table((stack.f_prime, stack.f_double_prime), stack.energy, stack.element, stack.edge)
    return stack


def _read(sample: MeasuredSample) -> tuple[Fields, bool]:
    """What the files hold, joined, and whether that is lists of reflections; nothing else keeps their arrays."""
    parts = [part for path in sample.path for part in read(path, sample.dataset, sample.energy_path)]
    lists = [part for part in parts if isinstance(part, ReflectionList)]
    arrays = [part for part in parts if not isinstance(part, ReflectionList)]
    if lists and arrays:
        raise InputError("Files of one kind are required; lists of reflections and arrays came; convert them apart.")
    values = join_lists(lists, sample.energies_ev) if lists else join_arrays(arrays, sample.energies_ev)
    return values, bool(lists)


def _check_monitor(values: Fields) -> None:
    """The monitor and its error have one value per energy."""
    count = len(values["energy"])
    for name in ("monitor", "monitor_sigma"):
        if name in values and np.shape(values[name]) != (count,):
            raise InputError(
                f"{name} must have one value per energy ({count}); it has shape {np.shape(values[name])}; "
                "give as many as there are energies, in the same order."
            )


def _spread(values: Fields) -> Fields:
    """Background and errors that are one number, a number per energy, or one frame for all energies, for every point.

    A shape that could be either of the last two is refused as any other.
    """
    shape = np.shape(values["data"])
    each = (shape[0],) + (1,) * (len(shape) - 1)
    spread: Fields = {}
    for name in ("background", "data_errors"):
        given = np.shape(values[name]) if name in values else shape
        if given != shape:
            is_each, is_frame = given == shape[:1], given == shape[1:]
            if given in ((), (1,)) or (is_frame and not is_each):
                spread[name] = np.broadcast_to(values[name], shape)
            elif is_each and not is_frame:
                spread[name] = np.broadcast_to(np.reshape(values[name], each), shape)
            else:
                raise InputError(
                    f"{name} must have the shape of data {shape}, of one energy {shape[1:]}, a value per energy or one "
                    f"in all; it has {given}; convert it."
                )
    return spread


def _resonance(sample: MeasuredSample, values: Fields) -> tuple[str, str]:
    """Element and edge of the sample, which the files must not contradict; empty where f', f'' need neither."""
    for key, given in (("element", sample.element), ("edge", sample.edge)):
        if given and values.get(key, given) != given:
            raise InputError(
                f"{key} must be the file's, {values[key]!r}; {given!r} is asked for; leave it out, or take other files."
            )
    element = sample.element or values.get("element")
    if not element:
        if all(getattr(sample, name) is not None or name in values for name in ("f_prime", "f_double_prime")):
            return "", ""
        raise InputError(
            "The resonant element is required; neither the configuration nor the file names it, and f', f'' are not "
            "given; add element: Ni, or --element Ni."
        )
    edge = sample.edge or values.get("edge", "K")
    try:
        edge_energy(element, edge)
    except ValueError as error:
        raise InputError(f"{error}.") from error
    return element, edge


def _dispersion(sample: MeasuredSample, values: Fields) -> Fields:
    """f', f'' and where they come from: the configuration, the file, a spectrum, or Chantler's table."""
    energy = values["energy"]
    if sample.align_edge is not False and sample.spectrum is None:
        raise InputError("align_edge (--align-edge) needs an absorption spectrum to shift; none came; add --spectrum.")
    to_refine = "; to be refined" if "dispersion" in sample.refine else ""
    if sample.f_prime is not None or sample.f_double_prime is not None:
        pair = _both(sample.f_prime, sample.f_double_prime, "the configuration", len(energy))
        return _as_fields(pair, f"values given in the configuration{to_refine}")
    if sample.spectrum is not None:
        around = np.union1d(energy, np.arange(energy.min() - _OFFSETS, energy.max() + _OFFSETS, 0.25))
        pair = dispersion_in(
            sample.spectrum, values["element"], values["edge"], torch.as_tensor(around), sample.align_edge
        )
        curve = [part.numpy() for part in pair]
        here = np.searchsorted(around, energy)
        shifted = ", its edge aligned" if sample.align_edge is not False else ""
        origin = f"absorption spectrum {Path(sample.spectrum).name}{shifted}, Kramers-Kronig{to_refine}"
        known = dict(zip(("spectrum_f_prime", "spectrum_f_double_prime"), curve, strict=True))
        return {**_as_fields([part[here] for part in curve], origin), "spectrum_energy": around, **known}
    if "f_prime" in values or "f_double_prime" in values:
        pair = _both(values.get("f_prime"), values.get("f_double_prime"), "the file", len(energy))
        return _as_fields(pair, values.get("table", "values in the file") + to_refine)
    table = dispersion_in(None, values["element"], values["edge"], torch.as_tensor(energy))
    nominal = " at the energies of the configuration" if to_refine and sample.energies_ev else ""
    return _as_fields([part.numpy() for part in table], f"{CHANTLER}{nominal}{to_refine}")


def _as_fields(pair: Sequence[Any], table: str) -> Fields:
    """Fields of a stack that hold f', f'' and their origin."""
    f_prime, f_double_prime = (np.asarray(part, dtype=float) for part in pair)
    return {"f_prime": f_prime, "f_double_prime": f_double_prime, "table": table}


def _both(f_prime: Any, f_double_prime: Any, where: str, count: int) -> tuple[Any, Any]:
    """Give f' and f'' where both came, one for each energy."""
    came = [0 if part is None else np.size(part) for part in (f_prime, f_double_prime)]
    if came != [count, count]:
        raise InputError(
            f"f' and f'' are required together, {count} of each; {where} gives {came[0]} and {came[1]}; "
            "add what is missing, or leave both out to take a table's."
        )
    return f_prime, f_double_prime


def _with_axes(values: Fields) -> Fields:
    """Number the entries of a list; put pixel numbers where a frame or volume comes without q, and say so."""
    ndim = np.ndim(values["data"]) - 1
    is_list = "friedel_sign" in values or "miller_indices" in values or (ndim == 1 and "qx" not in values)
    if (ndim != 1 and is_list) or not 1 <= ndim <= len(AXES):
        raise InputError(
            f"intensity must be (energy, qy, qx), (energy, qz, qy, qx), or (energy, reflection) with friedel_sign; "
            f"it is {np.shape(values['data'])}; reshape it."
        )
    if is_list:
        _check_mates(values)
        return {**values, "reflection": np.arange(np.shape(values["data"])[1])}
    shape = dict(zip(AXES[-ndim:], np.shape(values["data"])[1:], strict=True))
    missing = {axis: np.arange(size, dtype=float) - size // 2 for axis, size in shape.items() if axis not in values}
    if missing:
        warn(
            f"{', '.join(missing)} [1/angstrom] did not come with the intensities: pixel numbers stand there, and "
            "lengths in real space will not be in angstrom; the fit does not need them",
        )
        values = {**values, "title": f"{values['title']} ({', '.join(missing)} in pixels)"}
    return {**values, **missing}


def _check_mates(values: Fields) -> None:
    """friedel_sign and Miller indices have one entry per reflection."""
    count = np.shape(values["data"])[1]
    sign, indices = values.get("friedel_sign"), values.get("miller_indices")
    if sign is not None and (np.shape(sign) != (count,) or not np.isin(sign, (1, -1)).all()):
        raise InputError(f"friedel_sign must be +1 or -1 for each of the {count} reflections; mend it.")
    if indices is not None and np.shape(indices) != (count, 3):
        raise InputError(f"miller_indices must be ({count}, 3); they are {np.shape(indices)}; mend them.")


def _warn_of_energies(stack: Stack) -> None:
    """Say what the energies leave undetermined or uncertain."""
    edge, name = edge_energy(stack.element, stack.edge), f"{stack.element} {stack.edge} edge"
    if stack.energy.max() < edge:
        warn(
            f"all energies lie below the {name} at {edge:.1f} eV, where f'' is small: the hand, the sign of Delta_phi, "
            "is undetermined; measure above the edge too",
        )
    elif stack.energy.min() > edge:
        warn(
            f"all energies lie above the {name} at {edge:.1f} eV, where f', f'' change together: |F_A| and the hand, "
            "the sign of Delta_phi, are badly determined; measure below the edge too",
        )
    near = [energy for energy in stack.energy if is_near_edge(float(energy), edge)]
    if len(near) and stack.table.startswith(CHANTLER):
        warn(
            f"{len(near)} of {len(stack.energy)} energies lie within {NEAR_EDGE:g} eV of the {name} at {edge:.1f} eV, "
            "where the free atom's f', f'' are least certain and R cannot tell; take them from the sample's own "
            "absorption spectrum",
        )
