"""The check before anything runs: what it refuses, what it shows, and what the digest binds."""

from dataclasses import replace
from typing import Annotated, Any

import pytest

from steward.action import ActionDefinition, Effect, ParameterRole, RetryMode
from steward.actions import ActionCatalogue, Amount, Content, Destination, Object, Secret, Time, action
from steward.actions.base import BuiltinAction
from steward.actions.compute import Compute
from steward.digest import sha256_of
from steward.errors import Invalid, UnknownAction
from steward.identity import Principal, Role, Scope
from steward.plan import PlannedAction, PlanResult
from steward.plan_check import CheckedPlan, PlanCheck, schema_problems, with_defaults
from steward.policies.lists import ListPolicy
from steward.policy import Allow, Deny
from steward.provenance import Label
from steward.redaction import REDACTED
from steward.vault import Vault

WHO = Principal("key_1", "acme", frozenset({Role.DEVELOPER}), frozenset({Scope.EXECUTE}))
OLD, NEW = "old key " * 5, "new key " * 5


@action("pay.send", effect="write", retry="keyed", output_labels={"receipt": Label.SYSTEM})
async def pay(  # noqa: PLR0917 - a parameter of every role
    to: Annotated[str, Destination],
    amount: Annotated[int, Amount],
    when: Annotated[str, Time] = "now",
    subject: Annotated[str, Object] = "",
    note: Annotated[str, Content] = "",
    pin: Annotated[str, Secret] = "",
    unmarked: str = "",
) -> dict[str, str]:
    """Pay somebody."""
    return {"receipt": f"{to}{amount}{when}{subject}{note}{pin}{unmarked}"}


@action("mail.read", effect="read", output_labels={"sender": Label.SYSTEM})
async def read() -> dict[str, Any]:
    """Read a message."""
    return {"sender": "office@example.com", "text": "hello"}


class Declared(BuiltinAction):
    """An action that is only its declaration."""

    def __init__(self, definition: ActionDefinition) -> None:
        """Declare ``definition``."""
        self.definition = definition

    async def run(self, params: Any, context: Any) -> Any:
        """Do nothing."""


DEFINITION = ActionDefinition(
    id="box.put",
    title="Put",
    description="Put something into a box.",
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}, "key": {"type": "string"}, "more": {"default": 1}},
        "required": ["text"],
        "additionalProperties": False,
    },
    output_schema={"type": "object", "properties": {"a": {}}},
    effect=Effect.WRITE,
    retry=RetryMode.KEYED,
    roles={"text": ParameterRole.CONTENT, "key": ParameterRole.SECRET, "more": ParameterRole.CONTENT},
    acting_as="office@example.com",
)


def checked(
    *steps: dict[str, Any],
    definition: ActionDefinition = DEFINITION,
    keys: tuple[str, ...] = (OLD,),
    who: Principal = WHO,
    denylist: str | None = None,
) -> CheckedPlan:
    """Check steps against a catalogue of this module's actions."""
    catalogue = ActionCatalogue()
    for known in (pay, read, Compute(), Declared(definition)):
        catalogue.add(known)
    plan = PlanResult(
        prompt="x", intent="x", explanation="x", steps=[PlannedAction(**step) for step in steps], confidence=1.0
    )
    return PlanCheck(catalogue, Vault(keys)).check(ListPolicy(catalogue, None, denylist), who, plan.steps)


def put(**more: Any) -> dict[str, Any]:
    """Return a step that puts a text into the box."""
    params = {"text": "a", **more.pop("params", {})}
    return {"action_id": "box.put", "params": params, **more}


PAY = {"action_id": "pay.send", "params": {"to": "office@example.com", "amount": 5}}
READ = {"action_id": "mail.read"}


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action_id", ["pay.nobody", "pay.send2", "compute.x"])
def test_w18_an_unknown_action_is_refused(action_id: str) -> None:
    """With its place and its step, before anything else is looked at."""
    with pytest.raises(UnknownAction) as caught:
        checked(READ, {"action_id": action_id})
    assert caught.value.errors[0].pointer == "/steps/1/action_id"
    assert caught.value.facts["step"] == "s2"


