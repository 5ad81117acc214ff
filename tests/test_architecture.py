"""The house's rules that a reader cannot check by eye: who imports whom, and what no file under src may hold.

The floors: a study (mad) stands on physics and base, which do not know each other, and knows no other study. Modules
directly in the package (studies, config, verify, cli) and the commands stand above the studies; the workflow and its
scripts stand outside.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

import madpipe
from madpipe.base.provenance import closure, imports, module_path
from madpipe.studies import STUDIES

PACKAGE = Path(madpipe.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [".".join(("madpipe", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in FILES]
MODULES = [module.removesuffix(".__init__") for module in MODULES]
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
ABOVE = {"", "commands"}  # the studies; "" are the modules directly in the package
MAY_IMPORT = {"base": {"base"}, "physics": {"physics"}, **{floor: {*FOLDERS, ""} for floor in ABOVE}}
ROOT = PACKAGE.parents[1]
BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def floor_of(module):
    """Second word of a module's name where that is a folder; the modules above all floors have none."""
    words = module.split(".")
    return words[1] if len(words) > 1 and words[1] in FOLDERS else ""


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(path, *kinds):
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]


def imported(path):
    """Every module named in an import, whether of the package or not."""
    for node in nodes(path, ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_there_is_something_to_test():
    assert {"madpipe.base.store", "madpipe.physics.fourier", "madpipe.mad.forward"} <= set(MODULES)
    assert all(module_path(module).is_file() for module in MODULES)


def broken(rule):
    """What each file says against a rule, by its path; a rule gives nothing for a file that follows it."""
    said = {str(path.relative_to(PACKAGE)): rule(path) for path in FILES}
    return {path: against for path, against in said.items() if against}


@pytest.mark.parametrize("floor", sorted({floor_of(module) for module in MODULES}))
def test_imports_point_downwards(floor):
    allowed = MAY_IMPORT.get(floor, {"base", "physics", floor})  # a study: base, physics and itself
    reached = {module: imports(module) - {"madpipe"} for module in MODULES if floor_of(module) == floor}
    upwards = {
        module: sorted(name for name in names if floor_of(name) not in allowed) for module, names in reached.items()
    }
    assert {module: names for module, names in upwards.items() if names} == {}


def stage_of(module):
    """Study and stage: a folder or a file directly in the study's own."""
    return ".".join(module.split(".")[1:3])


@pytest.mark.parametrize("study", [study.name for study in STUDIES])
def test_stages_of_a_study_import_in_one_direction(study):
    """Each folder, and each file beside them, counts as one: none that another stands on stands on that one too."""
    of_study = {module for module in MODULES if module.startswith(f"madpipe.{study}.")}
    below = {stage_of(module): set() for module in of_study}
    for module in of_study:
        below[stage_of(module)] |= {stage_of(name) for name in imports(module) & of_study} - {stage_of(module)}
    while free := {stage for stage, others in below.items() if not others}:
        below = {stage: others - free for stage, others in below.items() if stage not in free}
    assert below == {}


def test_nothing_in_the_package_knows_snakemake():
    def rule(path):
        names = [name for name in imported(path) if name.split(".")[0] == "snakemake"]
        return names + [node.lineno for node in nodes(path, ast.Name) if node.id == "snakemake"]

    assert broken(rule) == {}


def test_only_fourier_transforms():
    """One sign and one centre: torch.fft is called in physics/fourier.py, no other library's transform anywhere."""

    def rule(path):
        attributes = [node.lineno for node in nodes(path, ast.Attribute) if node.attr == "fft"]
        return attributes + [name for name in imported(path) if "fft" in name.split(".")]

    found = broken(rule)
    assert set(found) == {"physics/fourier.py"}
    assert all(isinstance(line, int) for line in found["physics/fourier.py"]), "a transform is imported"


def test_imports_are_absolute_and_at_the_top():
    """But those of a command, whose help answers before anything is loaded."""

    def rule(path):
        if path.parent.name == "commands" or path == PACKAGE / "cli.py":
            return [node.lineno for node in nodes(path, ast.ImportFrom) if node.level]
        top = [node.lineno for node in tree_of(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
        everywhere = nodes(path, ast.Import, ast.ImportFrom)
        return [node.lineno for node in everywhere if getattr(node, "level", 0) or node.lineno not in top]

    assert broken(rule) == {}


STUDIES_RULES = [
    (study.name, path) for study in STUDIES for path in (ROOT / "workflow" / "rules").glob(f"{study.name}*.smk")
]


@pytest.mark.parametrize(("study", "path"), STUDIES_RULES, ids=lambda value: getattr(value, "name", value))
def test_what_the_rules_of_a_study_define_bears_its_name(study, path):
    """All rules share one namespace: another study's names, and the house's, are not taken by accident."""
    defined = re.findall(r"^(?:(?:rule|def|class) )?(\w+)(?= = |\(.*\):$|:$)", path.read_text(), re.MULTILINE)
    loops = re.findall(r"^for (\w+(?:, \w+)*) in ", path.read_text(), re.MULTILINE)
    defined += [name for names in loops for name in names.split(", ")]
    own = [name for name in defined if name != "include" and name.lower() != study]
    assert own
    assert [name for name in own if not name.lower().startswith(f"{study}_")] == []


RULES = [
    found
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for found in re.findall(r"^ *rule ?(\w*):\n(.*?)(?=^ *rule ?\w*:|\Z)", path.read_text(), re.DOTALL | re.MULTILINE)
]
OF_EVERY_JOB = {"madpipe", "madpipe.base", "madpipe.base.runtime", "madpipe.base.provenance"}  # they make no number


@pytest.mark.parametrize(("name", "body"), RULES, ids=lambda value: value.split("\n")[0][:40])
def test_the_code_that_a_script_runs_is_in_its_rule_s_fingerprint(name, body):
    """Else an edit of it reruns nothing; what a script names only at run time, by study, its rules name themselves."""
    script = re.search(r"scripts/(\w+\.py)", body)
    if script is None:
        pytest.skip("the rule runs no script")
    modules = set(re.findall(r'"(madpipe[\w.]*)"', body[body.index("code=fingerprint(") :]))
    named = {name for name in imported(ROOT / "workflow" / "scripts" / script[1]) if name.split(".")[0] == "madpipe"}
    run = {module for module in named if module_path(module).is_file()}
    assert run - set(closure(*modules)) - OF_EVERY_JOB == set()


def test_every_study_has_what_the_house_asks_of_it():
    names = [study.name for study in STUDIES]
    assert len(set(names)) == len(names)
    for study in STUDIES:
        assert (ROOT / "workflow" / "rules" / f"{study.name}.smk").is_file()
        assert (ROOT / "docs" / f"{study.name}.md").is_file() or study.name == "mad"  # its pages are the first ones
        assert (ROOT / "tests" / study.name).is_dir()
        assert f"madpipe.commands.{study.name}" in MODULES
        assert study.weights.is_file() == study.ships_weights
        assert study.record_types()
        checks = importlib.import_module(f"madpipe.{study.name}.scores.checks")  # the report's first page asks it
        assert callable(checks.checks_of_file)
        assert callable(checks.said_of_file)


def undocumented(body, prefix=""):
    """Public functions, classes and methods without a docstring; what a function defines inside is its own affair."""
    for node in body:
        if isinstance(node, BLOCKS) and not node.name.startswith("_"):
            if ast.get_docstring(node) is None:
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node.body, f"{prefix}{node.name}.")


def test_whatever_is_public_has_a_docstring():
    def rule(path):
        tree = tree_of(path)
        return ["the module"] * (not ast.get_docstring(tree)) + list(undocumented(tree.body))

    assert broken(rule) == {}


def test_a_file_holds_one_screenful_of_ideas():
    """300 lines are a reason to think again, 400 to make a folder of the same name."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert broken(lambda path: lines[path] if lines[path] > 400 else 0) == {}


def test_a_function_is_short():
    """40 lines of body, without its docstring, are a reason to think again, 60 to split it."""

    def rule(path):
        return [node.name for node in nodes(path, ast.FunctionDef, ast.AsyncFunctionDef) if length(node) >= 60]

    assert broken(rule) == {}


def length(node):
    """Lines of a function's body from its first to its last, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return body[-1].end_lineno - body[0].lineno if body else 0


def test_errors_are_raised_and_not_swallowed():
    """No assert, which -O removes; a handler for every exception passes it on."""

    def rule(path):
        asserts = [node.lineno for node in nodes(path, ast.Assert)]
        return asserts + [handler.lineno for handler in nodes(path, ast.ExceptHandler) if swallows(handler)]

    assert broken(rule) == {}


def swallows(handler):
    """Whether it catches every exception and does not end by raising one."""
    caught = ast.unparse(handler.type) if handler.type else "BaseException"
    return caught in {"Exception", "BaseException"} and not isinstance(handler.body[-1], ast.Raise)


def test_a_file_is_named_after_what_is_in_it():
    assert broken(lambda path: path.stem in {"utils", "util", "helpers", "helper", "misc", "common"}) == {}
