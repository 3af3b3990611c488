"""Records as hashes: what is written of a new one, and how the fields that a script answers with are read.

A field that is not there is None, empty or false. Lists of ids are words; what has a structure is JSON; times are whole
milliseconds; sealed bytes are base64 in a job and kept as they are in a plan.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from functools import partial
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
_EVENT_FIELDS: Final = [b"type", b"at", b"actor_id", b"plan_id", b"job_id", b"data", b"position"]
"""What stands in a stream of an event, in the order in which scripts write it."""
_new_event: Final[Callable[[Any], Event]] = partial(tuple.__new__, Event)
"""Make an event of its values in order, in half the time that it takes with their names."""


def in_event(pairs: Sequence[bytes]) -> Sequence[bytes]:
    """Return the values of an event's fields, as they stand in a stream; of one that lacks a field, raise ``KeyError``.

    The archive reads two of them for each job, so they are taken by their place where they stand as they are written now.
    """
    if pairs[::2] == _EVENT_FIELDS:
        return pairs[1::2]
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    return [fields[name] for name in _EVENT_FIELDS]


def committed_event(told: bytes) -> Event:
    """Return an event as a script tells what it has appended: in lines, of which only the last may hold more of them.

    What it is about may be damaged, and then so is the event; but it was appended, and nothing is left undone for that.
    """
    workspace, number, kind, at, plan_id, job_id, position, data, actor_id = told.split(b"\n", 8)
    try:
        return _event(workspace.decode(), int(number), (kind, at, actor_id, plan_id, job_id, data, position))
    except (ValueError, TypeError, KeyError, OverflowError):
        return _damaged(workspace.decode(), int(number), int(at), plan_id, int(position))


def _event(workspace: str, number: int, values: Values) -> Event:
    kind, at, actor_id, plan_id, job_id, data, position = values
    told = from_json(data)
    if type(told) is not dict:
        raise TypeError("An event's data are an object.")
    return _new_event(
        (
            event_id(number),
            workspace,
            _EVENT_TYPES[kind],
            from_milliseconds(int(at)),
            actor_id.decode() or None,
            plan_id.decode() or None,
            job_id.decode() or None,
            told,
            int(position),
        )
    )


def streamed_event(workspace: str, number: int, pairs: Sequence[bytes], now: int, position: int = 0) -> Event:
    """Return an event as it stands in the workspace's stream; of one that is damaged, that it is there.

    ``position`` is where it stands in the log of all workspaces, for a reader who goes on from there.
    """
    try:
        return _event(workspace, number, in_event(pairs))
    except (ValueError, TypeError, KeyError, OverflowError):
        plan_id = dict(zip(pairs[::2], pairs[1::2], strict=True)).get(b"plan_id", b"")
    return _damaged(workspace, number, now, plan_id, position)


def _damaged(workspace: str, number: int, at: int, plan_id: bytes, position: int) -> Event:
    """Return what is told instead of an event that cannot be read."""
    event = unreadable_event(workspace, number, from_milliseconds(at), plan_id.decode("utf-8", "replace"), position)
    _log.warning("An event's record is damaged.", action="unreadable_record", event_id=event.event_id)
    return event


def number_of(entry_id: bytes) -> int:
    """Return an event's number in its workspace, by which it stands in the stream."""
    return int(entry_id.partition(b"-")[0])