@pytest.mark.parametrize(
    ("params", "pointers"),
    [
        ({}, ["/steps/0/params", "/steps/0/params"]),
        ({"to": 5, "amount": "x"}, ["/steps/0/params/to", "/steps/0/params/amount"]),
        ({"to": "a", "amount": 5.5}, ["/steps/0/params/amount"]),
        ({"to": "a", "amount": True}, ["/steps/0/params/amount"]),
        ({"to": "a", "amount": None}, ["/steps/0/params/amount"]),
        ({"to": "a", "amount": 1, "bcc": "b"}, ["/steps/0/params"]),
        ({"to": {"$ref": "x"}, "amount": 1}, None),
    ],
)
def test_w17_parameters_that_do_not_fit_are_refused_with_their_places(
    params: dict[str, Any], pointers: list[str] | None
) -> None:
    """Every problem has a pointer and a sentence that does not repeat the value."""
    if pointers is None:
        with pytest.raises(ValueError, match="/to"):
            checked({"action_id": "pay.send", "params": params})
        return
    with pytest.raises(Invalid) as caught:
        checked({"action_id": "pay.send", "params": params})
    assert sorted(problem.pointer for problem in caught.value.errors) == sorted(pointers)


def test_problems_do_not_repeat_what_was_given() -> None:
    """The value may be a secret, or long."""
    with pytest.raises(Invalid) as caught:
        checked({"action_id": "pay.send", "params": {"to": "a", "amount": "hunter2", "pin": 5, "hunter2": 1}})
    assert "hunter2" not in str([problem.as_dict() for problem in caught.value.errors]) + caught.value.detail


@pytest.mark.parametrize("parameter", ["to", "amount", "when", "pin", "unmarked", "note"])
def test_where_each_value_comes_from_is_told(parameter: str) -> None:
    """Whatever it decides; what becomes of it is a matter of policy."""
    params = {**PAY["params"], parameter: {"$ref": "steps.s1.result.text"}}
    plan = checked(READ, {"action_id": "pay.send", "params": params})
    assert plan.steps[1].inputs == {parameter: {"from": "s1 (mail.read)", "label": Label.UNTRUSTED}}


def test_a_field_that_a_result_does_not_have_is_refused() -> None:
    """Said before anything runs, with what there is."""
    with pytest.raises(Invalid, match="there are a") as caught:
        checked(put(), put(params={"text": {"$ref": "steps.s1.result.b"}}))
    assert caught.value.stable_code == "invalid_reference"


def test_references_stand_for_any_value_until_they_are_resolved() -> None:
    """Only at their own place: what is wrong elsewhere is still told."""
    plan = checked(
        READ, {"action_id": "pay.send", "params": {**PAY["params"], "note": {"$ref": "steps.s1.result.text"}}}
    )
    assert plan.steps[1].inputs == {"note": {"from": "s1 (mail.read)", "label": Label.UNTRUSTED}}
    with pytest.raises(Invalid):
        checked(READ, {"action_id": "pay.send", "params": {"to": "a", "note": {"$ref": "steps.s1.result.text"}}})


def test_resolved_values_are_judged_as_they_are() -> None:
    """An object that only looks like a reference is an object where the schema wants text."""
    (problem,) = schema_problems(pay.definition, {"to": "a", "amount": 1, "note": {"$ref": "steps.s1.result"}})
    assert (problem.pointer, problem.detail) == ("/note", "It must be of type string.")


