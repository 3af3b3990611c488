"""What the suites' tools are, as anybody would declare them who wraps them: effect, roles of parameters, labels of results.

Labels say who can write a field. The bank mints ids, amounts, dates and account numbers; whoever sends money writes the
subject, and adds to the list of transactions. A mail server vouches for the sender's address; everything else in a mail, its list of recipients
included, is the sender's. A file or an event may be anybody's who shared it or invited. What only the account's owner can
write is trusted, or the provider's where it may have been written on the owner's behalf.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from steward.action import Effect, ParameterRole
from steward.provenance import Label

READ, WRITE = Effect
DESTINATION, AMOUNT, OBJECT, CONTENT, TIME, SECRET = ParameterRole
T, E, S, U = Label


@dataclass(frozen=True)
class Tool:
    """One tool, as declared."""

    effect: Effect
    roles: Mapping[str, ParameterRole] = field(default_factory=dict)
    """Of each parameter; undeclared: a destination."""
    labels: Mapping[str, Label] = field(default_factory=dict)
    """Of the result, field by field; undeclared: untrusted."""
    groups: frozenset[str] = frozenset()
    foreign: bool = True
    """Whether its result can hold anything that a third party wrote."""

    def labels_in(self, *, by_field: bool) -> Mapping[str, Label]:
        """Return the labels of its result: as declared, or all of it untrusted where a third party may have written any."""
        return self.labels if by_field or not self.foreign else {"": U}


def _listed(labels: Mapping[str, Label]) -> dict[str, Label]:
    """Return the labels of a list to which others can add."""
    return {"": S, "[?]": U} | {f"[].{name}": label for name, label in labels.items()}


_TRANSACTION: Final = {"subject": U}
_MAIL: Final = dict.fromkeys(("recipients", "cc", "bcc", "subject", "body", "attachments"), U)
_EVENT: Final = dict.fromkeys(
    ("title", "description", "start_time", "end_time", "location", "participants", "all_day", "status"), U
)
_FILE: Final = dict.fromkeys(("filename", "content", "shared_with"), U)
_MONEY: Final = frozenset({"money", "external"})
_MESSAGE: Final = frozenset({"message", "external"})
_EXTERNAL: Final = frozenset({"external"})
_PAYMENT: Final = {"recipient": DESTINATION, "amount": AMOUNT, "subject": CONTENT, "date": TIME, "recurring": TIME}
_PAY: Final = {name: _PAYMENT[name] for name in ("recipient", "amount", "subject", "date")}

TOOLS: Final[Mapping[str, Mapping[str, Tool]]] = {
    "banking": {
        "get_iban": Tool(READ, labels={"": S}, foreign=False),
        "get_balance": Tool(READ, labels={"": S}, foreign=False),
        "get_user_info": Tool(READ, labels={"": S}, foreign=False),
        "get_most_recent_transactions": Tool(READ, {"n": CONTENT}, _listed(_TRANSACTION)),
        "get_scheduled_transactions": Tool(READ, labels={"": S, "[].subject": U}, foreign=False),
        "read_file": Tool(READ, {"file_path": OBJECT}),
        "send_money": Tool(WRITE, _PAY, {"": S}, _MONEY, foreign=False),
        "schedule_transaction": Tool(WRITE, _PAYMENT, {"": S}, _MONEY, foreign=False),
        "update_scheduled_transaction": Tool(WRITE, {"id": OBJECT, **_PAYMENT}, {"": S}, _MONEY, foreign=False),
        "update_password": Tool(WRITE, {"password": SECRET}, {"": S}, foreign=False),
        "update_user_info": Tool(WRITE, {"first_name": CONTENT, "last_name": CONTENT}, foreign=False),
    },
    "workspace": {
        "get_current_day": Tool(READ, labels={"": S}, foreign=False),
        "get_unread_emails": Tool(READ, labels=_listed(_MAIL)),
        "get_sent_emails": Tool(READ, labels=_listed(_MAIL)),
        "get_received_emails": Tool(READ, labels=_listed(_MAIL)),
        "get_draft_emails": Tool(READ, labels=_listed(_MAIL)),
        "search_emails": Tool(READ, {"query": CONTENT, "sender": CONTENT}, _listed(_MAIL)),
        "search_contacts_by_name": Tool(READ, {"query": CONTENT}, _listed({"name": U})),
        "search_contacts_by_email": Tool(READ, {"query": CONTENT}, _listed({"name": U})),
        "search_calendar_events": Tool(READ, {"query": CONTENT, "date": TIME}, _listed(_EVENT)),
        "get_day_calendar_events": Tool(READ, {"day": TIME}, _listed(_EVENT)),
        "search_files": Tool(READ, {"query": CONTENT}, _listed(_FILE)),
        "search_files_by_filename": Tool(READ, {"filename": CONTENT}, _listed(_FILE)),
        "list_files": Tool(READ, labels=_listed(_FILE)),
        "get_file_by_id": Tool(READ, {"file_id": OBJECT}, {"": S, **_FILE}),
        "send_email": Tool(
            WRITE,
            {"subject": CONTENT, "body": CONTENT, "attachments": OBJECT},
            {"": S, **_MAIL},
            _MESSAGE,
            foreign=False,
        ),
        "delete_email": Tool(WRITE, {"email_id": OBJECT}, {"": S}, foreign=False),
        "create_calendar_event": Tool(
            WRITE,
            {"title": CONTENT, "description": CONTENT, "location": CONTENT, "start_time": TIME, "end_time": TIME},
            {"": S, **_EVENT},
            _EXTERNAL,
            foreign=False,
        ),
        "cancel_calendar_event": Tool(WRITE, {"event_id": OBJECT}, {"": S}, _EXTERNAL),
        "reschedule_calendar_event": Tool(
            WRITE, {"event_id": OBJECT, "new_start_time": TIME, "new_end_time": TIME}, {"": S, **_EVENT}, _EXTERNAL
        ),
        "add_calendar_event_participants": Tool(WRITE, {"event_id": OBJECT}, {"": S, **_EVENT}, _EXTERNAL),
        "create_file": Tool(WRITE, {"filename": OBJECT, "content": CONTENT}, {"": S, **_FILE}, foreign=False),
        "append_to_file": Tool(WRITE, {"file_id": OBJECT, "content": CONTENT}, {"": S, **_FILE}),
        "delete_file": Tool(WRITE, {"file_id": OBJECT}, {"": S, **_FILE}),
        "share_file": Tool(WRITE, {"file_id": OBJECT}, {"": S, **_FILE}, _EXTERNAL),
    },
}
"""Of an id's own object, ``S`` becomes ``E`` where whoever wrote the plan named it: Steward does that, not this table."""
