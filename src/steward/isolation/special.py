"""Doors that no description shows: files, a stranger's key, metrics and the log."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from steward.isolation.attack import look
from steward.isolation.compare import difference
from steward.isolation.report import DoorKind, Kind, Report
from steward.isolation.tenant import Answer, Tenant
from steward.isolation.values import ID, Strangers
from steward.telemetry import LABELS

_DECIDED: Final = 3
_WAIT_MS: Final = 10_000
_TOOLS: Final = (
    *(("show_plan", "plan_id", "plan"), ("execute", "plan_id", "plan"), ("list_jobs", "plan_id", "plan")),
    *(("show_job", "job_id", "job"), ("explain", "job_id", "job")),
)
"""The tools of ``/mcp`` that take the name of something, and of what."""
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


async def files(victim: Tenant, attacker: Tenant, strangers: Strangers, report: Report) -> None:
    """Read the other's files by their names and by ways around, and list what there is."""
    door = report.door(DoorKind.FILES, "the workspace's folder", "workspace")
    name = next(iter(victim.holdings.of("file")), "")
    stranger = strangers.of(name)
    victim.canaries.burn(name)
    for way in ("{0}", "../{1}/{0}", "/{1}/{0}", "./../{1}/{0}", "..%2f{1}%2f{0}", "{1}/{0}"):
        answers = []
        for path in (way.format(name, victim.workspace_id), way.format(stranger, victim.workspace_id)):
            answers.append(await _run(attacker, "file.read", {"path": path}))
            look(report, victim, "file.read", answers[-1].everything)
        report.compared += 1
        door.attacks += 1
        if told := difference(answers[0], name, answers[1], stranger):
            report.add(Kind.TELLS, door.name, f"Read as '{way.format('FILE', 'WORKSPACE')}': {told}.")
        if any(answer.good and answer.document.get("status") == "completed" for answer in answers):
            report.add(Kind.CANARY, door.name, "A file of the other workspace was read.")
    for path in ("", f"../{victim.workspace_id}", ".."):
        listed = await _run(attacker, "file.list", {"path": path})
        if name in listed.text:
            report.add(Kind.CANARY, door.name, "A list of files shows one of the other workspace.")


async def approvals(victim: Tenant, attacker: Tenant, strangers: Strangers, report: Report) -> None:
    """Decide what waits for the other's yes, with the very digest that was shown there."""
    for approval_id in victim.holdings.of("appr")[:_DECIDED]:
        shown = await victim.call("GET", f"/ai/approvals/{approval_id}")
        body = {"digest": str((shown.document or {}).get("digest", "")), "comment": "yes"}
        for word in ("approve", "reject"):
            name = f"POST /ai/approvals/{{approval_id}}/{word}"
            stranger = strangers.of(approval_id)
            foreign = await attacker.call("POST", f"/ai/approvals/{approval_id}/{word}", json=body)
            unknown = await attacker.call("POST", f"/ai/approvals/{stranger}/{word}", json=body)
            report.compared += 1
            look(report, victim, name, foreign.everything)
            if told := difference(foreign, approval_id, unknown, stranger):
                report.add(Kind.TELLS, name, f"With the other's own digest: {told}.")


async def tools(victim: Tenant, attacker: Tenant, strangers: Strangers, report: Report) -> None:
    """Call the tools of ``/mcp`` with the other's ids: the same answer as for ids that nobody has."""
    door = report.door(DoorKind.ROUTE, "POST /mcp", "workspace")
    for tool, name, kind in _TOOLS:
        for value in victim.holdings.of(kind)[:_DECIDED]:
            stranger = strangers.of(value)
            foreign, unknown = [await _tool(attacker, tool, {name: one}) for one in (value, stranger)]
            report.compared += 1
            door.attacks += 1
            look(report, victim, door.name, foreign.everything)
            if told := difference(foreign, value, unknown, stranger):
                report.add(Kind.TELLS, door.name, f"The tool {tool} with another's {name}: {told}.")
            if '"isError":true' not in foreign.text.replace(" ", "") and tool != "list_jobs":
                report.add(Kind.ACCEPTED, door.name, f"The tool {tool} took another's {name}.")


async def _tool(tenant: Tenant, tool: str, arguments: dict[str, str]) -> Answer:
    params = {"name": tool, "arguments": arguments}
    return await tenant.call("POST", "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})


async def _run(tenant: Tenant, action_id: str, params: dict[str, Any]) -> Answer:
    """Run one action to its end; return the answer of the first door that refused, or the job's."""
    preview = await tenant.call("POST", "/actions/preview", json={"action_id": action_id, "params": params})
    if not preview.good:
        return preview
    body = {"preview_id": preview.document["plan_id"], "wait_ms": _WAIT_MS}
    return await tenant.call("POST", "/actions/execute", json=body)


async def credentials(victim: Tenant, attacker: Tenant, strangers: Strangers, report: Report) -> None:
    """Present the other's key ids with one's own secret: the same refusal as for a key that nobody has."""
    door = report.door(DoorKind.CREDENTIAL, "API key", "workspace")
    for role, token in victim.tokens.items():
        secret = attacker.tokens[role].rsplit("_", 1)[1]
        key_id = f"key_{token.split('_')[1]}"
        answers = []
        for presented in (key_id, strangers.of(key_id)):
            headers = {"Authorization": f"Bearer stw_{presented.removeprefix('key_')}_{secret}"}
            answers.append(await attacker.call("GET", "/ai/jobs", None, more_headers=headers))
        report.compared += 1
        door.attacks += 1
        if told := difference(answers[0], "", answers[1], ""):
            report.add(Kind.TELLS, door.name, f"A foreign key id with another secret: {told}.")
        if any(answer.good for answer in answers):
            report.add(Kind.ACCEPTED, door.name, "A key was accepted with another key's secret.")


async def metrics(victim: Tenant, attacker: Tenant, token: str | None, report: Report) -> None:
    """Look through the metrics: no content, labels that are declared, a workspace's name in its own label alone."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = await attacker.call("GET", "/metrics", None, more_headers=headers)
    if not answer.good:
        report.door(DoorKind.METRICS, "/metrics", "public").why_not = f"It is answered with {answer.status}."
        return
    for tenant in (victim, attacker):
        look(report, tenant, "GET /metrics", answer.text)
    for name, value in sorted(set(_LABEL.findall(answer.text))):
        report.door(DoorKind.METRICS, name, LABELS.get(name)).attacks += 1
        holds = any(tenant.workspace_id in value for tenant in (victim, attacker)) or ID.search(value)
        if holds and LABELS.get(name) != "workspace":
            report.add(Kind.CANARY, name, f"This metric label holds '{value}', which belongs to a workspace.")


def log(lines: Iterable[str], victim: Tenant, attacker: Tenant, report: Report) -> None:
    """Look through the server's log: no content at all, and of the attacker's requests nothing that is the victim's."""
    door = report.door(DoorKind.LOG, "the server's log", "installation")
    prefix = f"isolation-{attacker.tag}-"
    for line in lines:
        door.attacks += 1
        for tenant in (victim, attacker):
            look(report, tenant, door.name, line)
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict) or not str(entry.get("request_id", "")).startswith(prefix):
            continue
        if entry.get("workspace_id") not in {None, attacker.workspace_id} or victim.workspace_id in line:
            report.add(Kind.CANARY, door.name, "A line about one workspace's request names the other workspace.")
    if not door.attacks:
        door.why_not = "It has no line since the audit began."
