"""A configuration is refused with the key, what is required and the nearest key, or it is exactly what was written."""

import re
import subprocess
import sys
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Discriminator, Field, Tag, ValidationError

from madpipe import config as whole
from madpipe.base import config
from madpipe.base.config import Model
from madpipe.base.errors import InputError


class Beam(Model):
    """A section in an entry of a table."""

    width: float = Field(1.0, gt=0, description="width [angstrom]")
    slits: tuple[float, ...] = Field((), description="slits [angstrom]")


class Drawn(Model):
    """A thing made by the program."""

    photons: float = Field(1e8, gt=0, description="photons in all [photon]")
    beam: Beam = Field(Beam(), description="the beam")
    beams: tuple[Beam, ...] = Field((), description="further ones")
    sizes: tuple[float, ...] = Field((1.0, 2.5), description="sizes [angstrom]")
    note: str | None = Field(None, description="free text")


class Measured(Model):
    """A thing read from a file."""

    path: str = Field(description="the file")
    element: Literal["Ni", "No"] = Field("Ni", description="element; `No` is false in YAML 1.1")


class Checks(Model):
    """A section whose name is no Python name to use."""

    draws: int = Field(8, ge=1, description="draws")


def kind(value):
    return "measured" if (value.get("path") if isinstance(value, dict) else hasattr(value, "path")) else "drawn"


class Study(Model):
    """A section with a table of two kinds of entries."""

    samples: dict[
        str, Annotated[Annotated[Drawn, Tag("drawn")] | Annotated[Measured, Tag("measured")], Discriminator(kind)]
    ] = Field({}, description="samples by name")
    validate_: Checks = Field(Checks(), alias="validate", description="checks")
    energies: tuple[float, ...] = Field((8313.0, 8333.0, 8348.0), description="energies [eV]")


class Top(Model):
    """The whole."""

    seed: int = Field(1, description="seed")
    study: Study = Field(Study(), description="the study")


def every_model(model=Model):
    for child in model.__subclasses__():
        yield child
        yield from every_model(child)


# -- refusing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sed": 2}, "config key 'sed' is unknown; did you mean 'seed'?."),
        ({"study": {"energy": []}}, "config key 'study.energy' is unknown; did you mean 'energies'?."),
        ({"study": {"zzz": 1}}, "config key 'study.zzz' is unknown; known are energies, samples, validate."),
        ({"study": {"validat": {}}}, "config key 'study.validat' is unknown; did you mean 'validate'?."),
        ({"study": {"validate": {"draw": 1}}}, "config key 'study.validate.draw' is unknown; did you mean 'draws'?."),
        (
            {"study": {"samples": {"a": {"photon": 1}}}},
            "config key 'study.samples.a.photon' is unknown; did you mean 'photons'?.",
        ),
        (
            {"study": {"samples": {"measured": {"path": "x", "elment": "Ni"}}}},
            "config key 'study.samples.measured.elment' is unknown; did you mean 'element'?.",
        ),
    ],
)
def test_an_unknown_key_is_refused_naming_the_nearest(values, message):
    with pytest.raises(InputError) as caught:
        config.validate(Top, values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seed": "many"}, ["'seed'", "valid integer", "'many'"]),
        ({"study": None}, ["'study'", "None"]),
        ({"study": {"validate": {"draws": 0}}}, ["'study.validate.draws'", "greater than or equal to 1", "got 0"]),
        ({"study": {"energies": [1.0, "x"]}}, ["'study.energies.1'", "valid number", "'x'"]),
        ({"study": {"energies": [float("nan")]}}, ["'study.energies.0'", "finite", "nan"]),
        ({"study": {"samples": {"a": {"photons": -1}}}}, ["'study.samples.a.photons'", "greater than 0", "-1"]),
        ({"study": {"samples": {"a": 3}}}, ["'study.samples.a'", "got 3"]),
        ({"study": {"samples": {"a": {"path": "x", "element": "Fe"}}}}, ["'study.samples.a.element'", "'Ni'", "'Fe'"]),
    ],
)
def test_a_bad_value_is_refused_with_its_key_the_limit_and_what_came(values, words):
    with pytest.raises(InputError) as caught:
        config.validate(Top, values)
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match=r"config key 'path' is required; it is missing; add it"):
        config.validate(Measured, {"element": "Ni"})


def test_every_fault_is_told_at_once():
    with pytest.raises(InputError, match=r"'seed'.*; .*'study\.energies\.0'"):
        config.validate(Top, {"seed": "many", "study": {"energies": ["x"]}})


def test_a_model_is_frozen():
    top = Top()
    with pytest.raises(ValidationError, match="frozen"):
        top.seed = 2
    with pytest.raises(ValidationError, match="frozen"):
        top.study.validate_.draws = 2


# -- files and overlays ---------------------------------------------------------------------------------------


def test_read_yaml_gives_the_mapping(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 3\nstudy: {energies: [1, 2]}\n")
    assert config.read_yaml(tmp_path / "config.yaml") == {"seed": 3, "study": {"energies": [1, 2]}}


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "config.yaml").write_text("# nothing but a comment\n")
    assert config.read_yaml(tmp_path / "config.yaml") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "needs an existing configuration file"),
        (b"a: [1, 2\n", "needs valid YAML"),
        (b"a: \xff\xfe\n", "needs valid YAML"),
        (b"- 1\n- 2\n", "needs key: value pairs at the top; got list"),
    ],
)
def test_a_file_that_holds_no_mapping_is_refused_by_name(content, message, tmp_path):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"config\.yaml: {message}"):
        config.read_yaml(path)


