"""What people see: tables that fit 80 columns, colour on terminals only, and nothing that could drive the terminal.

Data goes to standard output; progress, questions and complaints go to standard error. Texts from the server may hold
anything that somebody wrote into an e-mail or a page, so control characters are shown, never obeyed.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from steward.plan_text import origins, written

STYLES: Final = {
    **dict.fromkeys(("completed", "approved", "allow", "ok", "enabled"), "green"),
    **dict.fromkeys(("failed", "deny", "fail", "rejected", "unknown"), "red"),
    **dict.fromkeys(("running", "pending", "scheduled", "ask", "warn", "held", "awaiting_approval"), "yellow"),
    **dict.fromkeys(("waiting", "cancelled", "skipped", "draft", "expired", "disabled", "needs_input"), "dim"),
}
MARKS: Final = {"completed": "✓", "failed": "✗", "unknown": "?", "cancelled": "-", "skipped": "-", "running": "›"}
_CONTENT_CHARS: Final = 200
_GAP: Final = 2
_TEXT_CHARS: Final = 8
"""What a column that is wrapped keeps at least."""
_SHORT_CHARS: Final = 12


@cache
def out() -> Console:
    """Return standard output."""
    return Console(highlight=False, soft_wrap=False)


@cache
def err() -> Console:
    """Return standard error."""
    return Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """Print ``document`` as JSON on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def plain(value: object, style: str = "") -> Text:
    """Return ``value`` as text in which control characters are visible and nothing counts as markup."""
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in str(value))
    text = Text(shown)
    text.stylize(style)  # not the base style, which would colour whatever is put after it
    return text


def word(value: str) -> Text:
    """Return a status or decision in its colour."""
    return plain(value, STYLES.get(value, ""))


def say(*parts: object, prose: bool = False) -> None:
    """Print a line for the person on standard error.

    It stays one line, because commands in it are copied; ``prose`` is broken between words where a terminal shows it.
    """
    line = Text(" ").join(part if isinstance(part, Text) else plain(part) for part in parts)
    err().print(line, soft_wrap=not (prose and err().is_terminal))


def say_there_is_more(page: Mapping[str, Any]) -> None:
    """Say how to see what comes after a page, if anything does."""
    if page["next_cursor"]:
        say("There are older ones: --all shows every one, --cursor goes on from here:", page["next_cursor"])


def complain(sentence: str, advice: str) -> None:
    """Print what is wrong and what to do next on standard error."""
    say(Text("✗", style="red"), sentence, prose=True)
    if advice:
        say(" ", plain(advice))


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, clip_last: bool = False
) -> None:
    """Print a table on standard output; without rows ``empty`` is said instead.

    What somebody copies, such as an id, stands whole on one line as long as there is room; texts are wrapped instead. With
    ``clip_last`` nothing is wrapped, and of the last column what does not fit is left out.
    """
    lines = [[cell if isinstance(cell, Text) else plain("" if cell is None else cell) for cell in row] for row in rows]
    if not lines:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    whole = _whole([[plain(column), *cells] for column, cells in zip(columns, zip(*lines, strict=True), strict=True)])
    for number, column in enumerate(columns):
        if clip_last and number == len(columns) - 1:  # it takes what the others leave
            table.expand = True
            table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1)
        else:
            table.add_column(column, no_wrap=clip_last or number in whole, overflow="fold")
    for line in lines:
        table.add_row(*line)
    show(table)


def _whole(columns: Sequence[Sequence[Text]]) -> set[int]:
    """Return the columns that are not to be wrapped: words, and what is short, from the left while the others keep some room."""
    lines = [[line for cell in column for line in cell.split()] for column in columns]
    widths = [max(line.cell_len for line in of_column) for of_column in lines]
    room = out().width - _GAP * (len(columns) - 1) - sum(min(width, _TEXT_CHARS) for width in widths)
    whole: set[int] = set()
    for number, width in enumerate(widths):
        more = max(0, width - _TEXT_CHARS)
        copied = not any(" " in line.plain for line in lines[number][1:])
        if more <= room and (copied or width <= _SHORT_CHARS):
            whole.add(number)
            room -= more
    return whole


