"""Each shape and each statement has one home: what is spelt twice will one day be spelt differently."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from steward import action, event, ids, plan, workspace
from steward.database.tables import metadata

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for path in (ROOT / "src" / "steward").rglob("*.py") if "migrations" not in path.parts)
SHAPES = {
    "a workspace's id": (workspace._WORKSPACE_ID, "workspace.py"),
    "an action's id": (action._ACTION_ID, "action.py"),
    "an id": (ids._ID, "ids.py"),
    "an event's id": (event._EVENT_ID, "event.py"),
    "a step's id": (plan._STEP_ID, "plan.py"),
}
STATEMENTS = {Path(f"work_stores/sql/{name}statements.py") for name in ("", "limit_", "turn_", "moving_", "told_")}
SQL = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE)\s[\s\S]*\b(?:FROM|INTO|SET)\s", re.IGNORECASE)
MAKES_STATEMENTS = {"select", "insert", "update", "delete", "upsert"}


def place(path: Path) -> str:
    """Return a source file from the package on."""
    return str(path.relative_to(ROOT / "src" / "steward"))


@cache
def parsed(text: str) -> ast.Module:
    """Return a source file, parsed once."""
    return ast.parse(text)


@cache
def literals(text: str) -> tuple[str, ...]:
    """Return every text in a source file but its docstrings."""
    described, found = set[int](), list[str]()
    for node in ast.walk(parsed(text)):  # from the outside in: a docstring's owner comes before it
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            described.add(id(first.value) if isinstance(first, ast.Expr) else 0)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            found.append(node.value)
    return tuple(found)


def homes(shape: str) -> list[str]:
    """Return the files in which a text spells a shape, or most of it."""
    core = shape.removeprefix("^").removesuffix("$")
    return [place(path) for path in SOURCES if any(core in text for text in literals(path.read_text()))]


@pytest.mark.slow
@pytest.mark.parametrize("what", SHAPES)
def test_w149_the_shape_of_an_id_is_spelt_once(what: str) -> None:
    """In the module that it belongs to; everybody else asks that module."""
    shape, home = SHAPES[what]
    assert homes(shape.pattern) == [home]


def test_w149_no_pattern_is_compiled_in_two_places() -> None:
    """Two modules with one regular expression are two rules that will part."""
    found = defaultdict[str, list[str]](list)
    for path in SOURCES:
        for node in ast.walk(parsed(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "compile":
                for argument in node.args[:1]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        found[argument.value].append(place(path))
    assert {pattern: paths for pattern, paths in found.items() if len(paths) > 1} == {}
    assert len(found) > 20


def test_w149_the_work_stores_statements_have_one_home() -> None:
    """No other module of the engine makes or spells a statement about work."""
    spelt = []
    for path in SOURCES:
        inside, source = path.relative_to(ROOT / "src" / "steward"), path.read_text()
        spelt += [f"{inside}: {text[:60]}" for text in literals(source) if SQL.search(text) and _about_work(text)]
        if inside.is_relative_to("work_stores") and inside not in STATEMENTS:
            names = {node.id for node in ast.walk(parsed(source)) if isinstance(node, ast.Name)}
            spelt += [f"{inside}: {name}()" for name in sorted(names & MAKES_STATEMENTS)]
    assert spelt == []


def _about_work(text: str) -> bool:
    return any(re.search(rf"\b{table}\b", text) for table in metadata.tables)


def test_w149_only_the_rooms_that_keep_things_know_the_tables() -> None:
    """Nobody else imports them, so nobody else can write a statement about them; the doctor compares their columns."""
    allowed = (
        "database/",
        "work_stores/sql/",
        "directories/",
        "audit_logs/",
        "language_models/sql_budget.py",
        "cli/checks.py",
    )
    users = [
        place(path)
        for path in SOURCES
        for node in ast.walk(parsed(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "steward.database.tables"
    ]
    assert len(users) >= 2
    assert [user for user in users if not user.startswith(allowed)] == []
