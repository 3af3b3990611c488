"""The Lua scripts: each transition and nearly each read of more than one key is one file, run by Redis as one operation.

A file says what it is and which shared parts it needs (``-- uses: …``). What is sent is, in this order: the rules of the
vocabulary as Lua tables, ``call`` and the shared parts, the file's own text as the function ``verb``, and ``run``, which
calls it. Where a file names a key (``K.job:format(workspace, id)``), the pieces of that key are sent, joined: Lua joins in a third
of the time in which it formats. So keys are spelt in ``keys.py`` alone, and the drawing of states in ``job.py`` alone.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from steward.approval import ApprovalStatus
from steward.job import FINAL, MAX_HISTORY, TRANSITIONS, JobStatus
from steward.plan import MAX_JOBS_PER_PLAN, PlanStatus
from steward.work_store import MAX_DRAFTS
from steward.work_stores.redis.job_records import JOB_FIELDS, LINE_FIELDS, LISTED_FIELDS, SPEC_FIELDS
from steward.work_stores.redis.keys import KEYS
from steward.work_stores.redis.legacy.words import FROM_OLD, TO_OLD
from steward.work_stores.redis.plan_records import CARRIED_FIELDS, PLAN_FIELDS
from steward.work_stores.redis.records import APPROVAL_FIELDS

_FOLDER: Final = Path(__file__).parent / "lua"
_FORMATTED: Final = re.compile(r"\bK\.(\w+):format\(([^()]*)\)")
_NAMED: Final = re.compile(r"\bK\.(\w+)")
_WORD: Final = re.compile(r"\b[A-Z][A-Z_]*\b")
_USES: Final = re.compile(r"^-- uses:([a-z ]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One script as it is sent."""

    name: str
    text: str
    sha: str


def _lua(value: Any) -> str:
    """Return a value of the vocabulary as Lua."""
    match value:
        case str():
            return f"'{value}'"
        case int():
            return str(value)
        case Mapping():
            return "{" + ",".join(f"{name}={_lua(item)}" for name, item in value.items()) + "}"
        case _:
            return "{" + ",".join(_lua(item) for item in value) + "}"


def _set(words: Iterable[str]) -> str:
    return "{" + ",".join(f"{word}=true" for word in sorted(words)) + "}"


def _joined(found: re.Match[str]) -> str:
    """Return a key with its parts as Lua that joins them."""
    pieces, parts = KEYS[found[1]].split("%s"), [part.strip() for part in found[2].split(",")]
    assert len(pieces) == len(parts) + 1, f"{found[0]} has other parts than its key"
    between = (f"{part} .. {_lua(piece)}" if piece else part for part, piece in zip(parts, pieces[1:], strict=True))
    return f"({' .. '.join((_lua(pieces[0]), *between))})"


def _with_keys(text: str) -> str:
    """Return ``text`` with the keys that it names."""
    return _NAMED.sub(lambda found: f"({_lua(KEYS[found[1]])})", _FORMATTED.sub(_joined, text))


@cache
def _words_of_vocabulary() -> Mapping[str, str]:
    """Return what scripts use of the vocabulary, by name, as Lua."""
    edges = ",".join(f"{before}={_set(afters)}" for before, afters in TRANSITIONS.items())
    return {
        "K": _lua(KEYS),
        "TRANSITIONS": "{" + edges + "}",
        "FINAL": _set(FINAL),
        "JOB_STATUSES": _lua(list(JobStatus)),
        "ENDED_FIRST": _lua(sorted(JobStatus, key=lambda status: status not in FINAL)),
        "PLAN_STATUSES": _lua(list(PlanStatus)),
        "APPROVAL_STATUSES": _lua(list(ApprovalStatus)),
        "TO_OLD": _lua(TO_OLD),
        "FROM_OLD": _lua(FROM_OLD),
        "MAX_HISTORY": _lua(MAX_HISTORY),
        "MAX_JOBS": _lua(MAX_JOBS_PER_PLAN),
        "MAX_DRAFTS": _lua(MAX_DRAFTS),
        "JOB_FIELDS": _lua(JOB_FIELDS),
        "LISTED_FIELDS": _lua(LISTED_FIELDS),
        "LINE_FIELDS": _lua(LINE_FIELDS),
        "SPEC_FIELDS": _lua(SPEC_FIELDS),
        "STATUS_FIELD": _lua(JOB_FIELDS.index("status") + 1),
        "PLAN_FIELDS": _lua(PLAN_FIELDS),
        "STATUS_OF_PLAN": _lua(PLAN_FIELDS.index("status") + 1),
        "CARRIED_FIELDS": _lua(CARRIED_FIELDS),
        "APPROVAL_FIELDS": _lua(APPROVAL_FIELDS),
    }


def _vocabulary(text: str) -> str:
    """Return what ``text`` uses of the vocabulary: what a script does not need costs time in each call."""
    used = frozenset(_WORD.findall(text))  # at once: a script is put together when a worker first has work for it
    return "".join(f"local {name} = {value}\n" for name, value in _words_of_vocabulary().items() if name in used)


def _shared(part: str) -> str:
    return (_FOLDER / "shared" / f"{part}.lua").read_text("utf-8")


def _with_parts(names: Iterable[str]) -> str:
    """Return shared parts in order; whoever writes keeps the old copy of a job, too."""
    return "".join(_shared(part) + (_shared("legacy") if part == "flush" else "") for part in names)


@cache
def script(name: str) -> Script:
    """Return the script with this name, put together."""
    own = (_FOLDER / f"{name}.lua").read_text("utf-8")
    uses = _USES.search(own)
    assert uses is not None, f"{name}.lua says nothing about what it uses"
    text = f"{_with_parts(['call', *uses[1].split()])}local function verb()\n{own}end\n{_shared('run')}"
    text = _with_keys(text)
    text = _vocabulary(text) + text
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def names() -> tuple[str, ...]:
    """Return the names of all scripts."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.lua")))
