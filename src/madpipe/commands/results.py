"""Commands about any study's results and its configuration: info, verify, config."""

import argparse
import json
from pathlib import Path

from madpipe.base.errors import InputError
from madpipe.commands.options import PathWord


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the commands with their options."""
    info = commands.add_parser("info", help="what a file holds, who made it and how")
    info.add_argument("file", help="any result: HDF5, weights, scores, a table, a figure or its caption")
    help_hashes = "print the settings, the code, the inputs and versions with their hashes too"
    info.add_argument("--hashes", action="store_true", help=help_hashes)
    info.set_defaults(run=_info)
    verify = commands.add_parser("verify", help="which results and figures are stale, and why; status 1 if any is")
    verify.add_argument("folder", nargs="?", default="results")
    help_config = "compare with the default configuration and these overlays (default: with the folder's config.yaml)"
    verify.add_argument("--config", nargs="+", default=[], metavar="FILE", help=help_config)
    verify.set_defaults(run=_verify)
    config = commands.add_parser("config", help="print the default configuration, every key described")
    help_write = "write it and the overlays that are made from the studies into a folder instead"
    config.add_argument("--write", type=PathWord, metavar="FOLDER", help=help_write)
    config.set_defaults(run=_config)


def _info(arguments: argparse.Namespace) -> None:
    import h5py

    from madpipe.base import store
    from madpipe.base.origin import read_origin, weights_header
    from madpipe.commands.about import about, about_json

    path = Path(arguments.file)
    origin = read_origin(path)
    if not origin and not h5py.is_hdf5(path):
        raise InputError(f"{path}: needs a result of madpipe; it says nothing of its making; another program made it.")
    if path.suffix == ".json":
        print(*about_json(path), sep="\n")
    if h5py.is_hdf5(path):
        print(*about(path), "", sep="\n")
        store.tree(path, lambda name, description: print(f"/{name}: {description}"))
    if path.suffix == ".safetensors":
        print(json.dumps({**weights_header(path), "process": "below"}, indent=1, sort_keys=True))
    for name in ("program", "version", "date"):
        print(f"{name}: {origin.get(name, 'unknown')}")
    if "note_1" in origin and arguments.hashes:
        print(json.dumps(origin["note_1"], indent=1, sort_keys=True))
    elif "note_1" in origin:
        print("settings, code, inputs, versions: madpipe info --hashes")


def _verify(arguments: argparse.Namespace) -> int:
    from madpipe.verify import in_words, settings_of, verify

    folder = Path(arguments.folder)
    found, versions = verify(folder, settings_of(folder, arguments.config))
    print("\n".join(in_words(found, versions)))
    return int(any(one.reasons for one in found))


def _config(arguments: argparse.Namespace) -> None:
    from madpipe.base.store import whole_file
    from madpipe.config import written

    files = written()
    if arguments.write is None:
        print(files["config.yaml"], end="")
        return
    folder = Path(arguments.write)
    if not folder.is_dir():
        raise InputError(f"{folder}: needs an existing folder to write the configuration into; there is none; make it.")
    for name, content in files.items():
        with whole_file(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
