"""Policies that are meant to bring the service down: huge, deep, endless, invalid, or just odd.

Each is answered with a refusal, soon, and the process lives on: a parser that overflows its stack would take every
workspace with it, so the deepest texts are tried in a process of their own.
"""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from steward.identity import Role
from steward.policies.cedar_text import MAX_TEXT_CHARS, MAX_TEXTS
from tests.web.house import House, assert_problem, open_house

pytestmark = pytest.mark.anyio
HEAD = "forbid (principal, action, resource) when { "
SOON_S = 5.0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open an API."""
    async with open_house(tmp_path) as opened:
        yield opened


def filled(unit: str, end: str = "true };", closing: str = "") -> str:
    """Return a text as long as one may be, of a unit repeated, and of what closes it."""
    times = (MAX_TEXT_CHARS - len(HEAD) - len(end) - 2) // (len(unit) + len(closing))
    return HEAD + unit * times + end.replace("};", "") + closing * times + " };"


DEEP = {
    "brackets": filled("(", closing=")"),
    "few enough brackets": HEAD + "(" * 490 + "true" + ")" * 490 + " };",
    "sets": HEAD + "[" * 490 + "]" * 490 + ".isEmpty() };",
    "records": HEAD + "{a:" * 490 + "1" + "}" * 490 + " == 1 };",
    "not": filled("!"),
    "minus": filled("-", "1 == 1 };"),
    "and": filled("true&&"),
    "or": filled("true||"),
    "sum": filled("1+", "1 == 1 };"),
    "product": filled("1*", "1 == 1 };"),
    "if": filled("if true then ", closing=" else true"),
    "if, with a fact": filled("if context.recipients==1 then ", closing=" else true"),
    "attributes": filled("context.a.a.a.a.a.a.a.a.a.a.", "a };").replace(
        "context.a.a.a.a.a.a.a.a.a.a.context", "context"
    ),
    "path": HEAD + "context" + ".a" * 3900 + " };",
    "has": filled("context has a && "),
    "when after when": "forbid (principal, action, resource)" + "when{true}" * 490 + ";",
    "equal": filled("true == "),
    "comparisons": filled("(1<2)&&"),
}
HARMLESS = {"few enough brackets", "when after when"}
"""Deep as text, and flat once it is read."""
INVALID = {
    "nothing": "\n",
    "semicolons": ";" * MAX_TEXT_CHARS,
    "quotes": '"' * MAX_TEXT_CHARS,
    "unfinished": "forbid (principal, action",
    "unfinished string": 'forbid (principal, action, resource) when { context.hosts.contains("',
    "comments": "// nothing\n" * (MAX_TEXT_CHARS // 11),
    "a comment without end": "/* forbid (principal, action, resource);",
    "right to left": "\u202eforbid (principal, action, resource);",
    "look-alike word": "fоrbid (principal, action, resource);",
    "full-width": "ｆｏｒｂｉｄ (principal, action, resource);",
    "zero bytes": "forbid (principal, action, resource);\0\0",
    "emoji": "🧨" * 2_000,
    "combining": "forbid (principal, action, resource) when { context.e" + "\u0301" * 3_000 + " };",
    "huge number": HEAD + "1" * 3_000 + " == 1 };",
    "10 000 policies": "forbid(principal,action,resource);" * 10_000,
    "as many as fit": "forbid(principal,action,resource);" * (MAX_TEXT_CHARS // 34),
    "annotations": "".join(f'@a{number}("x") ' for number in range(600)) + "forbid (principal, action, resource);",
    "code": "__import__('os').system('true')",
    "xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "itself": "forbid (principal, action, resource) when { context.self(self(self())) };",
}
HEAVY = {
    "a long list": 'forbid(principal,action,resource) when { ["'
    + '","'.join(str(n) for n in range(1_100))
    + '"].containsAny(context.hosts) };',
    "wildcards": 'forbid (principal, action, resource) when { principal.scopes.contains("x") && "'
    + "a" * 3_000
    + '" like "'
    + "*a" * 1_500
    + '*b" };',
    "many rules": "".join(
        f'@id("r{n}") forbid (principal, action, resource) when {{ context.recipients > {n} }};' for n in range(20)
    ),
    "unicode strings": 'forbid (principal, action, resource) when { context.hosts.contains("é\u202e🧨") };',
    "comments among it": "// (((([[[[\nforbid (principal, action, resource) // ))))\nwhen { context.recipients > 3 };",
}


@pytest.mark.parametrize("name", DEEP)
def test_a_deep_text_is_refused_and_the_process_lives(name: str) -> None:
    """Read as a policy and as a stored one, in a process that would die of an overflow; it says so and ends with 0."""
    script = (
        "import asyncio, sys\n"
        "from steward.errors import Invalid\n"
        "from steward.policies.cedar_text import rules_of, with_room\n"
        "from tests.policies.office import LANGUAGE\n"
        "text = sys.stdin.read()\n"
        "for schema in (LANGUAGE.schema, None):\n"
        "    try:\n"
        "        asyncio.run(with_room(rules_of, 'acme', 'bomb', text, schema))\n"
        "    except Invalid as error:\n"
        "        print(error.errors[0].detail)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], input=DEEP[name], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, (ended.returncode, ended.stderr[-500:])
    if name not in HARMLESS:
        assert ended.stdout.strip(), "it was taken"


@pytest.mark.parametrize("name", [*DEEP, *INVALID])
async def test_a_bomb_is_answered_with_a_problem_soon_and_the_service_goes_on(house: House, name: str) -> None:
    """422 (or 413) with the place, within seconds, and the next request is served as ever."""
    admin = await house.client(role=Role.ADMIN)
    began = time.monotonic()
    answer = await admin.put("/policies/bomb", json={"text": (DEEP | INVALID)[name]})
    assert time.monotonic() - began < SOON_S
    if name in HARMLESS:
        assert answer.status_code == 200
        return
    problem = assert_problem(answer, 422, answer.json()["code"])
    assert problem["code"] in {"invalid_policy", "invalid"}
    assert len(answer.content) < 10_000
    assert (await admin.get("/policies")).json()["policies"] == []
    decided = await admin.post("/policies/check", json={"action_id": "sample.echo", "params": {"text": "hi"}})
    assert decided.json()["decision"]["effect"] == "allow"


@pytest.mark.parametrize("name", HEAVY)
async def test_a_heavy_policy_that_is_allowed_costs_little(house: House, name: str) -> None:
    """What passes the limits is decided in milliseconds."""
    admin = await house.client(role=Role.ADMIN)
    answer = await admin.put("/policies/heavy", json={"text": HEAVY[name]})
    assert answer.status_code == 200, answer.text
    policy, who = (
        await house.app.policies.of("acme"),
        await house.app.authenticator.authenticate(admin.headers["authorization"].removeprefix("Bearer ")),
    )
    assert who is not None
    began = time.monotonic()
    for _ in range(20):
        policy.decide(who, "sample.echo", {"text": "hi"}, {})
    assert time.monotonic() - began < 1.0


async def test_as_much_as_a_workspace_may_have_still_decides(house: House) -> None:
    """Every policy as long and as full as allowed."""
    admin = await house.client(role=Role.ADMIN)
    rule = 'forbid(principal,action,resource) when { context.recipient_domains.containsAny(["' + "a" * 300 + '"]) };'
    for number in range(MAX_TEXTS):
        answer = await admin.put(f"/policies/p{number}", json={"text": rule * 19})
        assert answer.status_code == 200, answer.text
    began = time.monotonic()
    decided = await admin.post("/policies/check", json={"action_id": "sample.echo", "params": {"text": "hi"}})
    assert time.monotonic() - began < SOON_S
    assert decided.json()["decision"]["effect"] == "allow"
    assert_problem(await admin.put("/policies/one_more", json={"text": rule}), 422, "too_many_policies")
