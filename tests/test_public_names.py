"""The shape of the code itself: what is public and documented, how large things are, and what tests may not do."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import steward.actions

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "steward").rglob("*.py"))
WRITTEN = [path for path in SOURCES if "migrations" not in path.parts]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
Function = ast.FunctionDef | ast.AsyncFunctionDef
_FORBIDDEN_MARKS = frozenset({"skip", "skipif", "xfail", "importorskip"})


def name_of(path: Path) -> str:
    """Return a path from the root of the repository."""
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yield every function of a module, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Yield public classes, functions and methods by their dotted name; overloads and nested functions are not public."""
    for node in body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def called(node: ast.AST) -> str:
    """Return the last name of what is called or used: ``sleep`` of ``asyncio.sleep``."""
    if isinstance(node, ast.Call):
        return called(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_the_actions_package_exports_what_an_author_needs() -> None:
    """``steward.actions`` offers the decorator, the roles, the catalogue and the loader, and nothing else by accident."""
    assert set(steward.actions.__all__) == {
        *("action", "Destination", "Amount", "Object", "Content", "Time", "Secret"),
        *("ActionCatalogue", "load_modules"),
    }
    assert [name for name in steward.actions.__all__ if not hasattr(steward.actions, name)] == []


@pytest.mark.parametrize("path", WRITTEN, ids=name_of)
def test_everything_public_has_a_docstring(path: Path) -> None:
    """Each module, and each public class, function and method in it, says what it is for."""
    tree = ast.parse(path.read_text())
    silent = [name for name, node in public(tree.body) if ast.get_docstring(node) is None]
    assert silent == []
    assert ast.get_docstring(tree) is not None


def test_no_file_is_long() -> None:
    """A file of the source or of the tests can be read in one sitting."""
    files = (*SOURCES, *TESTS)
    long = {name_of(path): lines for path in files if (lines := len(path.read_text().splitlines())) > MOST_LINES}
    assert long == {}


def test_no_function_is_long() -> None:
    """A function of the source fits on a screen."""
    long = {
        f"{name_of(path)}:{node.name}": lines
        for path in WRITTEN
        for node in functions(ast.parse(path.read_text()))
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


@pytest.mark.about_tests
@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests_neither_sleep_nor_skip_nor_mock(path: Path) -> None:
    """Tests wait for facts, run always, and meet the real thing."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and called(node) == "sleep":
            found.append(f"{node.lineno}: sleeps")
        if isinstance(node, ast.Attribute) and node.attr in _FORBIDDEN_MARKS:
            found.append(f"{node.lineno}: {node.attr}")
        if isinstance(node, ast.ImportFrom | ast.Import):
            modules = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            found += [f"{node.lineno}: imports {module}" for module in modules if "mock" in module.split(".")]
    assert found == []


@pytest.mark.about_tests
@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=name_of)
def test_every_test_does_something_and_says_what_must_be_true(path: Path) -> None:
    """Each test has a docstring, and either asserts or expects an exception, itself or in what it calls."""
    tests = [node for node in functions(ast.parse(path.read_text())) if node.name.startswith("test_")]
    assert tests
    assert [node.name for node in tests if ast.get_docstring(node) is None] == []
    idle = [node.name for node in tests if not any(isinstance(part, ast.Call) for part in ast.walk(node))]
    assert idle == []
