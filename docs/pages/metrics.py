"""Every metric, from the registry in which ``Telemetry`` makes them."""

from typing import Any

from prometheus_client import CollectorRegistry

from pages.markdown import table
from steward.telemetry import MAX_WORKSPACE_LABELS, OTHER, UNSCOPED, Telemetry

_INTRO = f"""# Metrics

`/metrics` of the API, and of a worker that was given a `--metrics-port`, is Prometheus text with these names. They are there from
the start, before anything was counted. Each process counts what it did itself, so a question about the installation sums over
processes. How to collect and watch them is in [Observe it](../how-to/observe.md).

The label `workspace_id` is `{UNSCOPED}` unless `METRICS_WORKSPACE_LABEL` is `on`. Then it is the workspace, or `{OTHER}` for one outside
`METRICS_WORKSPACE_ALLOWLIST`, and for the next one after {MAX_WORKSPACE_LABELS} workspaces where there is no such list. `action` is
the action's id, and `provider` what stands before its last dot. A histogram has the usual three series: `_bucket` (with the label `le`), `_sum` and
`_count`.

"""
_WITHOUT_A_PHASE = """
## While keys are moved

Only with work in Redis ([Move the keys of jobs in Redis](../how-to/migrate-keys.md)):

"""


def _row(metric: Any) -> tuple[str, str, str, str]:
    """Return name, type, labels and meaning of a metric, or of a family that a collector makes when asked."""
    name, labels = getattr(metric, "_name", None) or metric.name, metric._labelnames  # noqa: SLF001 - the library has no other way
    kind = getattr(metric, "_type", None) or metric.type
    meaning = getattr(metric, "_documentation", None) or metric.documentation
    shown = f"{name}_total" if kind == "counter" else name
    return f"`{shown}`", kind, ", ".join(f"`{label}`" for label in labels), meaning


def make() -> str:
    """Return the page."""
    registry = CollectorRegistry()
    Telemetry(registry, workspace_label=True)
    collectors = list(registry._collector_to_names)  # noqa: SLF001 - and none to its collectors
    metrics = [found for found in collectors if hasattr(found, "_labelnames")]
    families = [family for found in collectors if found not in metrics for family in found.collect()]
    head = ("Name", "Type", "Labels", "What it says")
    return (
        _INTRO
        + table(head, sorted(_row(metric) for metric in metrics))
        + _WITHOUT_A_PHASE
        + table(head, (_row(family) for family in families))
    )
