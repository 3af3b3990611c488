"""Alive, ready, version, metrics: what an operator's machinery relies on."""

import importlib.metadata
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from steward.identity import Role
from tests.web.house import House, assert_marked, assert_problem, echo, open_house
from tests.web.test_errors import drop_work
from tests.web.test_plans import ended

pytestmark = pytest.mark.anyio


async def metrics(client: httpx2.AsyncClient) -> dict[tuple[str, ...], float]:
    """Return every sample by its name and its labels as ``name=value``."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert_marked(answer)
    return {
        (sample.name, *sorted(f"{name}={value}" for name, value in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_alive_and_version_need_no_credential(house: House) -> None:
    """They answer anybody, with the version of the package."""
    client = await house.client_with(None)
    alive, version = await client.get("/healthz"), await client.get("/version")
    assert (alive.json(), version.json()) == ({"status": "ok"}, {"version": importlib.metadata.version("steward")})
    for answer in (alive, version):
        assert_marked(answer)


async def test_w125_ready_is_503_when_not_ready_and_has_no_side_effect(house: House) -> None:
    """Ready while the store answers; 503 with the failed check when the server stops; no file changes by asking."""
    client = await house.client_with(None)
    before = {path: path.stat().st_mtime_ns for path in house.app.settings.home.rglob("*") if path.is_file()}
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert all(check["ok"] for check in answer.json()["checks"])
    assert before == {path: path.stat().st_mtime_ns for path in house.app.settings.home.rglob("*") if path.is_file()}
    house.api.state.stopping.set()
    document = assert_problem(await client.get("/readyz"), 503, "not_ready")
    assert [check["name"] for check in document["checks"] if not check["ok"]] == ["serving"]


async def test_w125_ready_is_503_when_the_store_is_gone(house: House) -> None:
    """With the store's tables gone, readiness names the store; liveness does not change."""
    client = await house.client_with(None)
    drop_work(house)
    document = assert_problem(await client.get("/readyz"), 503, "not_ready")
    assert [check["name"] for check in document["checks"] if not check["ok"]] == ["store"]
    assert (await client.get("/healthz")).status_code == 200


async def test_metrics_may_ask_for_a_token(tmp_path: Path) -> None:
    """With METRICS_TOKEN set, that token reads them and nothing else does, not even an API key."""
    async with open_house(tmp_path, METRICS_TOKEN="scrape-0123456789abcdef") as house:
        outsider = await house.client_with(None)
        for token in (None, "wrong", await house.key()):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            answer = await outsider.get("/metrics", headers=headers)
            assert_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
        client = await house.client_with("scrape-0123456789abcdef")
        assert (await client.get("/metrics")).status_code == 200


async def test_w107_w110_every_answer_is_counted_under_its_route(house: House) -> None:
    """Templates, never raw paths; whatever matches nothing shares one value; refusals are counted too."""
    client = await house.client()
    for number in range(20):
        await client.get(f"/ai/jobs/job_{number:024d}")
        await client.get(f"/nowhere/{number}")
    await client.delete("/ai/jobs")
    await client.post("/ai/plan", content=b"x" * (house.app.settings.body_limit_bytes + 1))
    samples = await metrics(client)
    counted = {key[1:]: value for key, value in samples.items() if key[0] == "http_requests_total"}
    assert counted["endpoint=/ai/jobs/{job_id}", "method=GET", "status_code=404"] == 20
    assert counted["endpoint=unmatched", "method=GET", "status_code=404"] == 20
    assert counted["endpoint=/ai/jobs", "method=DELETE", "status_code=405"] == 1
    assert counted["endpoint=/ai/plan", "method=POST", "status_code=413"] == 1
    assert len(counted) == 4


async def test_w109_decisions_depth_and_listing_are_recorded(house: House) -> None:
    """Allowed and denied requests, ready jobs, and job listings show at the next scrape."""
    client, viewer = await house.client(), await house.client(role=Role.VIEWER)
    await client.post("/ai/execute", json={"actions": [echo(), echo()]})
    await client.get("/ai/jobs")
    await viewer.post("/ai/execute", json={"actions": [echo()]})
    await (await house.client_with("stw_nonsense")).get("/ai/jobs")
    samples = await metrics(client)
    assert samples["security_decisions_total", "result=allowed", "workspace_id=unscoped"] == 2
    assert samples["security_decisions_total", "result=denied", "workspace_id=unscoped"] == 2
    assert samples["ai_queue_depth", "workspace_id=unscoped"] == 2
    assert samples["ai_job_list_queries_total", "workspace_id=unscoped"] == 1
    assert samples["ai_job_list_results_total", "workspace_id=unscoped"] == 2
    assert samples["ai_job_list_duration_seconds_count", "workspace_id=unscoped"] == 1