def test_many_problems_are_told_up_to_twenty() -> None:
    """A huge mistake does not make a huge answer."""
    schema = {"type": "object", "properties": {"list": {"items": {"type": "string"}}}, "additionalProperties": False}
    definition = replace(DEFINITION, input_schema=schema, roles={})
    assert len(schema_problems(definition, {"list": list(range(1000))})) == 20


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_the_preview_is_faithful_and_masks_secrets() -> None:
    """Destinations, amounts and defaults as they will be used; a secret of any value is masked."""
    step = checked({**PAY, "params": {**PAY["params"], "pin": "0000", "note": "my password=hunter2"}}).steps[0]
    assert step.preview() == {
        "to": "office@example.com",
        "amount": 5,
        "when": "now",
        "subject": "",
        "note": f"my password={REDACTED}",
        "pin": REDACTED,
        "unmarked": "",
    }


def test_labels_follow_what_the_action_declares() -> None:
    """A declared field has its label; an undeclared field and a whole result are untrusted."""
    text = {
        "a": {"$ref": "steps.s1.result.sender"},
        "b": {"$ref": "steps.s1.result.text"},
        "c": {"$ref": "steps.s1.result"},
    }
    plan = checked(READ, {"action_id": "compute", "params": {"value": text}})
    assert {place: item["label"] for place, item in plan.steps[1].inputs.items()} == {
        "value/a": Label.SYSTEM,
        "value/b": Label.UNTRUSTED,
        "value/c": Label.UNTRUSTED,
    }


def test_w130_every_step_is_decided() -> None:
    """Denied steps are checked and shown like others: the plan is told as a whole."""
    plan = checked(READ, PAY, denylist="pay.*")
    assert [type(step.decision) for step in plan.steps] == [Allow, Deny]


def test_defaults_are_filled_in_where_nothing_was_given() -> None:
    """They are part of what is shown and digested."""
    assert with_defaults(DEFINITION, {"text": "a"}) == {"text": "a", "more": 1}
    assert with_defaults(DEFINITION, {"text": "a", "more": None}) == {"text": "a", "more": None}


def test_secrets_are_masked_in_any_text_about_the_plan() -> None:
    """Longest first, at any depth, and an empty secret masks nothing."""
    plan = checked(put(params={"key": "abc"}), put(params={"key": "abcdef"}), put(params={"key": ""}))
    assert plan.without_secrets("say abcdef and abc") == f"say {REDACTED} and {REDACTED}"


# -- the digest -------------------------------------------------------------------------------------------------------

BASE = checked(put(id="s1"), put(id="s2", params={"key": "k"})).digest


@pytest.mark.parametrize(
    "steps",
    [
        [put(id="s1")],
        [put(id="s1"), put(id="s2", params={"key": "k"}), put(id="s3")],
        [put(id="s2", params={"key": "k"}), put(id="s1")],
        [put(id="s1"), put(id="s3", params={"key": "k"})],
        [put(id="s1"), put(id="s2", params={"key": "k", "text": "b"})],
        [put(id="s1"), put(id="s2", params={"key": "k", "text": ""})],
        [put(id="s1"), put(id="s2", params={"key": "other"})],
        [put(id="s1"), put(id="s2")],
        [put(id="s1"), put(id="s2", params={"key": "k", "more": 2})],
        [put(id="s1"), put(id="s2", params={"key": "k", "more": "1"})],
        [put(id="s1"), put(id="s2", params={"key": "k", "more": None})],
        [put(id="s1"), put(id="s2", params={"key": "k"}, depends_on=["s1"])],
        [put(id="s1"), put(id="s2", params={"key": "k", "text": {"$ref": "steps.s1.result.a"}})],
        [put(id="s1"), {"action_id": "mail.read", "id": "s2"}],
    ],
)
def test_the_digest_binds_what_was_written(steps: list[dict[str, Any]]) -> None:
    """Steps, their order, ids, actions, values, secrets, defaults, references and dependencies."""
    assert checked(*steps).digest != BASE


