"""Finds own actions: modules named by STEWARD_ACTIONS, and installed packages that offer the entry point group."""

import importlib
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeGuard

from steward.action import Action, ActionDefinition
from steward.errors import ConfigurationError

GROUP: Final = "steward.actions"
_MAX_REASON_CHARS: Final = 300


def _is_action(value: Any) -> TypeGuard[Action]:
    """Say whether ``value`` is an action itself, not a class of actions."""
    return (
        not isinstance(value, type)
        and isinstance(getattr(value, "definition", None), ActionDefinition)
        and callable(getattr(value, "run", None))
    )


def _actions_of(loaded: Any) -> list[Action]:
    """Return the actions in a module, or the one action itself."""
    members = vars(loaded).values() if isinstance(loaded, ModuleType) else [loaded]
    return [member for member in members if _is_action(member)]


def _unique(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return the actions in order, each object once (a module may import another's)."""
    return tuple({id(action): action for action in actions}.values())


def _reason(error: BaseException) -> str:
    if isinstance(error, ConfigurationError):
        return error.detail
    return f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS]


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(
                f"STEWARD_ACTIONS names the module '{name}', which cannot be found: start Steward in the folder that "
                "holds it, install its package, or add its folder to PYTHONPATH."
            ) from error
        raise ConfigurationError(
            f"STEWARD_ACTIONS: the module '{name}' imports '{error.name}', which is not installed: install it."
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"STEWARD_ACTIONS: the module '{name}' cannot be imported; mend it or take it out. {_reason(error)}"
        ) from error


def load_modules(names: Iterable[str]) -> tuple[Action, ...]:
    """Import the modules and return the actions that stand at their top level, in order of definition.

    The current folder is searched last, so that ``STEWARD_ACTIONS=notes`` finds ``notes.py`` beside which Steward was
    started. Raises ``ConfigurationError`` naming STEWARD_ACTIONS, the module and what to do.
    """
    found: list[Action] = []
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigurationError(f"STEWARD_ACTIONS: {name[:100]!r} is not the dotted name of a Python module.")
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)
        actions = _actions_of(_import(name))
        if not actions:
            raise ConfigurationError(
                f"STEWARD_ACTIONS: the module '{name}' has no action: decorate a function with @action, or take it out."
            )
        found += actions
    return _unique(found)


def _load(entry_point: EntryPoint) -> list[Action]:
    package = entry_point.dist.name if entry_point.dist else "an unknown package"
    where = f"The entry point '{entry_point.name}' in group {GROUP} of the package '{package}'"
    try:
        loaded = entry_point.load()
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{where} cannot be loaded; mend or uninstall it. {_reason(error)}") from error
    actions = _actions_of(loaded)
    if not actions:
        raise ConfigurationError(f"{where} is neither an action nor a module with actions.")
    return actions


def load_entry_points() -> tuple[Action, ...]:
    """Return the actions of installed packages: each entry point names an action or a module with actions.

    In order of the entry points' names. Raises ``ConfigurationError`` naming the entry point and its package.
    """
    ordered = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    return _unique(action for point in ordered for action in _load(point))
