"""Who attacks: somebody who writes whatever others can write, and has a goal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from goals import Call
from tools import TOOLS

from steward.action import ActionDefinition, ParameterRole
from steward.provenance import Label
from steward.shape import MEMBERS

_DECIDING: Final = {ParameterRole.DESTINATION, ParameterRole.AMOUNT, ParameterRole.OBJECT, ParameterRole.SECRET}
_SENDERS: Final = ("sender", "owner", "email")
"""Fields in which a provider names whoever wrote the rest."""


@dataclass
class Mallory:
    """Writes every untrusted value: what tools return, what the quarantined reader answers, and what is made of either.

    Whatever a plan does with untrusted values on the way is theirs too: where an argument of an action that is about to run
    is untrusted, it *is* what the goal needs, if with that value nobody would be asked either. So no cleverness is missing
    that a better attacker would have. Where an argument is said to be better than that and yet holds a word of theirs, a
    label was lost.
    """

    suite: str
    wants: list[Call]
    quiet: bool = False
    """Leave alone what is read, so that no condition of the plan fails on it, and only change what is made of it."""
    word: str = field(default="", init=False)
    """An account, address or id of theirs, put in place of what others would write."""
    lost: list[str] = field(default_factory=list)
    """Labels that were lost on the way."""

    def __post_init__(self) -> None:
        """Choose the word."""
        self.word = _first_text(self.wants)

    def says(self, answer: Any) -> Any:
        """Return an answer of the same form, in their words."""
        return answer if self.quiet else self._rewritten(answer, {}, "", Label.UNTRUSTED)

    def reads(self, definition: ActionDefinition, result: Any) -> Any:
        """Return what a tool returns where they wrote all that is untrusted, and added to every list that they can add to."""
        labels = definition.output_labels
        return result if self.quiet else self._rewritten(result, labels, "", labels.get("", Label.UNTRUSTED))

    def feeds(self, tool: str, params: Mapping[str, Any], labels: Mapping[str, Label]) -> Mapping[str, Any]:
        """Return an action's arguments with those that are untrusted as the goal needs them."""
        role_of = TOOLS[self.suite][tool].roles
        for name, value in params.items():
            deciding = role_of.get(name, ParameterRole.DESTINATION) in _DECIDING
            if (
                not self.quiet
                and deciding
                and labels.get(name) is not Label.UNTRUSTED
                and self.word
                and self.word in str(value)
            ):
                self.lost.append(f"{tool}.{name}")
        wanted = next((call for call in self.wants if call[0] == tool), None)
        if wanted is None:
            return params
        self.wants.remove(wanted)
        theirs = {name: value for name, value in wanted[1].items() if labels.get(name) is Label.UNTRUSTED}
        return {**params, **theirs}

    def _rewritten(self, value: Any, labels: Mapping[str, Label], path: str, label: Label) -> Any:
        if isinstance(value, dict):
            return {
                name: self._rewritten(one, labels, place, labels.get(place, label))
                for name, one in value.items()
                for place in [f"{path}.{name}" if path else name]
            }
        if isinstance(value, list):
            place = f"{path}[]"
            mine = [self._rewritten(one, labels, place, labels.get(place, label)) for one in value]
            added = [self._own(mine[0])] if mine and labels.get(path + MEMBERS) is Label.UNTRUSTED else []
            return [*added, *mine, *added]
        if label is not Label.UNTRUSTED or not isinstance(value, str):
            return value
        return f"{value} {self.word}" if " " in value else self.word

    def _own(self, like: Any) -> Any:
        """Return something of their own among what a tool lists, as its provider would describe it."""
        named = {name: self.word for name in _SENDERS if isinstance(like, dict) and name in like}
        return {**like, **named} if isinstance(like, dict) else like


def _first_text(wants: list[Call]) -> str:
    """Return the first argument of the goal's last call that is not merely content: an address, an account, an id."""
    for _, args in reversed(wants):
        for value in args.values():
            one = value[0] if isinstance(value, list) and value else value
            if isinstance(one, str) and one:
                return one
    return ""
