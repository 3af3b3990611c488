"""The policies of every workspace, as they stand: read from the directory, compiled once for each state of the rules.

What the directory says is kept for a tenth of a second, so that a busy workspace costs no look-up for every decision and a
change made by any process is in force soon. A compiled policy is kept as long as nothing that it was made of changes.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from cachetools import LRUCache, TTLCache

from steward.action import Catalogue
from steward.directory import Directory, WorkspacePolicy
from steward.errors import POLICY_REMEDY, SETTINGS_REMEDY, Invalid, PolicyNotGenuine
from steward.policies.cedar import CedarPolicy, Ground, UnreadablePolicy
from steward.policies.cedar_rules import default_rules, may_be_named, require_optional
from steward.policies.cedar_schema import Language
from steward.policies.cedar_text import MAX_TEXTS, rules_of, with_room
from steward.policies.lists import ListPolicy
from steward.policy import DefaultRule, Policy
from steward.workspace import Workspace

TTL_S: Final = 0.1
_WORKSPACES: Final = 10_000
_COMPILED: Final = 500


class CedarPolicies:
    """``Policies`` on Cedar. To be used from one event loop."""

    def __init__(self, lists: ListPolicy, catalogue: Catalogue, directory: Directory) -> None:
        """Take the installation's lists and where workspaces keep theirs; refuse a catalogue that policy cannot speak of."""
        self._lists = lists
        self._catalogue = catalogue
        self._directory = directory
        self._readings: TTLCache[str, asyncio.Future[tuple[WorkspacePolicy, ...] | None]] = TTLCache(_WORKSPACES, TTL_S)
        self._compiled: LRUCache[Ground, Policy] = LRUCache(_COMPILED)
        self._language = Language(catalogue.definitions())
        _ = self._language.text  # a group that policy cannot speak of stops the start

    async def of(self, workspace_id: str) -> Policy:
        """Return the policy of a workspace as it stands; one that denies everything if it cannot be read."""
        ground = await self._ground(workspace_id)
        if isinstance(ground, UnreadablePolicy):
            return ground
        try:
            return self._compiled[ground]  # and not get(), which hashes the ground once more
        except KeyError:
            policy = self._compiled[ground] = await with_room(_compiled, ground)
            return policy

    async def with_changes(
        self, workspace_id: str, *, texts: Mapping[str, str], switch_on: Collection[str] = ()
    ) -> Policy:
        """Return the policy as it would be with these texts, by name, and these optional rules.

        Raises ``Invalid``, with the place, for what no workspace may have.
        """
        self.require_optional(switch_on, "/switch_on")
        schema = self._speak().schema
        for name, text in texts.items():
            await with_room(rules_of, workspace_id, name, text, schema)
        ground = await self._ground(workspace_id)
        if isinstance(ground, UnreadablePolicy):
            return ground
        changed = {**dict(ground.texts), **texts}
        if len(changed) > MAX_TEXTS:
            raise Invalid(f"A workspace has at most {MAX_TEXTS} policies.", code="too_many_policies")
        switched_on = ground.switched_on | set(switch_on)
        return await with_room(
            _compiled, replace(ground, texts=tuple(sorted(changed.items())), switched_on=switched_on)
        )

    def defaults(self) -> tuple[DefaultRule, ...]:
        """Return the rules that come with Steward, in the order in which they speak."""
        return tuple(rule.document() for rule in default_rules())

    def require_optional(self, names: Collection[str], pointer: str) -> None:
        """Raise ``Invalid``, at ``pointer``, unless every name is that of a rule that a workspace may switch on."""
        require_optional(names, pointer)

    def forget(self, workspace_id: str) -> None:
        """Read a workspace's policies anew when they are next asked for."""
        self._readings.pop(workspace_id, None)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _ground(self, workspace_id: str) -> Ground | UnreadablePolicy:
        workspace = await self._directory.get_workspace(workspace_id)
        if workspace is None:
            return UnreadablePolicy("This workspace does not exist any more, so nothing may run in it.", "")
        if workspace.kept is None:
            return UnreadablePolicy(
                "This workspace's settings cannot be read, so nothing may run here.", SETTINGS_REMEDY
            )
        try:
            own = await self._own(workspace_id)
        except PolicyNotGenuine as error:
            return UnreadablePolicy(
                f"{error.detail.removesuffix(POLICY_REMEDY)}So nothing may run here.", POLICY_REMEDY
            )
        if any(policy.workspace_id != workspace_id for policy in own):
            return UnreadablePolicy(
                "The policies that were found are another workspace's, so nothing may run here.", ""
            )
        return self._made_of(workspace, tuple((policy.name, policy.text) for policy in own))

    def _made_of(self, workspace: Workspace, texts: tuple[tuple[str, str], ...]) -> Ground:
        return Ground(
            workspace_id=workspace.workspace_id,
            lists=self._lists,
            catalogue=self._catalogue,
            language=self._speak(),
            own_domains=workspace.settings.own_domains,
            switched_on=frozenset(workspace.settings.rules),
            texts=texts,
        )

    def _speak(self) -> Language:
        """Return the schema for the catalogue as it is: own actions may be added while the process starts."""
        definitions = self._catalogue.definitions()
        if definitions != self._language.definitions:
            self._language = Language(definitions)
        return self._language

    async def _own(self, workspace_id: str) -> tuple[WorkspacePolicy, ...]:
        """Return the workspace's own policies, read at most once at a time and ten times a second."""
        while True:
            try:
                reading = self._readings[workspace_id]  # and not get(), which looks at the clock once more
            except KeyError:
                return await self._read_own(workspace_id)
            found = reading.result() if reading.done() else await asyncio.shield(reading)
            if found is not None:
                return found

    async def _read_own(self, workspace_id: str) -> tuple[WorkspacePolicy, ...]:
        """Read them for whoever asks and for those who ask meanwhile; nobody need be woken where they can be read at once."""
        reading = asyncio.get_running_loop().create_future()
        self._readings[workspace_id] = reading
        try:
            found = await self._directory.list_policies(workspace_id)
        except Exception as error:
            reading.set_exception(error)
            reading.exception()  # perhaps nobody else asks
            self._forget_reading(workspace_id, reading)
            raise
        except BaseException:  # who reads was cancelled: those who wait read for themselves
            reading.set_result(None)
            self._forget_reading(workspace_id, reading)
            raise
        reading.set_result(found)
        return found

    def _forget_reading(self, workspace_id: str, reading: object) -> None:
        if self._readings.get(workspace_id) is reading:
            self.forget(workspace_id)


def _compiled(ground: Ground) -> Policy:
    """Return the policy that decides by these rules, or the one that denies everything because they cannot be read."""
    if unknown := sorted(ground.switched_on - may_be_named()):
        return UnreadablePolicy(
            f"This workspace switches on the rule '{unknown[0]}', which this version does not have, so nothing may run.",
            "An admin can take it out of the workspace's settings.",
        )
    own = []
    for name, text in ground.texts:
        try:
            own += rules_of(ground.workspace_id, name, text)
        except Invalid:
            return UnreadablePolicy(
                f"This workspace's policy '{name}' cannot be read, so nothing may run.",
                POLICY_REMEDY,
            )
    return CedarPolicy(ground, own)
