"""Records as hashes: what is written of a new one, and how the fields that a script answers with are read.

A field that is not there is None, empty or false. Lists of ids are words; what has a structure is JSON; times are whole
milliseconds; sealed bytes are base64 in a job and kept as they are in a plan.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from pydantic_core import from_json, to_json

from steward.approval import Approval, ApprovalStatus
from steward.clock import from_milliseconds, milliseconds
from steward.event import Event, EventType, event_id, unreadable_event
from steward.identity import Role

_log = structlog.get_logger("steward.redis")
_TIME: Final = re.compile(rb"[0-9]{1,14}")
"""Milliseconds of any time before the year 5000."""
Fields = dict[str, Any]
Values = Sequence[Any]

APPROVAL_FIELDS: Final = (
    *("approval_id", "workspace_id", "plan_id", "job_id", "digest", "status", "reason", "rule", "detail"),
    *(
        "requested_by",
        "created_at",
        "expires_at",
        "another_person",
        "approver_role",
        "decided_by",
        "decided_at",
        "comment",
    ),
)


def encode(value: Any) -> str:
    """Return ``value`` as JSON text."""
    return to_json(value).decode()


def armoured(sealed: bytes | None) -> str | None:
    """Return sealed bytes as text: whoever looks at a job's hash finds nothing in it that is none."""
    return None if sealed is None else b2a_base64(sealed, newline=False).decode()


def bare(armour: bytes) -> bytes:
    """Return sealed bytes from their text; from damaged text, bytes that nothing unseals."""
    try:
        return a2b_base64(armour, strict_mode=True)
    except ValueError:
        return armour


def present(fields: Fields) -> Fields:
    """Return the fields that say something; flags as 1."""
    return {
        name: 1 if value is True else value
        for name, value in fields.items()
        if value is not None and value is not False and value != ""
    }


# What is written.


def approval_fields(approval: Approval) -> Fields:
    """Return the fields of a new approval."""
    return present(
        {
            "approval_id": approval.approval_id,
            "workspace_id": approval.workspace_id,
            "plan_id": approval.plan_id,
            "job_id": approval.job_id,
            "digest": approval.digest,
            "status": ApprovalStatus.PENDING.value,
            "reason": approval.reason,
            "rule": approval.rule,
            "detail": encode(approval.detail),
            "requested_by": approval.requested_by,
            "created_at": milliseconds(approval.created_at),
            "expires_at": milliseconds(approval.expires_at),
            "another_person": approval.another_person,
            "approver_role": None if approval.approver_role is None else approval.approver_role.value,
        }
    )


# What is read.


class Reader:
    """Gives out a record's fields by name, each in its kind."""

    __slots__ = ("_fields",)

    def __init__(self, names: Sequence[str], values: Values) -> None:
        """Read ``values``, which have these names."""
        self._fields = dict(zip(names, values, strict=True))

    def text(self, name: str) -> str:
        """Return a text, or an empty one."""
        return (self._fields[name] or b"").decode()

    def maybe(self, name: str) -> str | None:
        """Return a text, or None."""
        return self.text(name) or None

    def number(self, name: str) -> int:
        """Return a number, or 0."""
        return int(self._fields[name] or 0)

    def time(self, name: str) -> Any:
        """Return a time, or None."""
        value = self._fields[name]
        return from_milliseconds(int(value)) if value else None

    def words(self, name: str) -> tuple[str, ...]:
        """Return a list of words."""
        return tuple(self.text(name).split())

    def json(self, name: str, absent: Any = None) -> Any:
        """Return what JSON says, or ``absent``."""
        value = self._fields[name]
        return from_json(value) if value else absent

    def sealed(self, name: str) -> bytes | None:
        """Return bytes, or None."""
        return self._fields[name] or None


