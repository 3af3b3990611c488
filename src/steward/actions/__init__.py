"""The actions of an installation: the ``@action`` decorator, the catalogue, and the loader of own modules.

Importing this package loads no built-in action; ``steward.actions.builtin`` makes those.
"""

from steward.action import ParameterRole
from steward.actions.catalogue import ActionCatalogue
from steward.actions.decorator import action
from steward.actions.discovery import load_modules

Destination = ParameterRole.DESTINATION
"""Role marker, as in ``Annotated[str, Destination]``: where something goes. An unmarked parameter counts as this."""
Amount = ParameterRole.AMOUNT
"""Role marker: how much."""
Object = ParameterRole.OBJECT
"""Role marker: which thing is acted on."""
Content = ParameterRole.CONTENT
"""Role marker: words and data that decide nothing."""
Time = ParameterRole.TIME
"""Role marker: when."""
Secret = ParameterRole.SECRET
"""Role marker: sealed wherever it is kept, and never shown."""

__all__ = [
    "ActionCatalogue",
    "Amount",
    "Content",
    "Destination",
    "Object",
    "Secret",
    "Time",
    "action",
    "load_modules",
]
