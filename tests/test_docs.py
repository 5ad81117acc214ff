"""The documents say what the code does: paths and units of files, names of inputs, words in the shapes."""

import dataclasses
import re
import tempfile
import textwrap
from collections import defaultdict
from pathlib import Path

import madpipe
from madpipe.base.config import read_yaml, validate
from madpipe.config import Config
from madpipe.mad.measured.readers import READERS
from madpipe.mad.measured.readers.arrays import _NPZ_KEYS
from madpipe.studies import STUDIES

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = "\n".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))  # a study has one of its own
SOURCES = sorted(Path(madpipe.__file__).parent.rglob("*.py"))
SHAPE = re.compile(r'\b(?:Float|Complex|Bool|Int|UInt8|Num|Shaped)\[\s*[\w.]+,\s*"([^"]*)"')


def datasets(record, prefix="/"):
    """(path, unit, optional) of every dataset that a record may write."""
    for field in (field for field in dataclasses.fields(record) if "path" in field.metadata):
        path = prefix + field.metadata["path"]
        if "record" in field.metadata:
            yield from datasets(field.metadata["record"], path + "/")
        else:
            yield path, field.metadata["unit"], field.metadata["optional"]


def test_the_pages_name_every_dataset_of_every_study_with_its_unit_and_no_other():
    rows = re.findall(r"^\| `(/\S+)` \| [^|]+ \| ([^|]*)\| ([^|]*)\|", PAGES, re.MULTILINE)
    told = {(path, unit.strip(), optional.strip() == "yes") for path, unit, optional in rows}
    for copy, of in re.findall(r"^`(/\S+)` holds the same as `(/\S+)`", PAGES, re.MULTILINE):
        told |= {(copy + path.removeprefix(of), *rest) for path, *rest in told if path.startswith(of + "/")}
    assert told == {row for study in STUDIES for record in study.record_types() for row in datasets(record)}


def test_format_md_names_every_input():
    words = set(re.findall(r"`([^` ]+)`", (DOCS / "format.md").read_text()))
    assert (set(_NPZ_KEYS) | set(READERS)) - words == set()


def test_the_pages_explain_the_words_that_shapes_share():
    """A word in the annotations of two files is a word of the house; `*`, `#`, `_` and numbers are no part of it."""
    files = defaultdict(set)
    for path in SOURCES:
        for shape in SHAPE.findall(path.read_text(encoding="utf-8")):
            for word in re.findall(r"[a-z]+(?![a-z0-9])", shape):
                files[word].add(path.name)
    shared = {word for word, where in files.items() if len(where) > 1}
    assert "energy" in shared
    tables = [part.partition("\n## ")[0] for part in PAGES.split("## Words in the shapes")[1:]]
    explained = {word for table in tables for word in re.findall(r"`([a-z]+)`(?=[^|]*\|)", table)}
    assert shared - explained == set()


def test_every_overlay_of_the_pages_is_a_configuration():
    """Indented blocks that begin with a study's name, as a reader copies them."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8") + "\n" + PAGES
    names = "|".join(study.name for study in STUDIES)
    blocks = re.findall(rf"^((?: {{4,}})(?:{names}):\n(?: {{5,}}.*\n|\n(?= {{5,}}))+)", text, re.MULTILINE)
    assert len(blocks) >= 2
    for block in blocks:
        validate(Config, read_yaml_text(textwrap.dedent(block)))


def read_yaml_text(text):
    """Read as the workflow does, which refuses a key that stands twice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.yaml")
        path.write_text(text, encoding="utf-8")
        return read_yaml(path)
