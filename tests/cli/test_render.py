"""What is printed: faithful about destinations, short about content, and never in command of the terminal."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from steward.cli.render import ago, one_line, out, parameter, plain, show_table, steps_table, took


def printed(renderable: Any, width: int = 80) -> str:
    """Return what a terminal of this width is sent."""
    console = Console(file=io.StringIO(), width=width, highlight=False, force_terminal=True, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def console_of_80(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the console of a command be made anew, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    out.cache_clear()
    yield
    out.cache_clear()


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


def test_where_it_goes_stands_first_when_a_plan_is_shown_whole() -> None:
    """Without the catalogue, which would have content cut, the order is what the step itself says of its parameters."""
    step = {
        "id": "s1",
        "action_id": "file.write",
        "params": {"text": "t" * 500, "path": "notice.txt"},
        "roles": {"text": "content", "path": "destination"},
        "effect": "write",
        "decision": {"effect": "ask"},
    }
    shown = printed(steps_table([step], {}))
    assert shown.index("path: ") < shown.index("text: ")
    assert shown.count("t" * 30) >= 10


def test_what_is_copied_is_not_broken_over_lines(capsys: pytest.CaptureFixture[str], console_of_80: None) -> None:
    """An id and a word of state stand whole on one line beside a text, which wraps; a table fits 80 columns nevertheless."""
    ids = ["key_" + "0" * 24, "plan_" + "1" * 24]
    show_table(("Id", "Role", "About", "State"), [(ids[0], "developer", "a text " * 20, "disabled")], empty="")
    show_table(("About", "Ids"), [("a text " * 20, "\n".join(ids))], empty="")
    shown = capsys.readouterr().out
    assert all(whole in shown for whole in (*ids, "developer", "disabled"))
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_nothing_is_lost_where_there_is_no_room(capsys: pytest.CaptureFixture[str], console_of_80: None) -> None:
    """Words that do not fit beside each other are broken, never cut off."""
    show_table(("One", "Two"), [("a" * 70, "b" * 70)], empty="")
    shown = capsys.readouterr().out
    assert (shown.count("a"), shown.count("b")) == (70, 70)
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
