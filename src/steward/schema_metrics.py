"""What Prometheus is told about the migration of keys: the phase, how it fares, and what a backfill counted.

The engine keeps its numbers in Redis, for all processes together, so each scrape shows what stands there. A backfill is a
command that nobody scrapes: it prints its counts under these names.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from steward.key_schema import BackfillProgress, Phase, SchemaStatus

INVALID: Final = "invalid"
"""Stands for any workspace id that is none: what somebody wrote into a record never becomes a label."""


class SchemaMetrics(Collector):
    """Shows the status that it was given last."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.status: SchemaStatus | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; where work is not in Redis only the names."""
        phase = GaugeMetricFamily("ai_key_schema_phase", "1 for the phase that holds now.", labels=["phase"])
        adopted = GaugeMetricFamily("ai_key_schema_adopted", "1 once every old job is in the index.")
        jobs = GaugeMetricFamily("ai_key_schema_jobs", "Jobs by the shape of their key.", labels=["schema"])
        errors = GaugeMetricFamily("ai_key_schema_error_ratio", "Share of failed calls, by phase.", labels=["phase"])
        slowest = GaugeMetricFamily("ai_key_schema_p99_seconds", "p99 of a store call, by phase.", labels=["phase"])
        if (status := self.status) is not None:
            for one in Phase:
                phase.add_metric([one], float(one is status.phase))
            adopted.add_metric([], float(status.adopted))
            jobs.add_metric(["old"], status.legacy_jobs)
            jobs.add_metric(["new"], status.current_jobs)
            for name, share in status.errors.items():
                errors.add_metric([name], share)
            for name, p99_ms in status.p99_ms.items():
                slowest.add_metric([name], p99_ms / 1000)
        yield from (phase, adopted, jobs, errors, slowest)


def backfill_series(progress: BackfillProgress, workspace: str) -> Mapping[str, int]:
    """Return the counts of a backfill by the names of their series; ``workspace`` is the label of the workspace."""
    of = f'workspace_id="{workspace}"'
    return {
        f"ai_backfill_scanned_total{{{of}}}": progress.scanned,
        f"ai_backfill_migrated_total{{{of}}}": progress.migrated,
        f'ai_backfill_skipped_total{{reason="exists",{of}}}': progress.skipped_exists,
        f'ai_backfill_skipped_total{{reason="invalid",workspace_id="{INVALID}"}}': progress.skipped_invalid,
        f"ai_backfill_errors_total{{{of}}}": progress.errors,
        "ai_backfill_operations_total": progress.operations,
    }
