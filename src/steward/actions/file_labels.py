"""Where the text of a stored file came from: a mark beside the file, which says so for exactly the bytes that were written.

The mark is written before the content and names its hash. So a file that something else wrote, changed or put in its place
has no mark that fits it, and what is not known is untrusted.
"""

import hashlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steward.provenance import Label, at_least, join


class _Mark(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    label: Label
    actor_id: str


def mark_of(content: bytes, label: Label, actor_id: str) -> bytes:
    """Return the mark to be kept beside a file that ``actor_id`` has written."""
    return _Mark(sha256=hashlib.sha256(content).hexdigest(), label=label, actor_id=actor_id).model_dump_json().encode()


def label_by(mark: bytes | None, content: bytes, actor_id: str) -> Label:
    """Return how far a file's content can be trusted by ``actor_id``.

    What somebody else of the workspace wrote out is theirs, and what was about the object that another plan named is about
    nothing that this one names: neither is more than known to the system.
    """
    try:
        found = None if mark is None else _Mark.model_validate_json(mark)
    except ValidationError:
        found = None
    if found is None or found.sha256 != hashlib.sha256(content).hexdigest():
        return Label.UNTRUSTED
    own = found.actor_id == actor_id and at_least(found.label, Label.TRUSTED)
    return Label.TRUSTED if own else join((found.label, Label.SYSTEM))
