"""The catalogue, and finding own actions by module and by entry point."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from steward.action import Action, ActionDefinition, Effect, ParameterRole, RetryMode
from steward.actions import ActionCatalogue, load_modules
from steward.actions.base import BuiltinAction, object_schema
from steward.actions.discovery import load_entry_points
from steward.errors import ConfigurationError

GOOD = '''
from typing import Annotated
from steward.actions import action, Content

@action("notes.{name}", effect="write")
def add(text: Annotated[str, Content]) -> str:
    """Add a note."""
    return text
'''


class Declared(BuiltinAction):
    """An action that is only a declaration."""

    def __init__(self, action_id: str = "notes.add", schema: Mapping[str, Any] | None = None, **extra: Any) -> None:
        """Declare it."""
        self.definition = ActionDefinition(
            id=action_id,
            title="Add",
            description="Add.",
            input_schema=schema if schema is not None else object_schema({"text": {"type": "string"}}, ()),
            effect=Effect.READ,
            retry=RetryMode.NONE,
            **extra,
        )

    async def run(self, params: Mapping[str, Any], context: Any) -> Any:
        """Do nothing."""
        return None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty current folder, on no import path yet; what tests import from it is forgotten after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_actions_are_found_by_id_and_listed_in_order() -> None:
    """``get`` matches the whole id only; ``definitions`` are sorted."""
    catalogue = ActionCatalogue()
    second, first = Declared("notes.b", enabled=False), Declared("notes.a")
    catalogue.add(second)
    catalogue.add(first)
    assert catalogue.get("notes.a") is first
    assert catalogue.get("notes.b") is second
    assert catalogue.get("notes.") is None
    assert catalogue.get("NOTES.A") is None
    assert [definition.id for definition in catalogue.definitions()] == ["notes.a", "notes.b"]


def test_a_duplicate_id_is_refused_with_both_origins() -> None:
    """The sentence names the id and where the two come from."""
    catalogue = ActionCatalogue()
    catalogue.add(Declared())
    with pytest.raises(ConfigurationError, match=r"'notes\.add'.*test_catalogue.*rename one"):
        catalogue.add(Declared())


@pytest.mark.parametrize(
    "name", ["", "add", "Notes.add", "notes.add\n", "notes.\u0430dd", "notes.a" + "a" * 100, "notes:*"]
)
def test_w51_a_malformed_id_is_refused(name: str) -> None:
    """``provider.name`` in lower case, the whole string."""
    with pytest.raises(ConfigurationError, match=r"provider\.name"):
        ActionCatalogue().add(Declared(name))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "additionalProperties": True},
        {"type": "array", "additionalProperties": False},
        {"type": "nonsense", "additionalProperties": False},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"pattern": "("}}, "maxProperties": -1},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"maximum": 2**60}}},
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused(schema: dict[str, Any]) -> None:
    """Open, malformed or not hashable: the plan check could not hold a step to it."""
    with pytest.raises(ConfigurationError, match=r"notes\.add"):
        ActionCatalogue().add(Declared(schema=schema))


def test_a_role_for_no_parameter_is_refused() -> None:
    """A misspelled role would leave its parameter without one."""
    with pytest.raises(ConfigurationError, match="txet"):
        ActionCatalogue().add(Declared(roles={"txet": ParameterRole.CONTENT}))


def test_modules_are_imported_and_their_actions_found(folder: Path) -> None:
    """From the current folder too; an action that two modules share counts once; classes and helpers do not count."""
    (folder / "one_actions.py").write_text(GOOD.format(name="one"))
    (folder / "package_x").mkdir()
    (folder / "package_x" / "__init__.py").touch()
    (folder / "package_x" / "two_actions.py").write_text(
        "from one_actions import add as again\nfrom steward.actions.compute import Compute\n" + GOOD.format(name="two")
    )
    found = load_modules(["one_actions", "package_x.two_actions"])
    assert [each.definition.id for each in found] == ["notes.one", "notes.two"]
    checked: tuple[Action, ...] = found
    assert callable(checked[0])
    assert load_modules([]) == ()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "cannot be found"),
        ("import no_such_package_here", "imports 'no_such_package_here'"),
        ("x = 1", "has no action"),
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("from steward.actions import action\n@action('bad', effect='read')\ndef f(): ...", "provider.name"),
    ],
)
def test_a_module_that_cannot_be_used_names_the_setting_and_the_way_out(
    folder: Path, source: str | None, says: str
) -> None:
    """One sentence: STEWARD_ACTIONS, the module, what is wrong."""
    if source is not None:
        (folder / "own_actions.py").write_text(source)
    with pytest.raises(ConfigurationError) as caught:
        load_modules(["own_actions"])
    assert "STEWARD_ACTIONS" in caught.value.detail
    assert "own_actions" in caught.value.detail
    assert says in caught.value.detail


@pytest.mark.parametrize("name", ["", "a b", "../notes", "notes.py;x", ".notes", "a..b", "a\n"])
def test_what_is_no_module_name_is_refused(name: str) -> None:
    """Nothing is imported under a name that is not a dotted identifier."""
    with pytest.raises(ConfigurationError, match="STEWARD_ACTIONS"):
        load_modules([name])


def install(folder: Path, entries: str) -> None:
    """Install a package into ``folder`` as pip would, with these entry points."""
    info = folder / "own_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[steward.actions]\n{entries}\n")
    sys.path.insert(0, str(folder))


def test_installed_packages_offer_actions(folder: Path) -> None:
    """An entry point names a module with actions or one action; each action counts once."""
    (folder / "offered_a.py").write_text(GOOD.format(name="a"))
    (folder / "offered_b.py").write_text(GOOD.format(name="b"))
    install(folder, "z = offered_a\na = offered_b:add\nagain = offered_b")
    assert [each.definition.id for each in load_entry_points()] == ["notes.b", "notes.a"]


@pytest.mark.parametrize(
    "entry", ["x = no_such_module_here", "x = offered_c:missing", "x = offered_c:GOOD", "x = offered_c"]
)
def test_a_broken_entry_point_names_its_package(folder: Path, entry: str) -> None:
    """The sentence says which package to mend or uninstall."""
    (folder / "offered_c.py").write_text("GOOD = 1")
    install(folder, entry)
    with pytest.raises(ConfigurationError, match=r"'x'.*own-package"):
        load_entry_points()
