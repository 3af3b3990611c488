"""Where a value came from, as one of four labels, and how labels join.

Actions already declare the labels of their outputs and jobs already store them; the rules that use them (policy on data
flow) are not built yet. Until then the plan check keeps a simpler, stricter rule: a reference may feed only content and
object parameters.
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
