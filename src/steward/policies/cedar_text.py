"""Reading what a workspace wrote: Cedar made of ``forbid`` alone, bounded in every way, and bound to its workspace.

A workspace's policy can only take away. It cannot permit, has no templates, and names no other workspace.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any, Final, TypeVar

from cedarpy import PolicySet, Schema, pst, validate_policies

from steward.errors import FieldProblem, Invalid
from steward.ids import is_word
from steward.policies.cedar_rules import APPROVER_ROLES, Rule, in_order
from steward.policy import OWN_RULES

MAX_TEXTS: Final = 20
"""Policies of one workspace."""
MAX_TEXT_CHARS: Final = 8_000
MAX_RULES: Final = 20
"""``forbid`` statements in one policy."""
MAX_OPENINGS: Final = 500
MAX_SAID_CHARS: Final = 300
_MAX_PROBLEMS: Final = 5
_STACK_BYTES: Final = 128 * 1024 * 1024
_ANNOTATIONS: Final = frozenset({"id", "reason", "fix", "another_person", "approver_role"})
_WORKSPACE: Final = pst.EntityType("Workspace")
_ID: Final = re.compile(r"^for policy `policy\d+`, ")
_T = TypeVar("_T")


@cache
def _roomy() -> ThreadPoolExecutor:
    """Return a thread with room for whatever depth a text of the allowed size can have.

    Cedar's parser descends as deep as the text is nested, and overflows an ordinary stack at some 650 brackets.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="steward-cedar")
    before = threading.stack_size(_STACK_BYTES)
    try:
        pool.submit(int).result()  # the thread is made now, while the size holds
    finally:
        threading.stack_size(before)
    return pool


async def with_room(function: Callable[..., _T], *args: Any) -> _T:
    """Return what ``function`` returns, called where a deep text cannot bring the process down."""
    return await asyncio.get_running_loop().run_in_executor(_roomy(), function, *args)


def rules_of(workspace_id: str, name: str, text: str, schema: Schema | None = None) -> tuple[Rule, ...]:
    """Return the rules of a workspace's policy, each bound to it; call it ``with_room``.

    Raises ``Invalid``, with the place, for a text that no workspace may have, or that does not fit ``schema`` if given.
    """
    if not is_word(name):
        raise Invalid(
            "A policy's name is a-z, 0-9 and '_', starting with a letter, at most 64 characters.",
            errors=[FieldProblem("/name", "not a policy name")],
        )
    problems = [*_too_large(text)]
    policies = [] if problems else _parsed(text, problems)
    for number, policy in enumerate(policies, start=1):
        problems += [f"Policy {number}: {problem}" for problem in _forbidden(policy, workspace_id)]
    ids = [policy.annotations["id"] for policy in policies if "id" in policy.annotations]
    if len(set(ids)) != len(ids):
        problems.append("Two forbid statements have the same @id.")
    if schema is not None and not problems:
        problems = [*_misfits(text, schema)]
    if problems:
        raise Invalid(
            "The policy cannot be used; nothing was changed.",
            code="invalid_policy",
            errors=[FieldProblem("/text", problem) for problem in problems[:_MAX_PROBLEMS]],
        )
    return tuple(_rule(workspace_id, name, number, policy) for number, policy in enumerate(policies, start=1))


def _too_large(text: str) -> Iterator[str]:
    if len(text) > MAX_TEXT_CHARS:
        yield f"It has at most {MAX_TEXT_CHARS} characters."
    elif sum(map(text.count, "([{")) > MAX_OPENINGS:
        yield f"It has at most {MAX_OPENINGS} opening brackets."


def _parsed(text: str, problems: list[str]) -> list[pst.Template]:
    """Return the policies as trees, or nothing and a problem. No exception leaves here: it would keep the tree alive."""
    try:
        policies = PolicySet.from_str(text, release_gil=True)
    except ValueError as error:
        problems.append(f"{_place(text)}: {str(error)[:MAX_SAID_CHARS]}.")
        return []
    try:
        parsed = policies.to_pst()
    except ValueError as error:
        problems.append(f"{str(error).removeprefix('cedarpy: ')[:MAX_SAID_CHARS].capitalize()}.")
        return []
    if parsed.templates:
        problems.append("Templates (?principal, ?resource) cannot be used here.")
    if not 1 <= len(parsed.static_policies) <= MAX_RULES:
        problems.append(f"It has 1 to {MAX_RULES} forbid statements.")
    return [] if problems else in_order(parsed.static_policies)


def _place(text: str) -> str:
    """Return where the policy begins that cannot be read: after the last one that can."""
    good, count = 0, 0
    for end in [found.end() for found in re.finditer(";", text)][: 2 * MAX_RULES]:
        try:
            count, good = len(PolicySet.from_str(text[:end])), end
        except ValueError:
            continue
    rest = text[good:]
    line = text.count("\n", 0, good + len(rest) - len(rest.lstrip())) + 1
    return f"Policy {count + 1}, which begins on line {line}"


def _forbidden(policy: pst.Template, workspace_id: str) -> Iterator[str]:
    """Yield why a workspace may not have this."""
    if policy.effect != "forbid":
        yield "a workspace's policy can only forbid."
    named = {uid.id for uid in pst.entity_uids(policy) if uid.type == _WORKSPACE}
    if named - {workspace_id}:
        yield "it names another workspace."
    notes = policy.annotations
    if unknown := sorted(set(notes) - _ANNOTATIONS):
        yield f"there is no annotation @{unknown[0][:40]}; there are {', '.join(sorted(_ANNOTATIONS))}."
    for key, value in notes.items():
        if len(value) > MAX_SAID_CHARS or not value.isprintable():
            yield f"@{key[:40]} is one line of at most {MAX_SAID_CHARS} characters."
    if "id" in notes and not is_word(notes["id"]):
        yield "@id is a-z, 0-9 and '_', starting with a letter."
    if notes.get("another_person", "true") != "true":
        yield '@another_person is "true" or left out.'
    if notes.get("approver_role", "admin") not in APPROVER_ROLES:
        yield f"@approver_role is {' or '.join(APPROVER_ROLES)}."
    if {"another_person", "approver_role"} & notes.keys() and not Rule.of("", policy).asks:
        yield 'only a rule on unattended actions asks; head it with, say, action in Action::"write:unattended".'


def _misfits(text: str, schema: Schema) -> Iterator[str]:
    """Yield what the policy says that the schema does not know, each once."""
    said: set[str] = set()
    for error in validate_policies(text, schema, release_gil=True).errors:
        number = int(error.policy_id.removeprefix("policy") or 0) + 1
        what = _ID.sub("", error.error).split(" for Action::", 1)[0]
        problem = f"Policy {number}: {what[:MAX_SAID_CHARS]}."
        if problem not in said:
            said.add(problem)
            yield problem


def _rule(workspace_id: str, name: str, number: int, policy: pst.Template) -> Rule:
    """Return the rule, holding for its own workspace and no other."""
    own = policy.annotations.get("id", "" if number == 1 else str(number))
    bound = replace(policy, resource=pst.ScopeEq(pst.EntityUid(_WORKSPACE, workspace_id)))
    reason = (
        f"This workspace's policy '{name}' does not let it run {'unattended' if Rule.of('', policy).asks else 'here'}."
    )
    return Rule.of(
        f"{OWN_RULES}{name}" + (f"/{own}" if own else ""),
        bound,
        reason,
        "An admin of the workspace can change the policy.",
    )