def show(*parts: RenderableType) -> None:
    """Print on standard output."""
    for part in parts:
        out().print(part)


def steps_table(steps: Sequence[Mapping[str, Any]], roles: Mapping[str, Mapping[str, str]]) -> Table:
    """Return a plan's steps. Whatever a step sends or changes is shown in full; only content is cut."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    table.add_column("Step", no_wrap=True)
    table.add_column("Action", overflow="fold", max_width=16)
    table.add_column("With", ratio=1, overflow="fold")
    table.add_column("Effect", no_wrap=True)
    table.add_column("Decision", no_wrap=True)
    for step in steps:
        of_action = roles.get(step["action_id"], {})
        ranks = of_action or step.get("roles", {})
        params = sorted(step["params"].items(), key=lambda item, of=ranks: of.get(item[0]) == "content")
        given = Text("\n").join(
            [
                *(
                    line
                    for name, value in params
                    for line in (parameter(name, value, of_action), *_sources(step, name))
                ),
                *_around(step),
            ]
        )
        if step.get("acting_as"):
            given = Text("\n").join([given, Text("as ", style="dim") + plain(step["acting_as"])])
        decision = step["decision"]["effect"]
        table.add_row(plain(step["id"]), plain(step["action_id"]), given, plain(step["effect"]), word(decision))
    return table


def differences_table(differences: Sequence[Mapping[str, Any]]) -> Table:
    """Return what has changed since somebody checked or approved it, a line for each field."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column in ("Changed", "Before", "Now"):
        table.add_column(column, ratio=1, overflow="fold")
    for one in differences:
        field = f"{one['step']}: {one['field']}" if "step" in one else one["field"]
        before, now = (json.dumps(one[side], ensure_ascii=False) for side in ("before", "after"))
        table.add_row(plain(field), plain(before), plain(now, "yellow"))
    return table


def _sources(step: Mapping[str, Any], name: str) -> list[Text]:
    """Return where each fed place in a parameter comes from, a line each; a warning where others can write it."""
    places = step.get("inputs", {})
    return [
        plain(f"  {origin}", "yellow" if places[place]["label"] == "U" else "dim")
        for place, origin in origins(step, name)
    ]


def _around(step: Mapping[str, Any]) -> list[Text]:
    """Return what decides whether and how often a step runs, what becomes of links, and whether it can be taken back."""
    lines = [
        plain(f"{words}: ", "dim") + plain(f"{written(step[name]['value'])} ({step[name]['from']})")
        for name, words in (("when", "only if"), ("for_each", "for each of"))
        if name in step
    ]
    if step.get("link_guard"):
        lines.append(plain(f"links in {', '.join(step['link_guard'])} are made unclickable", "dim"))
    if step["effect"] == "write" and step.get("reversibility"):
        lines.append(plain(step["reversibility"], "dim"))
    return lines


def parameter(name: str, value: Any, roles: Mapping[str, str]) -> Text:
    """Return ``name: value``; a reference as where it comes from; content cut to what fits a preview."""
    label = plain(f"{name}: ", "dim")
    if isinstance(value, Mapping) and set(value) == {"$ref"}:
        source = str(value["$ref"]).removeprefix("steps.").replace(".result", "", 1)
        return label + plain(f"← {source}", "cyan")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if roles.get(name) == "content" and len(text) > _CONTENT_CHARS:
        text = f"{text[:_CONTENT_CHARS]}… ({len(text)} characters)"
    return label + plain(text)


def ago(moment: str | None) -> str:
    """Return how long ago an RFC 3339 time was, in one unit."""
    if not moment:
        return ""
    return f"{_in_one_unit(datetime.now(UTC) - datetime.fromisoformat(moment))} ago"


def ahead(moment: str) -> str:
    """Return how far off an RFC 3339 time is, in one unit."""
    return f"in {_in_one_unit(datetime.fromisoformat(moment) - datetime.now(UTC))}"


def _in_one_unit(time: timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def took(milliseconds: float | None) -> str:
    """Return a duration for a table."""
    if milliseconds is None:
        return ""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004 - a second


def one_line(value: Any, limit: int = 300) -> str:
    """Return a result as one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[:limit]}…"