def test_an_overlay_merges_mappings_replaces_the_rest_and_removes_with_null():
    base = {"seed": 1, "study": {"energies": [1, 2, 3], "samples": {"a": {"photons": 1}, "b": {}}}}
    overlay = {"study": {"energies": [4], "samples": {"a": {"note": "x"}, "b": None}}}
    merged = config.merge(base, overlay)
    assert merged == {"seed": 1, "study": {"energies": [4], "samples": {"a": {"photons": 1, "note": "x"}}}}
    assert base["study"]["samples"] == {"a": {"photons": 1}, "b": {}}


PLAIN = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(st.sampled_from("abc"), PLAIN, max_size=3)


@settings(deadline=None)
@given(base=TABLES, overlay=TABLES)
def test_an_overlay_laid_on_twice_is_as_laid_on_once(base, overlay):
    once = config.merge(base, overlay)
    assert config.merge(once, overlay) == once
    assert config.merge(base, {}) == base
    assert config.merge({}, overlay) == overlay


# -- writing --------------------------------------------------------------------------------------------------


def written_and_read(model):
    return config.validate(type(model), yaml.safe_load(config.to_yaml(model)))


# The tests run with denormal numbers flushed to zero.
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


@settings(deadline=None)
@given(
    seed=st.integers(),
    draws=st.integers(min_value=1),
    energies=st.lists(NUMBERS, max_size=3),
    photons=st.floats(min_value=1e-300, max_value=1e300),
    note=st.none() | st.text(),
    name=st.text(min_size=1, max_size=100),  # YAML takes 1024 characters as a key, ten for an escaped one
)
@example(seed=0, draws=1, energies=[], photons=1.0, note="\n", name="\n")
def test_what_is_written_reads_back_equal(seed, draws, energies, photons, note, name):
    beam, beams = {"slits": energies}, [{"width": photons}, {}]
    drawn = {"photons": photons, "note": note, "beam": beam, "beams": beams}
    samples = {name: drawn, "plain": {"beam": {}}, "p9": {"path": "w1.sca", "element": "No"}}
    study = {"energies": energies, "validate": {"draws": draws}, "samples": samples}
    top = config.validate(Top, {"seed": seed, "study": study})
    assert written_and_read(top) == top


def test_defaults_read_back_equal():
    assert written_and_read(Top()) == Top()
    assert written_and_read(whole.Config()) == whole.Config()


def test_every_field_is_written_below_its_description():
    lines = config.to_yaml(Top()).splitlines()
    assert lines[:2] == ["# seed", "seed: 1"]
    assert lines[lines.index("    # draws") + 1] == "    draws: 8"


@pytest.mark.parametrize("model", [model for model in every_model() if model.__module__ != __name__])
def test_every_field_is_described_and_a_float_has_a_unit(model):
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} has no description"
        unit_in_key = name.endswith(("_ev", "_angstrom")) or "photons" in name
        if "float" in str(field.annotation) and not unit_in_key:
            assert re.search(r"\[.+\]", field.description), f"{model.__name__}.{name} is a float without a unit"


def test_the_configuration_loads_without_what_takes_seconds_to_import():
    code = "import sys, madpipe.config; sys.exit(bool({'torch', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- files ------------------------------------------------------------------------------------------------------


class Several(Model):
    """Files of every kind of key, and text that is none."""

    path: tuple[config.InputFile, ...] = Field(description="files")
    note: str = Field("a word", description="no file")
    spectrum: config.InputFile | None = Field(None, description="one file or none")


def test_files_of_a_section_are_those_whose_type_says_so_in_the_order_of_its_keys():
    assert config.input_files(Several(path=("a", "b"), spectrum="s")) == {"path": ("a", "b"), "spectrum": ("s",)}
    assert config.input_files(Several(path=("a",))) == {"path": ("a",)}
    assert config.input_files(Drawn()) == {}


def test_other_paths_take_their_places():
    section = Several(path=("a", "b"), spectrum="s")
    assert config.with_files(section, ["/x/a", "/x/b", "/y/s"]) == Several(path=("/x/a", "/x/b"), spectrum="/y/s")
    assert config.with_files(Several(path=("a",)), ["/x/a"]) == Several(path=("/x/a",))


def test_a_value_is_looked_up_word_by_word():
    values = {"study": {"samples": {"a.b": {"refine": []}}}}
    assert config.value_at(values, ["study", "samples", "a.b", "refine"]) == []
    assert config.value_at(values, ["study", "samples", "c", "refine"]) is None


def test_plain_values_name_files_without_their_folders():
    """A result keeps them, and is to be read elsewhere; a configuration that is written out keeps the folders."""
    section = Several(path=("/here/a", "../b"), spectrum="/there/s", note="/a/word")
    assert config.plain(section) == {"path": ["a", "b"], "spectrum": "s", "note": "/a/word"}
    assert section.model_dump()["path"] == ("/here/a", "../b")
    assert "/there/s" in config.to_yaml(section)
