"""An office with a few actions, and policies over it without a directory: for tests of what rules decide."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from steward.action import Action, ActionContext, ActionDefinition, Effect, ParameterRole, ProbeAnswer, RetryMode
from steward.identity import Principal, Role, scopes_of
from steward.policies.cedar import CedarPolicy, Ground
from steward.policies.cedar_schema import Language
from steward.policies.cedar_text import rules_of
from steward.policies.lists import ListPolicy
from steward.policy import Ask, Decision

R = ParameterRole


class Declared:
    """An action that is only ever looked at."""

    def __init__(
        self,
        action_id: str,
        effect: Effect = Effect.WRITE,
        *,
        groups: Iterable[str] = (),
        enabled: bool = True,
        **roles: ParameterRole,
    ) -> None:
        self.definition = ActionDefinition(
            id=action_id,
            title=action_id,
            description=action_id,
            input_schema={
                "type": "object",
                "properties": {name: {} for name in roles},
                "additionalProperties": False,
            },
            effect=effect,
            retry=RetryMode.NONE,
            roles=roles,
            groups=frozenset(groups),
            enabled=enabled,
            disabled_because="" if enabled else "Set GOOGLE_CLIENT_ID to enable it.",
        )

    async def run(self, params: Any, context: ActionContext) -> Any:
        raise NotImplementedError

    async def probe(self, params: Any, context: ActionContext) -> ProbeAnswer:
        raise NotImplementedError


MAIL: Final = Declared(
    "email.send", groups=["external", "message"], to=R.DESTINATION, cc=R.DESTINATION, subject=R.CONTENT, text=R.CONTENT
)
HOOK: Final = Declared("webhook.post", groups=["external"], url=R.DESTINATION, payload=R.CONTENT)
PAY: Final = Declared("bank.pay", groups=["money", "external"], iban=R.DESTINATION, amount=R.AMOUNT, text=R.CONTENT)
CHAT: Final = Declared("chat.post", groups=["message"], channel=R.DESTINATION, text=R.CONTENT)
FETCH: Final = Declared("http.get", Effect.READ, groups=["external"], url=R.DESTINATION)
NOTE: Final = Declared("file.write", path=R.DESTINATION, text=R.CONTENT)
OFF: Final = Declared("gmail.send", enabled=False, to=R.DESTINATION)
ACTIONS: Final = (MAIL, HOOK, PAY, CHAT, FETCH, NOTE, OFF)


class Shelf:
    """A catalogue of these actions."""

    def __init__(self, actions: Iterable[Action] = ACTIONS) -> None:
        self._actions = {action.definition.id: action for action in actions}

    def get(self, action_id: str) -> Action | None:
        return self._actions.get(action_id)

    def definitions(self) -> tuple[ActionDefinition, ...]:
        return tuple(action.definition for _, action in sorted(self._actions.items()))


SHELF: Final = Shelf()
LANGUAGE: Final = Language(SHELF.definitions())


def person(role: Role = Role.DEVELOPER, workspace_id: str = "acme", name: str = "key_a") -> Principal:
    """Return somebody with one role."""
    return Principal(name, workspace_id, frozenset({role}), scopes_of(frozenset({role})))


def policy(
    *switched_on: str,
    own_domains: tuple[str, ...] = ("acme.example",),
    texts: Mapping[str, str] | None = None,
    allowlist: str | None = None,
    denylist: str | None = None,
) -> CedarPolicy:
    """Return the policy of the workspace acme, with these optional rules and its own texts, checked as when they are kept."""
    own = [rule for name, text in (texts or {}).items() for rule in rules_of("acme", name, text, LANGUAGE.schema)]
    ground = Ground(
        workspace_id="acme",
        lists=ListPolicy(SHELF, allowlist, denylist),
        catalogue=SHELF,
        language=LANGUAGE,
        own_domains=own_domains,
        switched_on=frozenset(switched_on),
        texts=tuple(sorted((texts or {}).items())),
    )
    return CedarPolicy(ground, own)


def said(decision: Decision) -> tuple[str, str]:
    """Return effect and rule."""
    return decision.effect, decision.rule


def mail(*to: str, **more: Any) -> dict[str, Any]:
    """Return the parameters of a mail."""
    return {"to": list(to), "subject": "Lift", "text": "It is repaired.", **more}


def ask(decision: Decision) -> Ask:
    """Return a decision that must be ask."""
    assert isinstance(decision, Ask), decision
    return decision