def to_approval(values: Values) -> Approval:
    """Return the record of an approval."""
    of = Reader(APPROVAL_FIELDS, values)
    role = of.maybe("approver_role")
    return Approval(
        approval_id=of.text("approval_id"),
        workspace_id=of.text("workspace_id"),
        plan_id=of.text("plan_id"),
        job_id=of.maybe("job_id"),
        digest=of.text("digest"),
        status=ApprovalStatus(of.text("status")),
        reason=of.text("reason"),
        rule=of.text("rule"),
        detail=of.json("detail", {}),
        requested_by=of.text("requested_by"),
        created_at=of.time("created_at"),
        expires_at=of.time("expires_at"),
        another_person=of.text("another_person") != "",
        approver_role=None if role is None else Role(role),
        decided_by=of.maybe("decided_by"),
        decided_at=of.time("decided_at"),
        comment=of.maybe("comment"),
    )


def listed_approval(values: Values) -> Approval:
    """Return what a list shows of an approval; one that is damaged is shown degraded and never hides the others."""
    try:
        return to_approval(values)
    except (ValueError, TypeError, KeyError, OverflowError):
        fields = readable(APPROVAL_FIELDS, values) | {"detail": b"", "approver_role": b""}
        _log.warning(
            "An approval's record is damaged.", action="unreadable_record", approval_id=fields["approval_id"].decode()
        )
        fields["expires_at"] = fields["expires_at"] or b"0"
        return to_approval(list(fields.values()))


def readable(names: Sequence[str], values: Values) -> dict[str, bytes]:
    """Return the fields of a damaged record as text, and its times as numbers or as nothing; it was made at some time."""
    fields = {
        name: (value or b"").decode("utf-8", "replace").encode() for name, value in zip(names, values, strict=True)
    }
    times = {name: value if _TIME.fullmatch(value) else b"" for name, value in fields.items() if name.endswith("_at")}
    return fields | times | {"created_at": times["created_at"] or b"0"}


_EVENT_TYPES: Final = {kind.value.encode(): kind for kind in EventType}


_EVENT_FIELDS: Final = (b"type", b"at", b"plan_id", b"job_id", b"position", b"data", b"actor_id")


def to_event(workspace: bytes, number: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """Return an event: its place in the workspace's log and the fields that stand there."""
    return _event((workspace, number, *[fields[name] for name in _EVENT_FIELDS]))


def committed_event(told: bytes) -> Event:
    """Return an event as a script tells what it has appended: in lines, of which only the last may hold more of them.

    What it is about may be damaged, and then so is the event; but it was appended, and nothing is left undone for that.
    """
    parts = told.split(b"\n", 1 + len(_EVENT_FIELDS))
    try:
        return _event(parts)
    except (ValueError, TypeError, KeyError, OverflowError):
        workspace, number, _, at, plan_id, _, position, *_ = parts
        event = unreadable_event(
            workspace.decode(),
            int(number),
            from_milliseconds(int(at)),
            plan_id.decode("utf-8", "replace"),
            int(position),
        )
        _log.warning("An event's record is damaged.", action="unreadable_record", event_id=event.event_id)
        return event


def _event(parts: Sequence[bytes]) -> Event:
    workspace, number, kind, at, plan_id, job_id, position, data, actor_id = parts
    return Event(
        event_id(int(number)),
        workspace.decode(),
        _EVENT_TYPES[kind],
        from_milliseconds(int(at)),
        actor_id.decode() or None,
        plan_id.decode() or None,
        job_id.decode() or None,
        {**from_json(data)},  # which refuses what is no object
        int(position),
    )


def streamed_event(workspace: bytes, entry: Sequence[Any], now: int, position: int = 0) -> Event:
    """Return an event as it stands in the workspace's stream; of one that is damaged, that it is there.

    ``position`` is where it stands in the log of all workspaces, for a reader who goes on from there.
    """
    number, pairs = entry[0].partition(b"-")[0], entry[1]
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    try:
        event = to_event(workspace, number, fields)
    except (ValueError, TypeError, KeyError, OverflowError):
        plan_id = fields.get(b"plan_id", b"").decode("utf-8", "replace")
        event = unreadable_event(workspace.decode(), int(number), from_milliseconds(now), plan_id, position)
        _log.warning("An event's record is damaged.", action="unreadable_record", event_id=event.event_id)
    return event
