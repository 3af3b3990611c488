"""Checks one chain from where it begins to its head, and names the first record that is not as it was written.

The records are walked in order, and the checkpoints beside them: each valid one vouches for everything up to its place. What
is reported is the first record that is changed, missing or added, or, where that cannot be told because a whole stretch was
written anew, the first one that is no longer vouched for. What belongs to the chain is compared with it at the end: views that
nobody erased, the workspace's policies, and how far the archiver has come.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import DBAPIError

from steward import chain
from steward.audit import AuditKind, AuditVerdict
from steward.audit_logs.cursor import is_doubtful
from steward.audit_logs.rows import HEAD, checkpoints, entry_of, rows_after
from steward.database.policy_seal import own_policies
from steward.database.tables import audit_records, audit_views
from steward.signing import is_signed

_BATCH: Final = 500
_COMPARED: Final = frozenset(
    {AuditKind.VIEW_ERASED, AuditKind.POLICY_CHANGED, AuditKind.POLICY_REMOVED, AuditKind.POLICIES_SIGNED}
)


class Trouble(Exception):
    """A record is not as it was written."""

    def __init__(self, first_bad: int | None, problem: str) -> None:
        """Name the record and say what is wrong."""
        super().__init__(problem)
        self.first_bad = first_bad
        self.problem = problem


def is_own(checkpoint: chain.Checkpoint, trusted: Mapping[str, str]) -> bool:
    """Say whether a trusted key signed a checkpoint."""
    public_key = trusted.get(checkpoint.key_id)
    return public_key is not None and is_signed(checkpoint.statement(), checkpoint.signature, public_key)


def is_whole(row: Any) -> bool:
    """Say whether a record's hash is that of its fields, and its view (unless erased) the one that it was written with."""
    try:
        body = chain.body(entry_of(row), row.workspace_id, row.sequence, row.commitment)
        if row.hash != chain.link(row.previous, chain.digest(body)):
            return False
        return row.view is None or row.commitment == chain.commitment(row.salt, row.view)
    except Exception:  # noqa: BLE001 - whatever cannot even be read was not written by us
        return False


