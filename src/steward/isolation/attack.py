"""One workspace tries every published operation with what the other one holds, in every role that it has.

Each value of the other's is put into each slot that it could belong in, and so is its stranger, a value that nobody
has. Nothing of the other's may come back, and the two answers must be the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from steward.identity import Role
from steward.isolation.compare import difference
from steward.isolation.description import STREAM, Operation, Slot
from steward.isolation.forge import CALLERS_OWN, Request, kinds_of
from steward.isolation.furnish import fresh
from steward.isolation.report import DoorKind, Kind, Report
from steward.isolation.tenant import ROLES, Answer, Tenant
from steward.isolation.values import Strangers

NAMES: Final[Mapping[str, DoorKind]] = {
    "cursor": DoorKind.CURSOR,
    "idempotency-key": DoorKind.IDEMPOTENCY,
    "client_request_id": DoorKind.IDEMPOTENCY,
}
"""Slots that are doors of their own."""
_VALUES_OF_ADMIN: Final = 4
_NO_HEADERS: Final[Mapping[str, str]] = {}
_OTHER_METHODS: Final = ("PUT", "PATCH", "DELETE", "POST", "GET")
Progress = Callable[[str], None]


@dataclass
class Attack:
    """One workspace against another."""

    victim: Tenant
    attacker: Tenant
    requests: Mapping[str, Sequence[Request]]
    """What the attacker's own requests look like, by operation."""
    report: Report
    roles: Sequence[Role] = ROLES
    strangers: Strangers = field(default_factory=Strangers)
    seen: list[Answer] = field(default_factory=list)

    async def operation(self, operation: Operation) -> None:
        """Attack one operation by what it declares."""
        door = self.report.door(DoorKind.ROUTE, operation.name, operation.tenancy)
        match operation.tenancy:
            case "public":
                anything = dict.fromkeys(operation.path_names(), "none")
                answer = await self._send(operation, Request(operation, in_path=anything), None)
                door.attacks += answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            case "installation":
                door.attacks += await self._refused(operation)
            case "shared":
                door.attacks += await self._same(operation) + await self._slots(operation)
            case _:
                asked = await self._as_the_caller(operation)
                door.attacks += await self._slots(operation) or (0 if list(_slots_of(operation)) else asked)
                if operation.may_stream:
                    stream = self.report.door(DoorKind.STREAM, operation.name, operation.tenancy)
                    stream.attacks += await self._slots(operation, {"Accept": STREAM})
                missing = [name for name in operation.path_names() if not self._values(Slot("path", name, {}), 1)]
                if missing:
                    door.attacks, door.why_not = 0, f"Nothing of the other's is known for {', '.join(missing)}."

    async def other_methods(self, operations: Sequence[Operation]) -> None:
        """Try the methods that a path does not publish: they must not tell foreign from unknown either."""
        published: dict[str, list[Operation]] = {}
        for operation in operations:
            published.setdefault(operation.path, []).append(operation)
        for there in published.values():
            request = self._base(there[0])
            slots = [slot for slot in there[0].parameters() if slot.place == "path"]
            if request is None or not slots:
                continue
            for method in set(_OTHER_METHODS) - {operation.method for operation in there}:
                unpublished = replace(there[0], method=method)
                await self._pair(
                    unpublished, replace(request, operation=unpublished, body=None), slots[0], Role.ADMIN, 1
                )

    def _base(self, operation: Operation, slot: Slot | None = None) -> Request | None:
        """Return a request of the attacker's own, with no name in it that was used before, if it can be with the slot in it."""
        known = self.requests.get(operation.name) or list(islice(self.attacker.forge.requests(operation), 1))
        fitting = [request for request in known if slot and slot.path and _reaches(request.body, slot.path)]
        found = next(iter([*fitting, *known]), None)
        if found is None and operation.path_names():  # it has nothing of its own there: the victim's will be put in
            found = Request(operation, in_path=dict.fromkeys(operation.path_names(), "none"))
        return None if found is None else fresh(replace(found, headers={}), self.attacker)

    async def _as_the_caller(self, operation: Operation) -> int:
        """Send what is right, if it changes nothing or takes nothing: its answer must hold nothing of the other's."""
        sent = 0
        for role in self.roles:
            request = self._base(operation) or (None if operation.path_names() else Request(operation))
            if request is not None and (operation.reads or not list(_slots_of(operation))):
                await self._send(operation, request, role)
                sent += 1
        return sent

    async def _slots(self, operation: Operation, headers: Mapping[str, str] = _NO_HEADERS) -> int:
        tried = 0
        for role in self.roles:
            for slot in _slots_of(operation) if operation.open_to(role) else _first_of(operation):
                if (request := self._base(operation, slot)) is not None:
                    most = _VALUES_OF_ADMIN if role is Role.ADMIN else 1
                    tried += await self._pair(operation, replace(request, headers=headers), slot, role, most)
        return tried

    def _values(self, slot: Slot, most: int) -> list[str]:
        """Return the victim's values that belong in a slot; for a free text any id of the victim's as well."""
        known = self.victim.holdings
        named = [value for kind in kinds_of(slot) for value in known.of(kind)[:most]] if slot.is_handle else []
        if slot.name in CALLERS_OWN:
            return list(dict.fromkeys(named))[:1]
        any_id = [value for _, value in known.ids()] if most > 1 and slot.takes_text else []
        return list(dict.fromkeys([*named, *any_id]))

    async def _pair(self, operation: Operation, request: Request, slot: Slot, role: Role, most: int) -> int:
        """Put each of the victim's values and its stranger into a slot; return how many pairs were compared."""
        values = [] if slot.is_fixed else self._values(slot, most)
        for value in values:
            # A word that both use tells nothing, and neither does the number of an event: each workspace counts its own.
            if self.attacker.holdings.holds(value) or value.startswith("evt_"):
                await self._send(operation, request.with_value(slot, value), role)
                continue
            stranger = self.strangers.of(value)
            again = fresh(request, self.attacker)
            foreign = await self._send(operation, again.with_value(slot, value), role)
            unknown = await self._send(operation, fresh(again, self.attacker).with_value(slot, stranger), role)
            self.report.compared += 1
            if told := difference(foreign, value, unknown, stranger, content=not slot.is_handle):
                self.report.add(Kind.TELLS, operation.name, f"As {role}, {slot}: {told}.")
            if slot.name in CALLERS_OWN and foreign.good:
                self.report.add(Kind.ACCEPTED, operation.name, f"As {role}, {slot} may be another's.")
            if (kind := NAMES.get(slot.name.lower())) is not None:
                self.report.door(kind, f"{slot.name} of {operation.name}", operation.tenancy).attacks += 1
        return len(values)

    async def _refused(self, operation: Operation) -> int:
        """Every role of a workspace is refused, whatever it asks about."""
        tried = 0
        for role in self.roles:
            request = self._base(operation) or Request(operation)
            for slot in [None, *(slot for slot in operation.parameters() if slot.place == "path")]:
                for value in self._values(slot, 1) if slot else [""]:
                    sent = request.with_value(slot, value) if slot else request
                    answer = await self._send(operation, sent, role)
                    tried += 1
                    if answer.status != HTTPStatus.FORBIDDEN:
                        text = f"As {role} it is answered with {answer.status}, though it is for operators."
                        self.report.add(Kind.ACCEPTED, operation.name, text)
        return tried

    async def _same(self, operation: Operation) -> int:
        """Both workspaces get the same answer."""
        for role in self.roles:
            request = self._base(operation) or Request(operation)
            mine, theirs = await self._send(operation, request, role), await self.victim.send(request, role)
            self.report.compared += 1
            if told := difference(theirs, "", mine, ""):
                text = f"As {role}, one workspace is not told what the other is: {told}."
                self.report.add(Kind.TELLS, operation.name, text.replace(" for a foreign value", "", 1))
        return len(self.roles)

    async def _send(self, operation: Operation, request: Request, role: Role | None) -> Answer:
        self.victim.canaries.burn(repr(request))
        answer = await self.attacker.send(request, role)
        look(self.report, self.victim, operation.name, answer.everything)
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.report.add(
                Kind.UNTRIED, operation.name, "A request was answered with 500, so nothing can be said of it."
            )
        if answer.status == HTTPStatus.UNAUTHORIZED and role is not None and operation.about.get("security"):
            self.report.add(Kind.UNTRIED, operation.name, f"The audit's own key of role {role} was refused.")
        return answer


def _reaches(body: Any, path: tuple[str | int, ...]) -> bool:
    """Whether a body has a place."""
    for part in path:
        if isinstance(part, int):
            if not isinstance(body, list) or len(body) <= part:
                return False
            body = body[part]
        elif isinstance(body, Mapping) and part in body:
            body = body[part]
        else:
            return False
    return True


def look(report: Report, victim: Tenant, door: str, text: str) -> None:
    """Take note of every canary of the victim's in a text that the other side, or everybody, can see."""
    for place in victim.canaries.seen_in(text).values():
        report.add(Kind.CANARY, door, f"It shows what the other workspace wrote to {place}.")


def _first_of(operation: Operation) -> Iterator[Slot]:
    """Yield the one slot that is tried where every request is refused for want of a scope."""
    yield from islice(sorted(operation.parameters(), key=lambda slot: slot.place != "path"), 1)


def _slots_of(operation: Operation) -> Iterator[Slot]:
    yield from operation.parameters()
    for slot in operation.fields():
        if slot.schema.get("type") == "object":
            yield replace(slot, name="value", schema={"type": "string"}, path=(*slot.path, "value"))
            yield replace(slot, name="text", schema={"type": "string"}, path=(*slot.path, "text"))
        else:
            yield slot
