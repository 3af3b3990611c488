"""The client for code that waits: one method per verb, each of which blocks until the answer is there."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import Any, Literal, Self, TypeVar

import httpx2
import stamina

from steward.client import calls
from steward.client.answers import (
    ActionDescription,
    Approval,
    ApprovalDetail,
    ApprovalStatus,
    Explanation,
    Job,
    JobDetail,
    JobStatus,
    Plan,
    PlanDetail,
    PlanProgress,
    PlanStatus,
    PlanSummary,
    RequestedStep,
    StreamedEvent,
    Submitted,
)
from steward.client.calls import Call, Listing
from steward.client.failures import failure_of
from steward.client.sending import PATIENCE_S, RECONNECT_S, TIMEOUT_S, Connection, Follower, is_stream, made, outcome

T = TypeVar("T")


class Steward:
    """A connection to one server with one key; close it after use (it is a context manager)."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Take the address and the key, or STEWARD_URL and STEWARD_API_KEY. Nothing is sent yet.

        One answer may take ``timeout_s``; what is worth it is tried again for ``patience_s``.
        """
        self._connection = Connection.to(url, api_key, timeout_s, patience_s)
        self._http = httpx2.Client(**self._connection.options())

    def __repr__(self) -> str:
        """Return the address alone."""
        return f"Steward({self._connection.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def plan(
        self,
        prompt: str,
        *,
        answers: Mapping[str, str] | None = None,
        time_zone: str | None = None,
        on_progress: Callable[[PlanProgress], None] | None = None,
    ) -> Plan:
        """Return a sentence as a checked plan. Nothing runs. ``on_progress`` hears how far it is, until it is there."""
        return self._made(calls.plan(prompt, answers, time_zone), on_progress)

    def revise(
        self,
        plan_id: str,
        *,
        answers: Mapping[str, str] | None = None,
        steps: Sequence[RequestedStep] | None = None,
        on_progress: Callable[[PlanProgress], None] | None = None,
    ) -> Plan:
        """Return a new plan made from an old one: answers to its questions, or other steps."""
        return self._made(calls.revise(plan_id, answers, steps), on_progress)

    def execute(self, plan_id: str, *, run_at: datetime | None = None, idempotency_key: str | None = None) -> Submitted:
        """Put a plan to work as it was shown, and return what there is now."""
        return self._answer(calls.execute({"plan_id": plan_id}, run_at, idempotency_key))

    def execute_actions(
        self,
        actions: Sequence[RequestedStep],
        *,
        run_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Put actions to work as one plan, all of them or none, and return what there is now."""
        return self._answer(calls.execute({"actions": actions}, run_at, idempotency_key))

    def preview(self, action_id: str, params: Mapping[str, Any]) -> Plan:
        """Return one action as a checked plan of one step; its ``plan_id`` is the preview to run."""
        return self._answer(calls.preview(action_id, params))

    def run_preview(self, preview_id: str, *, wait_ms: int = 30_000) -> JobDetail:
        """Run a previewed action once and return its job when it has ended, or as it stands after ``wait_ms``."""
        return self._answer(calls.run_preview(preview_id, wait_ms))

    def actions(self) -> list[ActionDescription]:
        """Return every action of the catalogue."""
        return (self._answer(calls.actions()))["actions"]

    def show_plan(self, plan_id: str) -> PlanDetail:
        """Return a plan with its approvals and jobs."""
        return self._answer(calls.show_plan(plan_id))

    def plans(self, *, status: PlanStatus | None = None) -> Iterator[PlanSummary]:
        """Yield every plan of the workspace, newest first."""
        return self._rows(calls.list_plans(status))

    def cancel_plan(self, plan_id: str) -> PlanDetail:
        """Cancel what has not started, and return the plan."""
        return self._answer(calls.cancel_plan(plan_id))

    def explain_plan(self, plan_id: str) -> Explanation:
        """Return why a plan is where it is."""
        return self._answer(calls.explain_plan(plan_id))

    def show_job(self, job_id: str) -> JobDetail:
        """Return a job with its attempts."""
        return self._answer(calls.show_job(job_id))

    def jobs(self, *, status: JobStatus | None = None, plan_id: str | None = None) -> Iterator[Job]:
        """Yield every job of the workspace, or of one plan, newest first."""
        return self._rows(calls.list_jobs(status, plan_id))

    def cancel_job(self, job_id: str) -> JobDetail:
        """Cancel a job, or ask it to stop, and return it."""
        return self._answer(calls.cancel_job(job_id))

    def retry_job(self, job_id: str) -> JobDetail:
        """Let a failed job try again, and return it."""
        return self._answer(calls.retry_job(job_id))

    def resolve_job(self, job_id: str, outcome: Literal["completed", "failed"], note: str) -> JobDetail:
        """Say how a job whose outcome is unknown really ended, and return it."""
        return self._answer(calls.resolve_job(job_id, outcome, note))

    def explain_job(self, job_id: str) -> Explanation:
        """Return why a job is where it is."""
        return self._answer(calls.explain_job(job_id))

    def show_approval(self, approval_id: str) -> ApprovalDetail:
        """Return an approval with what is decided about."""
        return self._answer(calls.show_approval(approval_id))

    def approvals(self, *, status: ApprovalStatus = "pending") -> Iterator[Approval]:
        """Yield every approval with this status, newest first."""
        return self._rows(calls.list_approvals(status))

    def approve(self, approval_id: str, digest: str, *, comment: str | None = None) -> ApprovalDetail:
        """Approve exactly what has this digest, and return the approval."""
        return self._answer(calls.decide(approval_id, "approve", digest, comment))

    def reject(self, approval_id: str, digest: str, *, comment: str | None = None) -> ApprovalDetail:
        """Reject exactly what has this digest, and return the approval."""
        return self._answer(calls.decide(approval_id, "reject", digest, comment))

    def events(self, *, plan_id: str | None = None, after: str | None = None) -> Iterator[StreamedEvent]:
        """Yield what happens from now on (a plan: from its beginning; with ``after``: from that event on), without end.

        A lost connection is opened again after the last event. Raises ``EventsLost`` if the server no longer has it.
        """
        follower = Follower(after)
        while True:
            with self._stream(calls.events(plan_id, follower.after)) as source, suppress(httpx2.TransportError):
                for event in source:
                    if (told := follower.take(event)) is not None:
                        yield told
            time.sleep(RECONNECT_S)

    def _made(self, call: Call[Plan], on_progress: Callable[[PlanProgress], None] | None) -> Plan:
        if on_progress is None:
            return self._answer(call)
        with self._stream(call) as source, self._connection.reachable():
            if not is_stream(source.response):
                source.response.read()
                return outcome(source.response)
            for event in source:
                if (plan := made(event, on_progress)) is not None:
                    return plan
        raise self._connection.lost()

    def _answer(self, call: Call[T]) -> T:
        with self._connection.reachable():
            for attempt in stamina.retry_context(**self._connection.patience(call)):
                with attempt:
                    return outcome(self._http.request(**self._connection.request(call)))
        raise AssertionError("every attempt returns or raises")

    def _rows(self, listing: Listing[T]) -> Iterator[T]:
        cursor = None
        while True:
            page = self._answer(listing.page(cursor))
            yield from page[listing.rows]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    @contextmanager
    def _stream(self, call: Call[Any]) -> Iterator[httpx2.EventSource]:
        source: httpx2.EventSource | None = None
        with ExitStack() as stack:
            with self._connection.reachable():
                for attempt in stamina.retry_context(**self._connection.patience(call)):
                    with attempt:
                        source = stack.enter_context(self._http.sse(**self._connection.stream(call)))
                        if not source.response.is_success:
                            source.response.read()
                            raise failure_of(source.response)
            assert source is not None
            yield source