@dataclass
class Check:
    """One check under way."""

    connection: Connection
    workspace_id: str
    trusted: Mapping[str, str]
    noted: tuple[int, str] | None = None
    floor: int = 0
    """The last record that was dropped by the retention, and its hash."""
    floor_hash: str = chain.GENESIS
    last: int = 0
    last_hash: str = ""
    vouched: int = 0
    count: int = 0
    first: int = 0
    """How many checkpoints were dropped by the retention."""
    head: Row[Any] | None = None
    place: chain.Checkpoint | None = None
    """The next checkpoint that was not passed yet; a valid one."""
    bare: set[int] = field(default_factory=set)
    """Records whose view is gone, and no record says yet that it was erased."""
    policies: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    """By name: the last record about a policy, and the text that it tells of (None: it was removed)."""
    listed: bool = False
    """Whether a record tells that the policies were signed for."""

    def run(self) -> AuditVerdict:
        """Return the verdict."""
        found: Trouble | None = None
        try:
            self.follow()
            self._look_for_views()
            self._compare_policies()
            self._compare_cursor()
        except Trouble as trouble:
            found = trouble
        return AuditVerdict(
            workspace_id=self.workspace_id,
            records=self.last - self.floor,
            checkpoints=self.count - self.first,
            sound=found is None,
            begins=self.floor + 1,
            head=self.last,
            hash=self.last_hash,
            sealed=self.vouched,
            first_bad=None if found is None else found.first_bad,
            problem="" if found is None else found.problem,
        )

    def follow(self) -> None:
        """Follow the chain alone from where it begins to its head; raise ``Trouble`` if it is not as it was written."""
        self.head = self._find_the_head()
        self.count = self._find_the_beginning() - 1
        self.first = self.count
        self._walk()
        self._compare_ends()

    def _find_the_head(self) -> Row[Any] | None:
        """Return what is stated about the end of the chain, if it can be read at all."""
        head = self.connection.execute(HEAD, {"w": self.workspace_id}).one_or_none()
        readable = head is not None and all(isinstance(n, int) for n in (head.sequence, head.sealed, head.checkpoints))
        return head if readable else None

    def _find_the_beginning(self) -> int:
        """Set the floor from the newest statement about it, and return the number of the first checkpoint after it."""
        number = 1
        for beginning in checkpoints(self.connection, self.workspace_id, "begins"):
            if beginning.sequence > self.floor and is_own(beginning, self.trusted):
                self.floor, self.floor_hash, number = beginning.sequence, beginning.hash, beginning.number
        self.last, self.last_hash, self.vouched = self.floor, self.floor_hash, self.floor
        return number

    def _walk(self) -> None:
        """Follow the chain to its end."""
        places = checkpoints(self.connection, self.workspace_id, "reached")
        self._next_place(places)
        for row in self._rows():
            self._follow(row)
            while self.place is not None and self.place.sequence <= row.sequence:
                self._pass(row, self.place)
                self._next_place(places)

    def _next_place(self, places: Iterator[chain.Checkpoint]) -> None:
        """Take the next checkpoint, if it is the one that must follow."""
        self.place = next(places, None)
        number = self.count + 1
        if self.place is None:
            if self.head is not None and (self.head.checkpoints, self.head.sealed) != (self.count, self.vouched):
                raise Trouble(
                    self.vouched + 1, f"There should be {self.head.checkpoints} checkpoints, not {self.count}."
                )
            return
        if self.place.number != number:
            raise Trouble(self.vouched + 1, f"Checkpoint {number} is missing, or another stands in its place.")
        if not is_own(self.place, self.trusted):
            raise Trouble(self.vouched + 1, f"Checkpoint {number} is not as this installation signed it.")
        self.count = number

    def _rows(self) -> Iterator[Any]:
        after, limit = 0, _BATCH
        while True:
            try:
                rows = rows_after(self.connection, self.workspace_id, after, limit)
            except DBAPIError:  # a value that is no text: find out whose
                if limit == 1:
                    raise Trouble(self.last + 1, f"Record {self.last + 1} cannot be read.") from None
                limit = 1
                continue
            if not rows:
                return
            yield from rows
            after = rows[-1].sequence

    def _follow(self, row: Any) -> None:
        sequence = row.sequence
        if not isinstance(sequence, int):
            raise Trouble(self.last + 1, f"After record {self.last} stands one that has no number.")
        if sequence <= self.floor:
            raise Trouble(sequence, f"Record {sequence} was dropped by the retention and is back.")
        if sequence != self.last + 1:
            raise Trouble(self.last + 1, f"Record {self.last + 1} is missing.")
        if not is_whole(row):
            raise Trouble(sequence, f"Record {sequence} was changed.")
        if row.previous != self.last_hash:
            bad = self._of_two(row)
            raise Trouble(bad, f"Record {bad} was written anew.")
        if self.noted is not None and self.noted[0] == sequence and self.noted[1] != row.hash:
            raise Trouble(self.vouched + 1, f"Record {sequence} is not the one that was noted.")
        self.last, self.last_hash = sequence, row.hash
        self._note(row)

    def _note(self, row: Any) -> None:
        """Keep of a record what is compared at the end."""
        if row.commitment is not None and row.view is None:
            self.bare.add(row.sequence)
        if row.kind not in _COMPARED:
            return
        facts = from_json(row.facts)
        if not isinstance(facts, dict):
            return
        if row.kind == AuditKind.VIEW_ERASED:
            self.bare -= {sequence for sequence in facts.get("records") or () if isinstance(sequence, int)}
            return
        self.listed = self.listed or facts.get("signed") is True
        if row.kind != AuditKind.POLICIES_SIGNED:
            self.policies[str(facts.get("policy"))] = row.sequence, facts.get("text")

    def _of_two(self, row: Any) -> int:
        """Return which of a record and the one before it was written anew: the one that nothing else vouches for."""
        alone = self.vouched == row.sequence - 1 or self._following(row) != row.hash
        return row.sequence if alone else row.sequence - 1

    def _following(self, row: Any) -> str | None:
        """Return what is stated right after a record to be its hash."""
        following = self.connection.execute(
            select(audit_records.c.previous).where(
                audit_records.c.workspace_id == self.workspace_id, audit_records.c.sequence == row.sequence + 1
            )
        ).scalar()
        if following is None and self.head is not None and self.head.sequence == row.sequence:
            return self.head.hash
        return following

    def _pass(self, row: Any, place: chain.Checkpoint) -> None:
        """Compare with a checkpoint that stands here."""
        if (place.sequence, place.hash) != (row.sequence, row.hash):
            first = self.vouched + 1
            if self._following(row) not in {row.hash, None}:
                raise Trouble(row.sequence, f"Record {row.sequence} was written anew.")
            raise Trouble(first, f"Among records {first} to {row.sequence} some are not those that were signed.")
        self.vouched = row.sequence

    def _compare_ends(self) -> None:
        following = self.last + 1
        if self.place is not None or (self.noted is not None and self.noted[0] > self.last):
            raise Trouble(following, f"The chain had come further than record {self.last}; its end was cut off.")
        if self.head is None:
            if self.last:  # a chain that has records, or had some
                raise Trouble(following, "The end of the chain is no longer stated.")
        elif self.head.sequence > self.last:
            raise Trouble(following, f"Record {following} is missing.")
        elif self.head.sequence < self.last:
            raise Trouble(self.head.sequence + 1, f"Record {self.head.sequence + 1} was added by somebody else.")
        elif self.head.hash != self.last_hash:
            raise Trouble(self.last, f"Record {self.last} is not the one that the chain ends with.")

    def _look_for_views(self) -> None:
        if self.bare:
            bad = min(self.bare)
            raise Trouble(bad, f"The view of record {bad} is gone, and no record says that it was erased.")
        whole = select(audit_records.c.sequence).where(
            audit_records.c.workspace_id == audit_views.c.workspace_id,
            audit_records.c.sequence == audit_views.c.sequence,
        )
        loose = self.connection.execute(
            select(audit_views.c.sequence)
            .where(audit_views.c.workspace_id == self.workspace_id, ~whole.exists())
            .order_by(audit_views.c.sequence)
            .limit(1)
        ).scalar()
        if loose is not None:
            raise Trouble(loose, f"There is a view of record {loose}, but no such record.")

    def _compare_policies(self) -> None:
        """Compare the workspace's policies with what was signed, and with what the chain tells of them."""
        found = own_policies(self.connection, self.workspace_id, self.trusted)
        if found.doubt:
            raise Trouble(None, found.doubt)
        there = {row.name: row.text for row in found.rows}
        for name, (sequence, text) in sorted(self.policies.items()):
            if there.get(name) != text:
                raise Trouble(None, f"The policy '{name}' is not as record {sequence} tells.")

    def _compare_cursor(self) -> None:
        if is_doubtful(self.connection, self.trusted):
            raise Trouble(None, "How far the archiver has come is not as this installation stated it.")
