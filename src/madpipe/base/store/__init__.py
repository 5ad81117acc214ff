"""One record, one HDF5/NeXus file: written whole or not at all, read back with its axes and units checked.

A record is a frozen dataclass. Each field made with :func:`entry` says where it lives in the file and in
which unit; a field made with :func:`part` is a record of its own below a group. The record's
``nexus_groups()`` gives the attributes of the groups, so that a NeXus or CXI reader finds signal and axes.
Its ``row_axes(shapes)``, where it has one, says which arrays can be read a few rows at a time, along which axis.
"""

from madpipe.base.store.checked import attribute, plain, values
from madpipe.base.store.fields import Groups, entry, is_whole, part
from madpipe.base.store.reading import Record, holds, opened, read, read_process, root_attribute, text_at, tree
from madpipe.base.store.rows import Layout, layout, read_slabs
from madpipe.base.store.text import write_json
from madpipe.base.store.whole import room_for, whole_file
from madpipe.base.store.writing import add, hdf5_image, reserve, write, write_process

__all__ = [
    "Groups",
    "Layout",
    "Record",
    "add",
    "attribute",
    "entry",
    "hdf5_image",
    "holds",
    "is_whole",
    "layout",
    "opened",
    "part",
    "plain",
    "read",
    "read_process",
    "read_slabs",
    "reserve",
    "room_for",
    "root_attribute",
    "text_at",
    "tree",
    "values",
    "whole_file",
    "write",
    "write_json",
    "write_process",
]
