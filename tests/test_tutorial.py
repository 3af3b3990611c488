"""The tutorial on untrusted values, block by block: what it shows is what happens."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest

from steward.actions import Content, Destination, action
from steward.approval import Verdict
from steward.errors import Invalid
from steward.identity import Role
from steward.job import JobStatus
from steward.plan import PlannedAction
from steward.plan_text import plan_text
from steward.provenance import Label
from tests.conftest import FakeClock
from tests.installation import installation

pytestmark = pytest.mark.anyio
PAGE = Path(__file__).parents[1] / "docs/tutorial/untrusted-value.md"


def blocks(language: str) -> list[str]:
    """Return the page's blocks in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


async def test_an_untrusted_value_is_stopped_where_the_tutorial_says(tmp_path: Path, clock: FakeClock) -> None:
    """From the mail through the plan and its document to the held step: nothing goes to the address in the mail."""
    sent: list[tuple[str, str]] = []
    names: dict[str, Any] = {
        "action": action,
        "Label": Label,
        "Annotated": Annotated,
        "sent": sent,
        "Content": Content,
        "Destination": Destination,
    }
    exec(compile(blocks("python")[0], str(PAGE), "exec"), names)
    refused, written, shown = (json.loads(block) for block in blocks("json"))
    async with installation(tmp_path, clock=clock) as house:
        house.add(names["latest"], names["send"])

        async def revised(steps: list[Any]) -> dict[str, Any]:
            first = await house.app.orchestrator.preview(await house.member(), "mail.latest", {}, "req-1")
            return await house.app.orchestrator.revise(
                await house.member(),
                first["plan_id"],
                answers=None,
                steps=[PlannedAction.model_validate(step) for step in steps],
                request_id="req-1",
            )

        with pytest.raises(Invalid):
            await revised(refused)
        document = await revised(written)
        for step in document["steps"][1:]:
            expected, decision = shown[step["id"]], step["decision"]
            told = {"inputs": step["inputs"], "effect": decision["effect"]}
            told |= {name: decision[name] for name in ("rule", "moment") if name in expected}
            told |= {"link_guard": step["link_guard"]} if "link_guard" in step else {}
            assert told == expected
        assert "to comes from s1 (mail.latest): others can write it" in plan_text(document)
        submitted = await house.execute(document["plan_id"])
        assert submitted.approval_id is None
        jobs = await house.run_until_settled(submitted.plan_id)
        assert [job.status for job in jobs] == [JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.HELD]
        assert sent == [("bob@acme.example", blocks("text")[0].rstrip("\n"))]
        approver = house.app.engine.open(await house.member(role=Role.APPROVER))
        (asked,) = await approver.plan_approvals(submitted.plan_id)
        assert asked.reason in " ".join(PAGE.read_text().split())
        await approver.decide_approval(asked.approval_id, asked.digest, Verdict.REJECT, None)
        assert (await house.run_until_settled(submitted.plan_id))[2].status is JobStatus.CANCELLED
    assert len(sent) == 1


async def test_a_revised_plan_keeps_its_one_answer(tmp_path: Path, clock: FakeClock) -> None:
    """Conditions, lists and the answer go through a revision as steps; the answer is there once, and the digest is new."""
    steps: list[dict[str, Any]] = [
        {"id": "s1", "action_id": "compute", "params": {"value": [1, 2]}},
        {"id": "s2", "action_id": "compute", "params": {"value": {"$ref": "item"}}, "for_each": {"$ref": "steps.s1.result.value"}},
        {"id": "s3", "action_id": "compute", "params": {"value": 1}, "when": {"$ref": "steps.s1.result.value"}},
        {"id": "answer", "action_id": "compute", "params": {"value": {"$ref": "steps.s2.result[*].value"}}},
    ]  # fmt: skip
    async with installation(tmp_path, clock=clock) as house:
        who = await house.member()
        plan = await house.app.orchestrator.preview(who, "compute", {"value": 0}, "req-1")
        for value in (1, 2):
            steps[2]["params"] = {"value": value}
            given = [PlannedAction.model_validate(step) for step in steps]
            digest = plan["digest"]
            plan = await house.app.orchestrator.revise(
                who, plan["plan_id"], answers=None, steps=given, request_id="req-1"
            )
            assert [step["id"] for step in plan["steps"]] == ["s1", "s2", "s3", "answer"]
            assert plan["digest"] != digest
        submitted = await house.execute(plan["plan_id"])
        jobs = {job.step_id: job for job in await house.run_until_settled(submitted.plan_id)}
    assert jobs["answer"].result == {"value": [1, 2]}