async def test_w10_w106_an_execution_is_counted_once(house: House) -> None:
    """One plan asked for and run: each metric of it changes by one, in one series."""
    client = await house.client()
    plan = (await client.post("/ai/plan", json={"prompt": 'echo "x"'})).json()
    done = (await client.post("/ai/execute", json={"plan_id": plan["plan_id"]})).json()
    async with house.worker():
        await ended(house, client, done["plan_id"])
    samples = await metrics(client)
    executions = {key: value for key, value in samples.items() if key[0] == "action_exec_total"}
    assert executions == {
        ("action_exec_total", "action=sample.echo", "provider=sample", "status=completed", "workspace_id=unscoped"): 1
    }
    assert samples["ai_jobs_total", "status=completed", "workspace_id=unscoped"] == 1
    assert samples["ai_job_latency_seconds_count", "workspace_id=unscoped"] == 1
    assert samples["action_latency_seconds_count", "action=sample.echo", "provider=sample"] == 1
    assert samples["ai_planner_requests_total", "status=ok"] == 1
    assert samples["ai_planner_duration_seconds_count",] == 1
    assert samples["ai_queue_depth", "workspace_id=unscoped"] == 0


ELSEWHERE = {"ai_tokens", "ai_job_read_path", "audit_failures"}
"""Moved by a language model, by Redis and by an audit that cannot be written: their own tests look at ``/metrics``."""


async def test_w10_every_metric_moves_when_its_thing_happens(tmp_path: Path) -> None:
    """Nothing is published that nobody counts: after each thing has happened once, each series stands above zero."""
    async with open_house(tmp_path, STEWARD_RATE_LIMITS="plan=1/minute") as house:
        client, viewer = await house.client(), await house.client(role=Role.VIEWER)
        for status in (200, 429):
            assert (await client.post("/ai/plan", json={"prompt": 'echo "x"'})).status_code == status
        refused = {"action_id": "sample.refuse", "params": {"text": "abc"}}
        done = (await client.post("/ai/execute", json={"actions": [echo(), refused]})).json()
        assert (await viewer.post("/ai/execute", json={"actions": [echo()]})).status_code == 403
        async with house.worker():
            await ended(house, client, done["plan_id"])
        await client.get("/ai/jobs")
        families = list(text_string_to_metric_families((await client.get("/metrics")).text))
    counting = [family for family in families if family.type in {"counter", "histogram"}]
    still = {family.name for family in counting if not any(sample.value for sample in family.samples)}
    assert len(counting) > 12
    assert still == ELSEWHERE


@pytest.mark.parametrize("value", ["on", "off"])
async def test_w50_metrics_settings_change_no_status(tmp_path: Path, value: str) -> None:
    """The label and its allowlist decide about labels, never about access."""
    settings = {"METRICS_WORKSPACE_LABEL": value, "METRICS_WORKSPACE_ALLOWLIST": "beta"}
    async with open_house(tmp_path, **settings) as house:
        client = await house.client("acme")
        assert (await client.get("/ai/jobs")).status_code == 200
        label = "other" if value == "on" else "unscoped"
        assert (await metrics(client))["ai_job_list_queries_total", f"workspace_id={label}"] == 1


async def test_metrics_answer_without_the_store(house: House) -> None:
    """When the store is away the rest is still there, and the depth is absent rather than zero."""
    client = await house.client_with(None)
    assert ("ai_queue_depth", "workspace_id=unscoped") in await metrics(client)
    drop_work(house)
    assert ("ai_queue_depth", "workspace_id=unscoped") not in await metrics(client)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version", "/metrics", "/docs"])
async def test_a_probe_may_ask_with_head(house: House, path: str) -> None:
    """Load balancers that send HEAD get the status of the GET."""
    client = await house.client_with(None)
    answer = await client.head(path)
    assert answer.status_code == 200
    assert_marked(answer)
