"""The alert rules: each counts series that exist, and that move when what it warns of happens."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from steward.event import Event, EventType
from steward.telemetry import LABELS, Telemetry
from tests.deploy_files import rules, selectors

_BY_PROMETHEUS: Final = {"up": {"job", "instance"}}
_ADDED: Final = {"job", "instance"}


def _telemetry() -> Telemetry:
    return Telemetry(CollectorRegistry(), workspace_label=False)


def _samples(telemetry: Telemetry, depths: dict[str, int]) -> list[Any]:
    text = telemetry.render(depths).decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _ended(type_: EventType, code: str | None = None) -> Event:
    data = {"action_id": "email.send", "latency_ms": 20, "duration_ms": 10, "error_code": code}
    return Event(
        event_id="evt_1",
        workspace_id="acme",
        type=type_,
        at=datetime(2026, 3, 4, tzinfo=UTC),
        actor_id=None,
        plan_id=None,
        job_id=None,
        data=data,
    )


def _go_wrong(telemetry: Telemetry) -> None:
    """Let each thing happen that there is a rule about, and something good beside it."""
    telemetry(_ended(EventType.JOB_COMPLETED))
    telemetry(_ended(EventType.JOB_FAILED, "timeout"))
    telemetry(_ended(EventType.JOB_UNKNOWN, "lost"))
    telemetry.http_request("GET", "/ai/jobs", 503, 4.0)
    telemetry.security_decision("denied", "acme")
    telemetry.audit_failure("recorder")


def _matches(sample: Any, name: str, matchers: dict[str, tuple[str, str]]) -> bool:
    """Say whether a sample is one that a selector selects."""
    if sample.name != name:
        return False
    for label, (how, wanted) in matchers.items():
        value = sample.labels.get(label, "")
        same = re.fullmatch(wanted, value) is not None if "~" in how else value == wanted
        if same == how.startswith("!"):
            return False
    return True


@pytest.mark.parametrize("rule", rules(), ids=[rule["alert"] for rule in rules()])
def test_w108_a_rule_counts_series_that_exist_and_that_a_failure_moves(rule: dict[str, Any]) -> None:
    """Each metric and label is one that Steward has; after the failure each selector finds something above zero."""
    telemetry = _telemetry()
    before = _samples(telemetry, {"acme": 0})
    _go_wrong(telemetry)
    after = _samples(telemetry, {"acme": 3})
    named = selectors(rule["expr"])
    assert named
    for name, matchers in named:
        if name in _BY_PROMETHEUS:
            assert set(matchers) <= _BY_PROMETHEUS[name]
            continue
        assert set(matchers) <= set(LABELS) | _ADDED
        assert sum(sample.value for sample in before if _matches(sample, name, matchers)) == 0
        assert sum(sample.value for sample in after if _matches(sample, name, matchers)) > 0, (name, matchers)
    grouped = {label for inside in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in inside.split(", ")}
    assert grouped <= set(LABELS) | _ADDED


def test_w108_no_rule_hides_small_rates_or_counts_what_waits_as_executed() -> None:
    """No floor stands under a divisor, and what is executed is counted by executions."""
    text = " ".join(rule["expr"] for rule in rules())
    assert not re.search(r"clamp_(min|max)", text)
    executions = next(rule["expr"] for rule in rules() if rule["alert"] == "StewardExecutionsFail")
    assert {name for name, _ in selectors(executions)} == {"action_exec_total"}
