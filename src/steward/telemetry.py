"""What Steward tells Prometheus: counts and durations, fed by events and by the web room, never asked for a decision.

Every metric lives in the registry that is given, so two installations in one process never mix. The ``workspace_id``
label has one rule for all metrics that carry it (``_WorkspaceLabel``): it is about labels alone and has no say in access.
One finished execution adds one to exactly one series of ``action_exec_total``. Where it ends: HTTP belongs to
``steward.web``, which calls ``http_request`` and ``render``.
"""

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server

from steward.event import Event, EventType
from steward.ids import is_word
from steward.key_schema import SchemaStatus
from steward.schema_metrics import SchemaMetrics
from steward.tenancy import Tenancy
from steward.workspace import canonical_workspace_id

UNSCOPED: Final = "unscoped"
OTHER: Final = "other"
MAX_WORKSPACE_LABELS: Final = 200
"""Distinct workspaces that get a label of their own when no allowlist says which."""
MAX_REASONS: Final = 200
_PLAIN: Final = (
    "status",
    "provider",
    "action",
    "reason",
    "result",
    "direction",
    "method",
    "endpoint",
    "status_code",
    "le",
    "rule",
    "where",
    "path",
    "phase",
    "schema",
)
_INSTALLATION: Final[Tenancy] = "installation"
LABELS: Final[Mapping[str, Tenancy]] = {**dict.fromkeys(_PLAIN, _INSTALLATION), "workspace_id": "workspace"}
"""Whose things each label may hold; the isolation audit looks."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LIST_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_PLANNER_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30)
_JOB_BUCKETS: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_ACTION_BUCKETS: Final = (0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_REACHED: Final = {
    EventType.JOB_COMPLETED: "completed",
    EventType.JOB_FAILED: "failed",
    EventType.JOB_UNKNOWN: "unknown",
    EventType.JOB_SKIPPED: "skipped",
    EventType.JOB_CANCELLED: "cancelled",
}
_EXECUTED: Final = frozenset({EventType.JOB_COMPLETED, EventType.JOB_FAILED, EventType.JOB_UNKNOWN})
"""The endings of an execution. What was skipped or cancelled was not executed; what a person resolves was counted."""


class _WorkspaceLabel:
    """The one rule for the ``workspace_id`` label: off, missing or malformed is ``unscoped``; unlisted or too many, ``other``."""

    def __init__(self, *, attached: bool, allowlist: frozenset[str] | None) -> None:
        self.attached = attached
        self._allowlist = allowlist
        self._seen: set[str] = set()

    def of(self, workspace_id: object) -> str:
        """Return the label value for a workspace."""
        if isinstance(workspace_id, str) and workspace_id in self._seen:
            return workspace_id
        known = canonical_workspace_id(workspace_id)
        if not self.attached or known is None:
            return UNSCOPED
        if self._allowlist is not None:
            return known if known in self._allowlist else OTHER
        if known not in self._seen and len(self._seen) >= MAX_WORKSPACE_LABELS:
            return OTHER
        self._seen.add(known)
        return known


class _Durations(Histogram):
    """A histogram that is told once of what took equally long many times."""

    def observe_times(self, seconds: float, times: int) -> None:
        """Count ``times`` of one duration, as ``observe`` does of one."""
        self._sum.inc(seconds * times)
        self._buckets[bisect_left(self._upper_bounds, seconds)].inc(times)


class _Told(NamedTuple):
    """What is counted of an event. In a crowd, events that are told together are mostly alike in this."""

    type: EventType
    workspace_id: str
    action_id: object
    status: object
    error_code: object
    latency_ms: object
    duration_ms: object


class Telemetry:
    """Counts. It is an ``EventSink``; it never raises and never blocks.

    What it is told in one turn of an event loop is counted in the next: once for what is alike.
    """

    wants: Final = frozenset({*_REACHED, EventType.JOB_RESOLVED})
    """Types of events that are counted."""

    def __init__(
        self, registry: CollectorRegistry, *, workspace_label: bool, allowlist: frozenset[str] | None = None
    ) -> None:
        """Make every metric in ``registry``, so that a scrape shows names before anything happened."""
        self._registry = registry
        self._workspace = _WorkspaceLabel(attached=workspace_label, allowlist=allowlist)
        self._reasons: set[str] = set()
        self._told: defaultdict[_Told, int] = defaultdict(int)
        # the library's own way to a series is slow, and their number is bounded
        self._reached = cache(self._series_reached)
        self._executed = cache(self._series_executed)
        self._listed = cache(self._series_listed)
        self._make_work_metrics()
        self._make_request_metrics()
        self._schema = SchemaMetrics()
        registry.register(self._schema)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self._registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> _Durations:
        return _Durations(name, meaning, labels, buckets=buckets, registry=self._registry)

    def _make_work_metrics(self) -> None:
        self._jobs = self._counter("ai_jobs_total", "Jobs that reached this status.", "status", "workspace_id")
        self._job_latency = self._histogram(
            "ai_job_latency_seconds", "From enqueued to ended.", _JOB_BUCKETS, "workspace_id"
        )
        self._depth = Gauge("ai_queue_depth", "Jobs ready to run.", ("workspace_id",), registry=self._registry)
        self._executions = self._counter(
            "action_exec_total", "Finished executions.", "provider", "action", "status", "workspace_id"
        )
        self._errors = self._counter(
            "action_error_total", "Executions that did not complete.", "provider", "action", "reason"
        )
        self._action_latency = self._histogram(
            "action_latency_seconds", "Duration of finished executions.", _ACTION_BUCKETS, "provider", "action"
        )

    def _make_request_metrics(self) -> None:
        self._lists = self._counter("ai_job_list_queries_total", "Job listings answered.", "workspace_id")
        self._list_results = self._counter("ai_job_list_results_total", "Jobs in those answers.", "workspace_id")
        self._read_paths = self._counter(
            "ai_job_read_path_total", "Jobs read in Redis, by which record answered.", "path", "phase"
        )
        self._list_seconds = self._histogram(
            "ai_job_list_duration_seconds", "Duration of job listings.", _LIST_BUCKETS, "workspace_id"
        )
        self._decisions = self._counter(
            "security_decisions_total", "Requests let in or turned away.", "result", "workspace_id"
        )
        self._rate_limited = self._counter("http_rate_limited_total", "Requests that were one too many.", "rule")
        self._planner = self._counter("ai_planner_requests_total", "Plans asked for.", "status")
        self._planner_seconds = self._histogram(
            "ai_planner_duration_seconds", "Duration of planning.", _PLANNER_BUCKETS
        )
        self._tokens = self._counter("ai_tokens_total", "Tokens of language models.", "direction")
        self._audit_failures = self._counter(
            "audit_failures_total", "Times that something could not be recorded at once, or was lost.", "where"
        )
        http = ("method", "endpoint", "status_code")
        self._http = self._counter("http_requests_total", "Requests answered.", *http)
        self._http_seconds = self._histogram(
            "http_request_duration_seconds", "Until the answer begins.", _HTTP_BUCKETS, *http
        )

    def __call__(self, event: Event) -> None:
        """Count what ``event`` says about a job; other events leave no trace here."""
        if event.type not in self.wants:
            return
        if not self._told:
            try:
                asyncio.get_running_loop().call_soon(self._count_told)
            except RuntimeError:  # nobody else will be heard in this turn
                self._count(_told_by(event), 1)
                return
        self._told[_told_by(event)] += 1

    def _count_told(self) -> None:
        told, self._told = self._told, defaultdict(int)
        for what, times in told.items():
            self._count(what, times)

    def _count(self, told: _Told, times: int) -> None:
        status = _REACHED.get(told.type)
        if told.type is EventType.JOB_RESOLVED:
            status = told.status if told.status in {"completed", "failed"} else None
        if status is None:
            return
        workspace = self._workspace.of(told.workspace_id)
        reached, latency = self._reached(str(status), workspace)
        reached.inc(times)
        _observe(latency, told.latency_ms, times)
        if told.type in _EXECUTED:
            action = str(told.action_id or OTHER)
            executed, duration = self._executed(action, str(status), workspace)
            executed.inc(times)
            _observe(duration, told.duration_ms, times)
            if status != "completed":
                self._errors.labels(_provider(action), action, self._reason(told.error_code)).inc(times)

    def _series_reached(self, status: str, workspace: str) -> tuple[Counter, _Durations]:
        return self._jobs.labels(status, workspace), self._job_latency.labels(workspace)

    def _series_executed(self, action: str, status: str, workspace: str) -> tuple[Counter, _Durations]:
        provider = _provider(action)
        executed = self._executions.labels(provider, action, status, workspace)
        return executed, self._action_latency.labels(provider, action)

    def _series_listed(self, workspace: str) -> tuple[Counter, Counter, Histogram]:
        return self._lists.labels(workspace), self._list_results.labels(workspace), self._list_seconds.labels(workspace)

    def _reason(self, code: object) -> str:
        """Return ``code`` as a label value: actions choose their own codes, so their form and number are bounded."""
        if not is_word(code):
            return OTHER
        if code not in self._reasons and len(self._reasons) >= MAX_REASONS:
            return OTHER
        self._reasons.add(code)
        return code

    def job_list_query(self, workspace_id: str, count: int, seconds: float) -> None:
        """Take note of one job listing that answered ``count`` jobs."""
        lists, results, duration = self._listed(self._workspace.of(workspace_id))
        lists.inc()
        results.inc(count)
        duration.observe(seconds)

    def job_read_path(self, phase: str, path: str, count: int = 1) -> None:
        """Take note of reads of jobs that the ``new`` record answered, the ``old`` one, or none (``miss``)."""
        self._read_paths.labels(path, phase).inc(count)

    def security_decision(self, result: str, workspace_id: str | None) -> None:
        """Take note that a request was ``allowed`` or ``denied``."""
        self._decisions.labels(result, self._workspace.of(workspace_id)).inc()

    def rate_limited(self, rule: str) -> None:
        """Take note that a request was one too many. ``rule`` is one of the rules' names."""
        self._rate_limited.labels(rule).inc()

    def planner_request(self, status: str, seconds: float) -> None:
        """Take note of one plan asked for: ``ok``, ``refused`` (bad input), ``error`` or ``cancelled`` (nobody waited for it)."""
        self._planner.labels(status).inc()
        self._planner_seconds.observe(seconds)

    def tokens_used(self, tokens_in: int, tokens_out: int) -> None:
        """Take note of what a language model read and wrote, whoever asked it and however that ended."""
        self._tokens.labels("input").inc(tokens_in)
        self._tokens.labels("output").inc(tokens_out)

    def audit_failure(self, where: str, count: int = 1) -> None:
        """Take note that records of ``where`` (``recorder``, ``archiver``) could not be written, or that some were lost."""
        self._audit_failures.labels(where).inc(count)

    def http_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take note of one answer. ``route`` is the route's template, never a raw path."""
        labels = (method if method in _METHODS else OTHER, route, str(status))
        self._http.labels(*labels).inc()
        self._http_seconds.labels(*labels).observe(seconds)

    def expose(self, host: str, port: int) -> Callable[[], None]:
        """Serve the counters at ``/metrics`` on a port of their own, for a process without an API; return what stops that."""
        server, thread = start_http_server(port, host, self._registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def workspace_label(self, workspace_id: object) -> str:
        """Return what stands for a workspace in a label, for those who print their counts themselves."""
        return self._workspace.of(workspace_id)

    def render(self, depths: Mapping[str, int] | None, schema: SchemaStatus | None = None) -> bytes:
        """Return everything in Prometheus' text form, with ``ai_queue_depth`` as ``depths`` has it (None: not known)."""
        self._count_told()
        self._schema.status = schema
        totals: dict[str, int] = {} if self._workspace.attached or depths is None else {UNSCOPED: 0}
        for workspace_id, depth in (depths or {}).items():
            label = self._workspace.of(workspace_id)
            totals[label] = totals.get(label, 0) + depth
        self._depth.clear()
        for label, depth in totals.items():
            self._depth.labels(label).set(depth)
        return generate_latest(self._registry)


def _provider(action: str) -> str:
    return action.rsplit(".", 1)[0]


def _told_by(event: Event) -> _Told:
    say = event.data.get
    return _Told(
        event.type,
        event.workspace_id,
        say("action_id"),
        say("status"),
        say("error_code"),
        say("latency_ms"),
        say("duration_ms"),
    )


def _observe(durations: _Durations, value_ms: object, times: int) -> None:
    if isinstance(value_ms, (int, float)) and not isinstance(value_ms, bool):
        durations.observe_times(max(value_ms, 0) / 1000, times)
