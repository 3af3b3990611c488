"""The condition that the claim and its explanation share: how much of what a workspace may still start."""

from datetime import timedelta

import pytest

from steward.caps import Activity, Room, Start, counts_until, covers
from steward.workspace import Cap
from tests.test_job_rules import NOW


@pytest.mark.parametrize(
    ("pattern", "action_id", "covered"),
    [
        ("*", "compute", True),
        ("*", "mcp.files.read", True),
        ("email.send", "email.send", True),
        ("email.send", "email.send_all", False),
        ("email.*", "email.send", True),
        ("email.*", "email", False),
        ("email.*", "emailer.send", False),
        ("mcp.*", "mcp.files.read", True),
        ("mcp.files.*", "mcp.files.read", True),
        ("mcp.files.*", "mcp.mail.read", False),
        ("compute", "compute", True),
    ],
)
def test_what_a_pattern_covers(pattern: str, action_id: str, covered: bool) -> None:
    """One action, everything below a provider, or everything."""
    assert covers(pattern, action_id) is covered


def test_a_start_counts_for_a_minute_and_to_the_end_of_the_second() -> None:
    """Never less than a minute, at most a second more."""
    assert counts_until(NOW) == NOW + timedelta(seconds=60)
    assert counts_until(NOW + timedelta(milliseconds=1)) == NOW + timedelta(seconds=61)
    assert counts_until(NOW + timedelta(milliseconds=999)) == NOW + timedelta(seconds=61)


def test_the_rule_that_keeps_a_job_says_what_it_is() -> None:
    """Its pattern, its kind, its number, and when it has room by itself."""
    caps = {"email.*": Cap(max_running=2), "*": Cap(per_minute=3)}
    started = tuple(Start("file.read", NOW + timedelta(seconds=n), n) for n in (30, 1, 2))
    room = Room(caps, Activity(running={"email.send": 1, "file.read": 5}, started=started), NOW)
    rule = room.capped("file.read")
    assert rule is not None
    assert (rule.pattern, rule.kind, rule.limit, rule.until) == ("*", "per_minute", 3, NOW + timedelta(seconds=30))
    assert rule.sentence == "In this workspace at most 3 jobs may start in a minute."
    room = Room(caps, Activity(running={"email.send": 2}), NOW)
    rule = room.capped("email.read")
    assert rule is not None
    assert (rule.pattern, rule.kind, rule.limit, rule.until) == ("email.*", "max_running", 2, None)
    assert rule.sentence == "In this workspace at most 2 jobs of 'email.*' may run at the same time."
    assert room.capped("file.read") is None


def test_what_is_taken_is_counted_down() -> None:
    """Under every rule that covers it; a start taken now counts until a minute from now."""
    room = Room({"*": Cap(max_running=9, per_minute=2), "a.b": Cap(max_running=1)}, Activity(), NOW)
    assert (room.left("a.b"), room.left("a.c")) == (1, 2)
    room.take("a.b")
    assert (room.left("a.b"), room.left("a.c")) == (0, 1)
    room.take("a.c")
    rule = room.capped("a.c")
    assert rule is not None
    assert rule.until == NOW + timedelta(seconds=60)
    assert Room({}, Activity(running={"a.b": 1000}), NOW).left("a.b") == float("inf")


def test_what_was_started_more_than_a_minute_ago_does_not_count() -> None:
    """Also when the store still has it."""
    room = Room({"*": Cap(per_minute=1)}, Activity(started=(Start("a.b", NOW, 5),)), NOW)
    assert room.capped("a.b") is None
