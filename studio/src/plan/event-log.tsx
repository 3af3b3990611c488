// What happened, in order, in words.
import { useState } from "preact/hooks";
import type { Job, StreamedEvent } from "../api/types";
import { Time } from "../ui/text";
import { Who } from "../ui/who";

const WORDS: Record<string, string> = {
  "plan.drafted": "The plan was made",
  "plan.submitted": "It was put to work",
  "plan.completed": "All of it is done",
  "plan.failed": "It failed",
  "plan.cancelled": "It was cancelled",
  "plan.rejected": "It was rejected",
  "plan.expired": "It expired",
  "plan.resumed": "It goes on",
  "approval.requested": "A person was asked",
  "approval.decided": "A person decided",
  "approval.expired": "Nobody decided in time",
  "job.started": "started",
  "job.dispatched": "had its effect sent off",
  "job.completed": "is done",
  "job.failed": "failed",
  "job.retry_scheduled": "failed and is tried again later",
  "job.unknown": "ended without anybody knowing whether it happened",
  "job.held": "is held",
  "job.released": "is ready",
  "job.skipped": "was skipped",
  "job.cancelled": "was cancelled",
  "job.cancel_requested": "was asked to stop",
  "job.expanded": "became one job for each element",
  "job.retried": "is tried again",
  "job.resolved": "was settled by a person",
  "event.unreadable": "Something happened whose record cannot be read",
};

const NEWEST = 200;

export function EventLog({ events, jobs }: { events: readonly StreamedEvent[]; jobs: readonly Job[] }) {
  const [all, setAll] = useState(false);
  const shown = all ? events : events.slice(-NEWEST);
  if (!events.length) return null;
  const steps = new Map(jobs.map((job) => [job.job_id, job.step]));
  return (
    <details class="event-log" open={events.length <= 30}>
      <summary>
        <h2>What happened</h2>
      </summary>
      {shown.length < events.length && (
        <button type="button" class="bare" onClick={() => setAll(true)}>
          Show all {events.length}
        </button>
      )}
      <ol>
        {shown.map((event) => (
          <li key={event.event_id} class={event.type.split(".")[1]}>
            <Time at={event.at} />
            <span>
              {event.job_id && <code>{steps.get(event.job_id) ?? event.job_id}</code>} {WORDS[event.type] ?? event.type}
              {event.actor_id && (
                <span class="quiet small">
                  {" "}
                  by <Who id={event.actor_id} />
                </span>
              )}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}
