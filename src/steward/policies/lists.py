"""Policy by two lists: what the catalogue offers, narrowed by an allowlist, with a denylist that wins.

It answers allow or deny, never ask. It does not look at scopes: the doors check those before they ask here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from steward.action import ActionDefinition, Catalogue, is_action_id
from steward.digest import sha256_of
from steward.errors import ConfigurationError
from steward.identity import Principal
from steward.policy import Allow, Decision, Deny
from steward.workspace import SYSTEM_WORKSPACE, canonical_workspace_id

ALLOWLIST: Final = "ACTION_ALLOWLIST"
DENYLIST: Final = "ACTION_DENYLIST"
_SHOWN_CHARS: Final = 60


@dataclass(frozen=True, slots=True)
class _ActionList:
    """One parsed list: exact ids and prefixes ending in a dot; ``everything`` for ``*``."""

    entries: tuple[str, ...]

    @classmethod
    def parse(cls, variable: str, text: str) -> "_ActionList":
        """Return the list that ``text`` spells; raise ``ConfigurationError`` naming ``variable`` if an entry is wrong."""
        entries = tuple(entry for item in text.split(",") if (entry := item.strip()))
        for position, entry in enumerate(entries, start=1):
            prefix = entry.removesuffix(".*")
            if entry != "*" and not is_action_id(prefix if prefix == entry else f"{prefix}.x"):
                raise ConfigurationError(
                    f"{variable}: entry {position} is not '*', an action id such as 'email.send', or 'provider.*'."
                )
        return cls(entries)

    @staticmethod
    def _covers(entry: str, action_id: str) -> bool:
        return entry in ("*", action_id) or (entry.endswith(".*") and action_id.startswith(entry[:-1]))

    def __contains__(self, action_id: str) -> bool:
        """Whether any entry covers this id; case counts."""
        return any(self._covers(entry, action_id) for entry in self.entries)

    def idle(self, ids: tuple[str, ...]) -> Iterator[str]:
        """Yield the entries that cover none of ``ids``: probably misspelt."""
        return (entry for entry in self.entries if not any(self._covers(entry, action_id) for action_id in ids))


class ListPolicy:
    """Decides by catalogue, allowlist and denylist, all fixed when it is made."""

    def __init__(self, catalogue: Catalogue, allowlist: str | None, denylist: str | None) -> None:
        """Take the lists as written in the environment. Allowlist None: the enabled catalogue; blank: nothing."""
        self._catalogue = catalogue
        self._allowed = None if allowlist is None else _ActionList.parse(ALLOWLIST, allowlist)
        self._denied = _ActionList.parse(DENYLIST, denylist or "")
        self._version = "lists-" + sha256_of([allowlist, denylist])[:12]

    @property
    def version(self) -> str:
        """What identifies these lists."""
        return self._version

    def decide(
        self,
        principal: Principal,
        action_id: object,
        resource: Mapping[str, Any],  # noqa: ARG002 - lists look at the action alone
        context: Mapping[str, Any],  # noqa: ARG002
    ) -> Decision:
        """Return Allow or Deny for this principal and action; never raises, whatever ``action_id`` is."""
        if principal.is_operator or principal.workspace_id == SYSTEM_WORKSPACE:
            return Deny(
                "operator_runs_nothing",
                "An operator runs the installation and may not run actions.",
                "Use a key of the workspace the work belongs to.",
            )
        return self._decide_action(action_id)

    def decide_on(self, principal: Principal, action_id: str, facts: Mapping[str, Any]) -> Decision:
        """Return the same for recorded facts, which lists do not look at."""
        return self.decide(principal, action_id, {}, facts)

    def can_execute(self, action_id: object, user_id: str | None = None, workspace_id: str | None = None) -> bool:  # noqa: ARG002 - the signature is the contract's
        """Return whether the action is not denied; False for a malformed workspace and for ``system``."""
        if workspace_id is not None and canonical_workspace_id(workspace_id) is None:
            return False
        return workspace_id != SYSTEM_WORKSPACE and isinstance(self._decide_action(action_id), Allow)

    def idle_entries(self) -> dict[str, tuple[str, ...]]:
        """Return, by variable, the entries that match no action of the catalogue; for a health check."""
        ids = tuple(definition.id for definition in self._catalogue.definitions())
        allowed = tuple(self._allowed.idle(ids)) if self._allowed else ()
        found = {ALLOWLIST: allowed, DENYLIST: tuple(self._denied.idle(ids))}
        return {variable: entries for variable, entries in found.items() if entries}

    def _decide_action(self, action_id: object) -> Decision:
        action = self._catalogue.get(action_id) if isinstance(action_id, str) and is_action_id(action_id) else None
        if action is None:
            return _unknown(action_id)
        return self._refusal(action.definition) or self._permission(action.definition.id)

    def _refusal(self, definition: ActionDefinition) -> Deny | None:
        """Return why this known action is denied whatever the allowlist says, if it is. The denylist speaks first."""
        if definition.id in self._denied:
            return Deny(
                "action_denylist",
                f"{definition.id} is on this installation's denylist ({DENYLIST}).",
                f"Whoever runs this installation can take it off {DENYLIST}.",
            )
        if not definition.enabled:
            because = definition.disabled_because or "It is switched off in this installation."
            return Deny("action_disabled", f"{definition.id} is not enabled. {because}", because)
        return None

    def _permission(self, action_id: str) -> Decision:
        if self._allowed is None:
            return Allow("catalogue", f"{action_id} is an enabled action and no allowlist is set.")
        if action_id in self._allowed:
            return Allow("action_allowlist", f"{action_id} is on this installation's allowlist.")
        return Deny(
            "action_allowlist",
            f"{action_id} is not on this installation's allowlist ({ALLOWLIST}).",
            f"Whoever runs this installation can add it to {ALLOWLIST}.",
        )


def _unknown(action_id: object) -> Deny:
    if isinstance(action_id, str):
        shown = ascii(action_id[:_SHOWN_CHARS])
        return Deny("unknown_action", f"There is no action {shown}.", "Look at the catalogue for what there is.")
    return Deny("unknown_action", "An action id is a text such as 'email.send'.", "Give the id of an action.")
