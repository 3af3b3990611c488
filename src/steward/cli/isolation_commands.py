"""The command line under attack: every command that speaks to a server, run with one workspace's key and the other's ids."""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from enum import Enum
from typing import Any, Final

import typer

from steward.identity import Role
from steward.isolation.attack import look
from steward.isolation.compare import neutral
from steward.isolation.report import DoorKind, Kind, Report
from steward.isolation.tenant import Tenant
from steward.isolation.values import Holdings, Strangers
from steward.tenancy import TENANCIES

_SENTENCE: Final = "list the files"
_FLAGS: Final = frozenset({"as_json", "yes"})
"""Given wherever they are taken."""
_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "PLAN": ("plan",),
    "JOB": ("job",),
    "APPROVAL": ("appr", "apr"),
    "KEY": ("key",),
    "WORKSPACE": ("workspace_id",),
    "ACTOR": ("actor_id",),
    "MEMBER": ("actor_id",),
    "NAME": ("name",),
}
"""Kinds of values by what the help calls an argument."""


def commands() -> Iterator[tuple[tuple[str, ...], Any, str | None]]:
    """Yield every command with its words and the tenancy that it declares."""
    from steward.cli.app import app

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, str | None]]:
        children = getattr(command, "commands", None)
        if children is None:
            declared = getattr(command.callback, "tenancy", None)
            yield words, command, declared if declared in TENANCIES else None
            return
        for name, child in children.items():
            yield from below(child, (*words, name))

    yield from below(typer.main.get_command(app), ())


def attack_commands(url: str, victim: Tenant, attacker: Tenant, strangers: Strangers, report: Report) -> None:
    """Run every command about a workspace with the victim's ids and with their strangers, and compare what they print."""
    theirs_alone = {value for kinds in _IDS.values() for kind in kinds for value in victim.holdings.of(kind)}
    theirs_alone = {value for value in theirs_alone if not attacker.holdings.holds(value)}
    for words, command, tenancy in commands():
        name = " ".join(("steward", *words))
        door = report.door(DoorKind.COMMAND, name, tenancy)
        if tenancy not in {"workspace", "shared"}:
            door.attacks += tenancy is not None  # it works on this machine, with nobody's key
            continue
        with _as(url, attacker.tokens[Role.ADMIN]):
            for foreign in _ways(command, victim.holdings):
                unknown = [strangers.of(part) if part in theirs_alone else part for part in foreign]
                victim.canaries.burn(" ".join(foreign))
                mine, theirs = _run([*words, *foreign]), _run([*words, *unknown])
                door.attacks += 1
                report.compared += 1
                look(report, victim, name, mine)
                if foreign != unknown and _without(mine, foreign) != _without(theirs, unknown):
                    report.add(Kind.TELLS, name, "It says of a foreign value what it does not say of an unknown one.")


def _ways(command: Any, holdings: Holdings) -> Iterator[list[str]]:
    """Yield ways to call a command: with what it usually takes, and with each option that takes an id."""
    usual: list[str] = []
    needed: list[str] = []
    options: list[list[str]] = []
    for parameter in command.params:
        value = _value(parameter, holdings)
        if parameter.param_type_name == "argument":
            usual.append(value)
            needed += [value] if parameter.required else []
        elif parameter.required:
            needed += [parameter.opts[0], value]
        elif parameter.name in _FLAGS:
            needed.append(parameter.opts[0])
        elif parameter.metavar in _IDS:
            options.append([parameter.opts[0], value])
    yield [*usual, *(part for part in needed if part not in usual)]
    for option in options:
        yield [*needed, *option]


def _value(parameter: Any, holdings: Holdings) -> str:
    for kind in _IDS.get(str(parameter.metavar), ()):
        if known := holdings.of(kind):
            return known[0]
    meant = parameter.type_descriptor.annotation
    return str(next(iter(meant)).value) if isinstance(meant, type) and issubclass(meant, Enum) else _SENTENCE


@contextmanager
def _as(url: str, token: str) -> Iterator[None]:
    """Let commands speak to a server with a key, with nobody at the keyboard."""
    before = {name: os.environ.get(name) for name in ("STEWARD_URL", "STEWARD_API_KEY")}
    stdin, argv = sys.stdin, sys.argv
    os.environ |= {"STEWARD_URL": url, "STEWARD_API_KEY": token}
    sys.stdin = io.StringIO()
    try:
        yield
    finally:
        sys.stdin, sys.argv = stdin, argv
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _run(arguments: list[str]) -> str:
    """Run one command as the installed program would; return its exit code and all that it printed."""
    from steward.cli.app import run

    printed = io.StringIO()
    sys.argv = ["steward", *arguments]
    code: Any = 0
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            run()
        except SystemExit as ended:
            code = ended.code
    return f"{code}\n{printed.getvalue()}"


def _without(printed: str, sent: list[str]) -> str:
    for part in sorted(sent, key=len, reverse=True):
        printed = printed.replace(part, "<sent>")
    return neutral(printed)
