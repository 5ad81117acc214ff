"""The house's rules that a reader cannot check by eye: who imports whom, and what no file under src may hold.

The floors: a study (mad) stands on physics and base, which do not know each other. Modules directly in the package
(config, cli) stand above the studies; the workflow and its scripts stand outside.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

import madpipe
from madpipe.base.provenance import imports, module_path

PACKAGE = Path(madpipe.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [".".join(("madpipe", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in FILES]
MODULES = [module.removesuffix(".__init__") for module in MODULES]
MAY_IMPORT = {"base": {"base"}, "physics": {"physics"}}  # a study: base, physics and itself
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

every_module = pytest.mark.parametrize("module", MODULES)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


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


@every_module
def test_imports_point_downwards(module):
    floor = floor_of(module)
    allowed = MAY_IMPORT.get(floor, {"base", "physics", floor}) if floor else FOLDERS
    reached = {name for name in imports(module) if name != "madpipe"}
    assert {floor_of(name) for name in reached} <= allowed | ({""} if not floor else set()), sorted(reached)


@every_file
def test_nothing_in_the_package_knows_snakemake(path):
    assert [name for name in imported(path) if name.split(".")[0] == "snakemake"] == []
    assert [node.id for node in nodes(path, ast.Name) if node.id == "snakemake"] == []


@every_file
def test_only_fourier_transforms(path):
    """One sign and one centre: torch.fft is called in physics/fourier.py, no other library's transform anywhere."""
    attributes = [node.lineno for node in nodes(path, ast.Attribute) if node.attr == "fft"]
    names = [name for name in imported(path) if "fft" in name.split(".")]
    if path == PACKAGE / "physics" / "fourier.py":
        assert attributes
    else:
        assert (attributes, names) == ([], [])


@every_file
def test_imports_are_absolute_and_at_the_top(path):
    top = [node for node in tree_of(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    everywhere = nodes(path, ast.Import, ast.ImportFrom)
    assert [node.lineno for node in everywhere if getattr(node, "level", 0)] == []
    assert [node.lineno for node in everywhere] == [node.lineno for node in top]


def undocumented(body, prefix=""):
    """Public functions, classes and methods without a docstring; what a function defines inside is its own affair."""
    for node in body:
        if isinstance(node, BLOCKS) and not node.name.startswith("_"):
            if ast.get_docstring(node) is None:
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node.body, f"{prefix}{node.name}.")


@every_file
def test_whatever_is_public_has_a_docstring(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module has none"
    assert list(undocumented(tree.body)) == []


@every_file
def test_a_file_holds_one_screenful_of_ideas(path):
    """300 lines are a reason to think again, 400 to make a folder of the same name."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@every_file
def test_a_function_is_short(path):
    """40 lines of body, without its docstring, are a reason to think again, 60 to split it."""
    for node in nodes(path, ast.FunctionDef, ast.AsyncFunctionDef):
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        assert not body or body[-1].end_lineno - body[0].lineno < 60, node.name


@every_file
def test_errors_are_raised_and_not_swallowed(path):
    """No assert, which -O removes; a handler for every exception passes it on."""
    assert [node.lineno for node in nodes(path, ast.Assert)] == []
    for handler in nodes(path, ast.ExceptHandler):
        caught = ast.unparse(handler.type) if handler.type else "BaseException"
        if caught in {"Exception", "BaseException"}:
            last = handler.body[-1]
            assert isinstance(last, ast.Raise), f"line {handler.lineno} swallows {caught}"


@every_file
def test_a_file_is_named_after_what_is_in_it(path):
    assert path.stem not in {"utils", "util", "helpers", "helper", "misc", "common"}
