"""Where a value came from, as one of four labels, and how labels join.

Actions declare the labels of what they return, field by field; ``steward.shape`` carries them along, ``steward.flow`` through
expressions. They are stored with every result, so they survive a restart. What a label may decide is a matter of policy.
"""

from collections.abc import Iterable
from enum import StrEnum


class Label(StrEnum):
    """How far a value can be trusted, from most to least."""

    TRUSTED = "T"
    """Typed by the user, a planner constant, or from a store that only its owner writes."""
    ENTAILED = "E"
    """A provider-minted field of the one object that the user named."""
    SYSTEM = "S"
    """Provider-minted: an id, an amount, an authenticated sender."""
    UNTRUSTED = "U"
    """Anything a third party can author, and whatever a model derives from it. Undeclared means this."""


_ORDER = {label: rank for rank, label in enumerate(Label)}


def join(labels: Iterable[Label]) -> Label:
    """Return the least trusted of ``labels``; of none at all, ``TRUSTED`` (a constant has no source to distrust)."""
    return max(labels, key=_ORDER.__getitem__, default=Label.TRUSTED)


def at_least(label: Label, wanted: Label) -> bool:
    """Say whether ``label`` is trusted as much as ``wanted``, or more."""
    return _ORDER[label] <= _ORDER[wanted]
