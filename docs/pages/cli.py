"""The command line, from its commands and their help."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from pages.markdown import table
from steward.cli.app import app as cli

_INTRO = """# The command line

Tables and results go to standard output, progress and questions to standard error, so that output can be piped.
`--json` prints the server's own document instead of a table.

| Exit code | Meaning |
|---|---|
| 0 | Done. |
| 1 | It failed, or its outcome is unknown. |
| 2 | The command, a setting or the request was not usable as given. |
| 3 | Refused by policy. |
| 4 | Waiting for an approval. |
| 130 | Stopped with Ctrl-C. |
"""


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    subcommands = getattr(command, "commands", None)
    if subcommands:
        for name, child in subcommands.items():
            yield from _commands(child, (*path, name))
    else:
        yield path, command


def _usage(parameter: Any) -> tuple[str, str]:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name}`", getattr(parameter, "help", "") or ""
    return ", ".join(f"`{option}`" for option in parameter.opts), getattr(parameter, "help", "") or ""


def make() -> str:
    """Return the page."""
    parts = [_INTRO]
    for path, command in _commands(typer.main.get_command(cli), ("steward",)):
        text = (command.help or "").partition("Example:")[0]
        examples = re.findall(r"^Example: (.+)$", command.help or "", re.MULTILINE)
        shown = [f"\n## `{' '.join(path)}`\n", " ".join(text.split()) + "\n"]
        rows = [
            (what, meaning + ("" if parameter.required else _default(parameter)))
            for parameter in command.params
            if parameter.name not in {"help", "install_completion", "show_completion"}
            for what, meaning in [_usage(parameter)]
        ]
        if rows:
            shown.append(table(("Argument or option", "Meaning"), rows))
        shown.append("```sh\n" + "\n".join(examples) + "\n```\n")
        parts.append("\n".join(shown))
    return "\n".join(parts)


def _default(parameter: Any) -> str:
    default = parameter.default
    return "" if not default or callable(default) else f" Default: `{default}`."
