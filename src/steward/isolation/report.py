"""What an audit found: findings, the doors that it knows of, and whether each was attacked."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is wrong."""

    CANARY = "canary"
    """Something that one workspace wrote was seen by the other, or where nobody's content may be."""
    WRITE = "write"
    """Something of the other workspace changed."""
    TELLS = "tells"
    """Foreign and unknown can be told apart."""
    ACCEPTED = "accepted"
    """A request that claims to be another's was not refused."""
    UNDECLARED = "undeclared"
    """A door says nothing of whose things it is about."""
    UNTRIED = "untried"
    """A door could not be attacked."""


class DoorKind(StrEnum):
    """What a door is."""

    ROUTE = "route"
    COMMAND = "command"
    STREAM = "stream"
    CURSOR = "cursor"
    IDEMPOTENCY = "idempotency key"
    CREDENTIAL = "credential"
    FILES = "file folder"
    METRICS = "metric label"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    door: str
    text: str


@dataclass(slots=True)
class Door:
    """One way in."""

    kind: DoorKind
    name: str
    tenancy: str | None
    attacks: int = 0
    why_not: str = ""
    """Why it could not be attacked."""

    @property
    def covered(self) -> bool:
        """Whether it is declared and was attacked."""
        return self.tenancy is not None and self.attacks > 0


@dataclass
class Report:
    """One audit."""

    server: str
    workspaces: tuple[str, str]
    doors: list[Door] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    requests: int = 0
    canaries: int = 0
    fields: int = 0
    """Fields that a client can write."""
    fields_marked: int = 0
    """Those of them that carried a canary in a request that was accepted."""
    unmarked: list[str] = field(default_factory=list)
    compared: int = 0
    """Pairs of answers, foreign and unknown."""
    rows: int = 0
    """Stored rows and files of the attacked workspace that were compared before and after."""
    seconds: float = 0.0
    waited_s: float = 0.0
    """For rate limits."""

    def door(self, kind: DoorKind, name: str, tenancy: str | None) -> Door:
        """Return a door, adding it if it is new."""
        for known in self.doors:
            if (known.kind, known.name) == (kind, name):
                return known
        self.doors.append(Door(kind, name, tenancy))
        return self.doors[-1]

    def add(self, kind: Kind, door: str, text: str) -> None:
        """Take note of a finding, once."""
        finding = Finding(kind, door, text)
        if finding not in self.findings:
            self.findings.append(finding)

    def close(self) -> None:
        """Turn every door that is not covered into a finding."""
        for door in self.doors:
            if door.tenancy is None:
                self.add(Kind.UNDECLARED, door.name, f"This {door.kind} declares no tenancy.")
            elif not door.attacks:
                self.add(Kind.UNTRIED, door.name, door.why_not or f"Nothing could be tried on this {door.kind}.")

    def count(self, *kinds: Kind) -> int:
        """Return how many findings are of these kinds."""
        return sum(finding.kind in kinds for finding in self.findings)

    @property
    def coverage(self) -> float:
        """The share of the doors that are declared and were attacked."""
        return _share(door.covered for door in self.doors)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings and bool(self.doors)

    def as_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "clean": self.clean,
            "server": self.server,
            "workspaces": list(self.workspaces),
            "canaries_seen": self.count(Kind.CANARY),
            "writes": self.count(Kind.WRITE),
            "told_apart": self.count(Kind.TELLS),
            "accepted": self.count(Kind.ACCEPTED),
            "coverage": self.coverage,
            "requests": self.requests,
            "answers_compared": self.compared,
            "canaries_planted": self.canaries,
            "fields": {"known": self.fields, "marked": self.fields_marked, "unmarked": self.unmarked},
            "rows_compared": self.rows,
            "seconds": round(self.seconds, 1),
            "waited_s": round(self.waited_s, 1),
            "findings": [asdict(finding) for finding in self.findings],
            "doors": [{**asdict(door), "covered": door.covered} for door in self.doors],
        }


def _share(covered: Iterable[bool]) -> float:
    each = list(covered)
    return sum(each) / len(each) if each else 0.0
