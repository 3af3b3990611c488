"""What is counted, once each, and under which labels."""

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from steward.event import Event, EventType
from steward.telemetry import MAX_REASONS, MAX_WORKSPACE_LABELS, Telemetry
from tests.conftest import FakeClock
from tests.turns import turn

FINISHED: Mapping[str, Any] = {"action_id": "email.send", "duration_ms": 250, "latency_ms": 1500, "attempt": 1}


class Meter:
    """A telemetry with a registry of its own, and a way to read it."""

    def __init__(self, *, workspace_label: bool = False, allowlist: frozenset[str] | None = None) -> None:
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry, workspace_label=workspace_label, allowlist=allowlist)

    def tell(self, kind: EventType, workspace_id: str = "acme", **data: Any) -> None:
        """Let it hear of one event."""
        self.telemetry(
            Event(
                event_id="evt_0000000000000001",
                workspace_id=workspace_id,
                type=kind,
                at=FakeClock().now(),
                actor_id=None,
                plan_id="plan_1",
                job_id="job_1",
                data={**FINISHED, **data},
            )
        )

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample."""
        return self.registry.get_sample_value(name, labels)

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """Return every sample of one name by its label values."""
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name
        }


@pytest.mark.parametrize(
    ("kind", "status"),
    [(EventType.JOB_COMPLETED, "completed"), (EventType.JOB_FAILED, "failed"), (EventType.JOB_UNKNOWN, "unknown")],
)
def test_w106_one_finished_execution_adds_one_to_exactly_one_series(kind: EventType, status: str) -> None:
    """However an execution ends, the sum over all series of action_exec_total is one."""
    meter = Meter()
    for before in (EventType.JOB_STARTED, EventType.JOB_DISPATCHED, EventType.JOB_RETRY_SCHEDULED):
        meter.tell(before)
    meter.tell(kind, error_code="refused")
    assert meter.series("action_exec_total") == {("email", "email.send", status, "unscoped"): 1}
    assert meter.value("ai_jobs_total", status=status, workspace_id="unscoped") == 1
    assert meter.value("action_latency_seconds_sum", provider="email", action="email.send") == 0.25
    assert meter.value("ai_job_latency_seconds_sum", workspace_id="unscoped") == 1.5


@pytest.mark.anyio
async def test_what_is_told_in_one_turn_is_counted_as_if_it_came_one_by_one() -> None:
    """In an event loop equal events are counted together; whatever differs in them keeps its own place, and nothing waits for more."""
    crowd, alone = Meter(workspace_label=True), Meter(workspace_label=True)
    told = [("acme", 250), ("acme", 250), ("acme", 90_000), ("beta", 250), ("acme", 250)]
    for workspace_id, duration_ms in told:
        crowd.tell(EventType.JOB_COMPLETED, workspace_id, duration_ms=duration_ms)
    await turn()
    for workspace_id, duration_ms in told:
        alone.tell(EventType.JOB_COMPLETED, workspace_id, duration_ms=duration_ms)
        await turn()
    for name in ("ai_jobs_total", "action_exec_total", "action_latency_seconds_bucket", "ai_job_latency_seconds_sum"):
        assert crowd.series(name) == alone.series(name) != {}
    assert crowd.value("action_latency_seconds_sum", provider="email", action="email.send") == 91.0


def test_what_was_never_executed_is_no_execution() -> None:
    """Skipped and cancelled jobs are counted as jobs, not as executions or errors."""
    meter = Meter()
    meter.tell(EventType.JOB_SKIPPED)
    meter.tell(EventType.JOB_CANCELLED)
    assert meter.series("action_exec_total") == {}
    assert meter.series("action_error_total") == {}
    assert set(meter.series("ai_jobs_total")) == {("skipped", "unscoped"), ("cancelled", "unscoped")}


def test_resolving_by_hand_is_no_second_execution() -> None:
    """An unknown outcome that a person settles was executed once."""
    meter = Meter()
    meter.tell(EventType.JOB_UNKNOWN, error_code="timeout")
    meter.tell(EventType.JOB_RESOLVED, status="completed")
    assert sum(meter.series("action_exec_total").values()) == 1
    assert meter.value("ai_jobs_total", status="completed", workspace_id="unscoped") == 1


def test_errors_are_counted_by_reason_and_reasons_are_bounded() -> None:
    """A reason is the error's code; odd ones, and those past the cap, share one value."""
    meter = Meter()
    meter.tell(EventType.JOB_FAILED, error_code="connection_refused")
    assert meter.value("action_error_total", provider="email", action="email.send", reason="connection_refused") == 1
    meter.tell(EventType.JOB_FAILED, error_code='x"} injected 1\n')
    meter.tell(EventType.JOB_FAILED, error_code=None)
    assert meter.value("action_error_total", provider="email", action="email.send", reason="other") == 2
    for number in range(MAX_REASONS + 50):
        meter.tell(EventType.JOB_FAILED, error_code=f"reason_{number}")
    assert len(meter.series("action_error_total")) == MAX_REASONS + 1


