"""Who was turned away is on record, and a flood of them is a trickle there."""

from typing import Any

import pytest

from steward.audit import AuditEntry
from steward.doors import FIRST, MAX_SOURCES, Doors, Refusal
from steward.identity import Principal, Role, scopes_of
from steward.recorder import Recorder
from tests.conftest import FakeClock

ANN = Principal("key_ann", "acme", frozenset({Role.VIEWER}), scopes_of(frozenset({Role.VIEWER})))


class Notes(Recorder):
    """A recorder whose notes are looked at before they are written."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def note(self, *entries: AuditEntry) -> None:
        self.entries += entries


def refusal(principal: Principal | None = None, address: str = "192.0.2.1", **more: Any) -> Refusal:
    """Return a refusal."""
    fields: dict[str, Any] = {
        "code": "unauthenticated" if principal is None else "missing_scope",
        "status": 401 if principal is None else 403,
        "method": "GET",
        "route": "/ai/jobs",
        "request_id": "req_1",
    }
    return Refusal(principal=principal, address=address, **{**fields, **more})


@pytest.fixture
def notes() -> Notes:
    """Return an empty recorder."""
    return Notes()


def test_a_denial_is_on_record_in_the_workspace_whose_credential_it_was(notes: Notes, clock: FakeClock) -> None:
    """Who, where, which scope or rule was missing; the address only where it can be erased."""
    Doors(notes, clock).refused(refusal(ANN, scope="actions:execute"))
    (entry,) = notes.entries
    assert (entry.workspace_id, entry.kind, entry.actor_id, entry.result) == (
        *("acme", "request.denied", "key_ann", "missing_scope"),
    )
    assert entry.facts == {"status": 403, "method": "GET", "route": "/ai/jobs", "scope": "actions:execute"}
    assert entry.view == {"address": "192.0.2.1"}


def test_a_flood_of_bad_tokens_is_a_few_records_a_minute(notes: Notes, clock: FakeClock) -> None:
    """The first of each source one by one, the rest as a number when the minute is over: nothing is left out of the sum."""
    doors = Doors(notes, clock)
    for _ in range(10_000):
        doors.refused(refusal())
    doors.refused(refusal(address="192.0.2.2"))
    assert len(notes.entries) == FIRST + 1
    doors.turn_the_minute()
    assert len(notes.entries) == FIRST + 1, "the minute is not over"
    clock.advance(60)
    doors.turn_the_minute()
    counted = notes.entries[-1]
    assert counted.facts["more"] == 10_000 - FIRST
    assert (counted.kind, counted.workspace_id, counted.view) == ("login.failed", "system", {"address": "192.0.2.1"})
    doors.turn_the_minute(end=True)
    assert len(notes.entries) == FIRST + 2


def test_a_flood_from_everywhere_is_bounded_too(notes: Notes, clock: FakeClock) -> None:
    """However many sources there are, memory and records are bounded; those beyond share one number."""
    doors = Doors(notes, clock)
    for number in range(5_000):
        doors.refused(refusal(address=f"2001:db8::{number:x}"))
    assert len(notes.entries) == MAX_SOURCES
    doors.turn_the_minute(end=True)
    assert len(notes.entries) == MAX_SOURCES + 1
    assert notes.entries[-1].facts["more"] == 5_000 - MAX_SOURCES
    assert notes.entries[-1].facts["of_other_sources"]
