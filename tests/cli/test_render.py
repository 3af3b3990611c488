"""What is printed: faithful about destinations, short about content, and never in command of the terminal."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from steward.cli.render import ago, one_line, parameter, plain, steps_table, took


def printed(renderable: Any, width: int = 80) -> str:
    """Return what a terminal of this width is sent."""
    console = Console(file=io.StringIO(), width=width, highlight=False, force_terminal=True, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "evil", ["\x1b[31mred", "\x1b]0;title\x07", "\r overwrite", "\x9b2J", "a\u202eb", "\x00", "\x08\x08"]
)
def test_control_characters_are_shown_and_not_obeyed(evil: str) -> None:
    """An escape sequence or a direction override in somebody's text reaches the terminal as visible characters."""
    shown = printed(plain(evil))
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\\x" in shown


def test_markup_in_data_is_text() -> None:
    """Square brackets in data are not read as colours."""
    assert (
        printed(plain("[red]stop[/] [link=https://example.com]")).strip() == "[red]stop[/] [link=https://example.com]"
    )


def test_destinations_are_never_cut_and_content_is() -> None:
    """A preview shows where something goes in full, whatever its length; a long text is cut and says so."""
    addresses = [f"person{number}@department{number}.example.com" for number in range(40)]
    step = {
        "id": "s1",
        "action_id": "email.send",
        "params": {"to": addresses, "mystery": "m" * 500, "text": "t" * 500},
        "effect": "write",
        "decision": {"effect": "allow"},
    }
    shown = printed(steps_table([step], {"email.send": {"to": "destination", "text": "content"}}))
    together = "".join(shown.split())
    assert all(address in together for address in addresses)
    assert "m" * 500 in together
    assert "t" * 201 not in together
    assert "(500characters)" in together
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_reference_is_shown_as_its_source() -> None:
    """A value that an earlier step will give names that step."""
    assert parameter("text", {"$ref": "steps.s1.result.text"}, {}).plain == "text: ← s1.text"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s ago"), (59, "59 s ago"), (61, "1 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")]
)
def test_ago_uses_one_unit(seconds: int, words: str) -> None:
    """How long ago, as a person says it."""
    assert ago((datetime.now(UTC) - timedelta(seconds=seconds, milliseconds=300)).isoformat()) == words


def test_small_words() -> None:
    """Durations and results fit a table."""
    assert (took(None), took(12.4), took(1500)) == ("", "12 ms", "1.5 s")
    assert one_line({"a": "b\nc"}) == '{"a": "b\\nc"}'
    assert one_line("x" * 400) == "x" * 300 + "…"
    assert ago(None) == ""