def test_w105_the_workspace_label_is_off_unless_asked_for() -> None:
    """Off: every metric that carries the label says ``unscoped``, whatever the workspace."""
    meter = Meter()
    meter.tell(EventType.JOB_COMPLETED, "acme")
    meter.telemetry.job_list_query("acme", 3, 0.02)
    meter.telemetry.security_decision("allowed", "acme")
    text = meter.telemetry.render({"acme": 2, "beta": 3}).decode()
    assert "acme" not in text
    assert meter.value("ai_queue_depth", workspace_id="unscoped") == 5
    assert meter.value("ai_job_list_results_total", workspace_id="unscoped") == 3
    assert meter.value("ai_job_list_duration_seconds_count", workspace_id="unscoped") == 1


def test_w105_on_with_an_allowlist_the_unlisted_are_other() -> None:
    """On: a listed workspace has its label, an unlisted one is ``other``, a malformed one ``unscoped``."""
    meter = Meter(workspace_label=True, allowlist=frozenset({"acme"}))
    for workspace_id in ("acme", "beta", "gamma", "Not A Workspace\n"):
        meter.telemetry.job_list_query(workspace_id, 1, 0.01)
    assert meter.series("ai_job_list_queries_total") == {("acme",): 1, ("other",): 2, ("unscoped",): 1}


def test_w105_on_without_an_allowlist_the_number_of_labels_is_capped() -> None:
    """A thousand workspaces make at most the cap and ``other``; those seen first keep theirs."""
    meter = Meter(workspace_label=True)
    for number in range(1000):
        meter.tell(EventType.JOB_COMPLETED, f"w{number}")
    assert len(meter.series("ai_jobs_total")) == MAX_WORKSPACE_LABELS + 1
    assert meter.value("ai_jobs_total", status="completed", workspace_id="other") == 1000 - MAX_WORKSPACE_LABELS
    meter.tell(EventType.JOB_COMPLETED, "w0")
    assert meter.value("ai_jobs_total", status="completed", workspace_id="w0") == 2


def test_w109_queue_depth_is_what_the_store_says_at_the_scrape() -> None:
    """A workspace whose queue is empty now leaves no old number behind; an unknown depth is absent, not zero."""
    meter = Meter(workspace_label=True)
    meter.telemetry.render({"acme": 7})
    assert meter.value("ai_queue_depth", workspace_id="acme") == 7
    meter.telemetry.render({"beta": 1})
    assert meter.series("ai_queue_depth") == {("beta",): 1}
    meter.telemetry.render(None)
    assert meter.series("ai_queue_depth") == {}
    plain = Meter()
    plain.telemetry.render({})
    assert plain.value("ai_queue_depth", workspace_id="unscoped") == 0


def test_w109_security_decisions_are_recorded() -> None:
    """Allowed and denied are counted apart; a request without a workspace is ``unscoped``."""
    meter = Meter(workspace_label=True)
    meter.telemetry.security_decision("allowed", "acme")
    meter.telemetry.security_decision("denied", None)
    assert meter.series("security_decisions_total") == {("allowed", "acme"): 1, ("denied", "unscoped"): 1}


def test_planner_and_tokens_are_recorded() -> None:
    """Requests by status, duration, and tokens by direction."""
    meter = Meter()
    meter.telemetry.planner_request("ok", 0.2)
    meter.telemetry.tokens_used(120, 30)
    meter.telemetry.planner_request("error", 0.1)
    assert meter.series("ai_planner_requests_total") == {("ok",): 1, ("error",): 1}
    assert meter.value("ai_planner_duration_seconds_count") == 2
    assert meter.series("ai_tokens_total") == {("input",): 120, ("output",): 30}


def test_w107_an_invented_method_makes_no_series_of_its_own() -> None:
    """Methods are a closed list; the rest share one value."""
    meter = Meter()
    for number in range(50):
        meter.telemetry.http_request(f"BREW{number}", "unmatched", 405, 0.001)
    assert meter.series("http_requests_total") == {("other", "unmatched", "405"): 50}


def test_an_event_with_strange_data_does_not_raise() -> None:
    """A sink must not raise: missing or odd data is counted as far as it goes."""
    meter = Meter()
    meter.tell(EventType.JOB_FAILED, action_id=None, duration_ms="soon", latency_ms=True, error_code=["x"])
    meter.tell(EventType.JOB_RESOLVED, status="sideways")
    meter.tell(EventType.PLAN_COMPLETED)
    assert meter.series("action_exec_total") == {("other", "other", "failed", "unscoped"): 1}
    assert sum(meter.series("ai_jobs_total").values()) == 1


def test_two_installations_in_one_process_do_not_mix() -> None:
    """Each telemetry counts in the registry it was given."""
    first, second = Meter(), Meter()
    first.tell(EventType.JOB_COMPLETED)
    assert second.series("action_exec_total") == {}
