"""A test must reach the system: one that is empty, or only looks at its own dictionaries, fails like a wrong one.

While a test runs, this waits for the first of three things: a function of the system is called in this process, a
program of the system is started, or a file of the product (its documentation, its settings) is opened. The first ends
the waiting, so an honest test pays next to nothing. What a fixture did counts for its tests only if they share it,
such as a service that runs for a whole session.

Some tests need no call, because they hold a declaration against something: a table of transitions against a drawing, a
schema against an example. They must use a name that their module has from the system, directly or through a value or
a helper of that module.
"""

import ast
import inspect
import re
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parent.parent
SYSTEM: Final = ("steward", "chaos", "guard", "docs", "demo", "bench")
_SOURCES: Final = tuple(f"{ROOT / place}/" for place in ("src/steward", *SYSTEM[1:]))
_OWN: Final = tuple(f"{ROOT / place}/" for place in ("tests", ".venv", ".git", ".hypothesis", ".pytest_cache"))
_PRODUCT: Final = f"{ROOT}/"
_IMPORT: Final = re.compile(rf"\b(?:from|import) (?:{'|'.join(SYSTEM)})\b")
_shared = set[Any]()
"""Fixtures for more than one test whose making reached the system."""


@dataclass(slots=True)
class Witness:
    """Waits until the system is reached."""

    reached: bool = False

    def called(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a call, as ``sys.setprofile`` reports it."""
        if self.reached:
            sys.setprofile(None)
        elif event == "call" and frame.f_code.co_filename.startswith(_SOURCES):
            self.reached = True
            sys.setprofile(None)

    def audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note a program or a file, as an audit hook reports them."""
        if event == "subprocess.Popen":
            self.reached = self.reached or any(_names_the_system(word) for word in arguments[1])
        elif event == "open":
            path = arguments[0]
            if isinstance(path, str) and path.startswith(_PRODUCT) and not path.startswith(_OWN):
                self.reached = self.reached or not path.endswith(".pyc")


_waiting: Witness | None = None


def _names_the_system(word: object) -> bool:
    """Say whether a word of a command line is a program or a module of the system, or a script that imports one."""
    text = str(word)
    name = text.removeprefix(_PRODUCT)
    known = name.startswith(tuple(f"{place}/" for place in SYSTEM)) or Path(text).name.partition(".")[0] in SYSTEM
    return known or _IMPORT.search(text) is not None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _waiting is not None and not _waiting.reached and event in {"subprocess.Popen", "open"}:
        _waiting.audited(event, arguments)


sys.addaudithook(_audit)


@contextmanager
def witness() -> Iterator[Witness]:
    """Yield who waits for the system to be reached, by this thread or one that is started meanwhile."""
    global _waiting  # noqa: PLW0603 - an audit hook can be neither removed nor given anything
    outer, _waiting = _waiting, Witness()
    found = _waiting
    before = sys.getprofile()
    threading.setprofile(found.called)
    sys.setprofile(found.called)
    try:
        yield found
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type] - None is how it is switched off
        _waiting = outer


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Generator[None, Any, Any]:
    """Note whether making a shared fixture reached the system."""
    if fixturedef.scope == "function":
        return (yield)
    with witness() as found:
        made = yield
    if found.reached:
        _shared.add(fixturedef)
    return made


def _names_in(node: ast.AST) -> set[str]:
    """Return the names that a piece of code uses; those in annotations only describe."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return set().union(*(_names_in(part) for part in (*node.decorator_list, *node.body, *node.args.defaults)))
    if isinstance(node, ast.AnnAssign):
        return set() if node.value is None else _names_in(node.value)
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _bound_by(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module gives values to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


@cache
def _using_the_system(path: Path) -> frozenset[str]:
    """Return the names of a test module that come from the system, or are made with one that does."""
    known, body = set[str](), ast.parse(path.read_text()).body
    for node in body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in SYSTEM:
            known |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            known |= {found for alias in node.names if (found := alias.name.partition(".")[0]) in SYSTEM}
    before = -1
    while before != len(known):
        before = len(known)
        known |= set().union(*(_bound_by(node) for node in body if _names_in(node) & known))
    return frozenset(known)


def _holds_a_declaration(test: pytest.Function) -> bool:
    return test.originalname in _using_the_system(Path(inspect.getfile(test.function)))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Fail a test that passed without reaching the system."""
    with witness() as found:
        passed = yield
    fixtures = pyfuncitem._fixtureinfo.name2fixturedefs
    shared = any(made in _shared for several in fixtures.values() for made in several)
    about_tests = pyfuncitem.get_closest_marker("about_tests") is not None
    if not (found.reached or shared or about_tests or _holds_a_declaration(pyfuncitem)):
        pytest.fail("This test never reaches the system: it would pass whatever the code does.", pytrace=False)
    return passed