@pytest.mark.parametrize("keys", [(OLD,), (NEW, OLD)])
@pytest.mark.parametrize(
    "params", [{"text": "b", "key": "k"}, {"text": "b"}, {"text": "ä", "more": {"z": 1.5, "a": []}}]
)
def test_the_digest_is_that_of_the_canonical_form(keys: tuple[str, ...], params: dict[str, Any]) -> None:
    """However it is come by: what another version has digested is known again."""
    *_, step = checked(put(id="s1"), put(id="s2", params=params, depends_on=["s1"]), keys=keys).steps
    macs = Vault(keys).macs(params.get("key"), workspace_id="acme")
    bound = {
        "step": "s2",
        "action": "box.put",
        "definition": DEFINITION.definition_hash,
        "params": {"more": 1, **{name: value for name, value in params.items() if name != "key"}},
        "depends_on": ["s1"],
        "account": "office@example.com",
    }
    expected = [sha256_of({**bound, "secrets": {"key": mac} if "key" in params else {}}) for mac in macs]
    assert step.digests == tuple(expected)


def test_the_digest_binds_expressions_as_written() -> None:
    """Two spellings of one path are two digests: nobody reasons about what they mean."""
    refs = ["steps.s1.result.a", 'steps.s1.result."a"', "steps.s1.result . a"]
    digests = {checked(put(), put(params={"text": {"$ref": ref}})).digest for ref in refs}
    assert len(digests) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"input_schema": {**DEFINITION.input_schema, "required": ["text", "more"]}},
        {"output_schema": {"type": "object"}},
        {"effect": Effect.READ},
        {"retry": RetryMode.NONE},
        {"roles": {**DEFINITION.roles, "more": ParameterRole.OBJECT}},
        {"roles": {**DEFINITION.roles, "text": ParameterRole.SECRET}},
        {"acting_as": "other@example.com"},
        {"acting_as": None},
        {"input_schema": {**DEFINITION.input_schema, "properties": {**DEFINITION.input_schema["properties"], "more": {"default": 2}}}},
    ],
)  # fmt: skip
def test_the_digest_binds_the_definition(change: dict[str, Any]) -> None:
    """Schemas, effect, retry mode, roles, account and defaults."""
    other = checked(put(id="s1"), put(id="s2", params={"key": "k"}), definition=replace(DEFINITION, **change))
    assert other.digest != BASE


@pytest.mark.parametrize(
    "change", [{"title": "Other"}, {"sentences": ("put {text:text}",)}, {"enabled": False, "disabled_because": "Off."}]
)
def test_the_digest_leaves_out_what_changes_nothing_that_happens(change: dict[str, Any]) -> None:
    """Words and switches may change without anybody having to look again."""
    other = checked(put(id="s1"), put(id="s2", params={"key": "k"}), definition=replace(DEFINITION, **change))
    assert other.digest == BASE


def test_the_digest_is_the_same_for_the_same_plan() -> None:
    """Also when a default is written out, and whatever the decision is: the policy is judged anew at dispatch."""
    assert checked(put(id="s1"), put(id="s2", params={"key": "k", "more": 1})).digest == BASE
    assert checked(put(id="s1"), put(id="s2", params={"key": "k"}), denylist="*").digest == BASE


def test_a_secret_enters_the_digest_keyed_and_per_workspace() -> None:
    """Nobody who sees the digest can try out secrets; two workspaces with one secret do not look alike."""
    plan = [put(params={"key": "k"})]
    elsewhere = replace(WHO, workspace_id="beta")
    assert checked(*plan).digest != checked(*plan, keys=(NEW,)).digest
    assert checked(*plan).digest != checked(*plan, who=elsewhere).digest
    assert checked(put()).digest == checked(put(), keys=(NEW,), who=elsewhere).digest, (
        "without a secret it is universal"
    )


def test_a_rotation_knows_the_digest_of_before() -> None:
    """Under ``new,old`` the plan has a digest for each; the first is the one to keep."""
    plan = [put(params={"key": "k"}), put()]
    both = checked(*plan, keys=(NEW, OLD))
    assert both.digests == (checked(*plan, keys=(NEW,)).digest, checked(*plan).digest)


def test_an_empty_plan_has_a_digest_too() -> None:
    """A question back is checked like any plan."""
    assert len(checked().digest) == 64
