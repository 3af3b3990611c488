// The rows of the list of jobs: pages from the API, kept up to date by events. Pure.
import type { Job, JobStatus, StreamedEvent } from "../api/types";

export interface Rows {
  jobs: readonly Job[];
  cursor: string | null;
}

export interface Page {
  jobs: readonly Job[];
  next_cursor: string | null;
}

/** Return the rows with the newest page anew: what is known is replaced in its place, what is new stands in front. */
export function refreshed(rows: Rows | null, first: Page): Rows {
  if (!rows?.jobs.length) return { jobs: first.jobs, cursor: first.next_cursor };
  const newest = new Map(first.jobs.map((job) => [job.job_id, job]));
  const known = new Set(rows.jobs.map((job) => job.job_id));
  const fresh = first.jobs.filter((job) => !known.has(job.job_id));
  if (fresh.length === first.jobs.length && first.next_cursor) return { jobs: first.jobs, cursor: first.next_cursor };
  return { jobs: [...fresh, ...rows.jobs.map((job) => newest.get(job.job_id) ?? job)], cursor: rows.cursor };
}

/** Return the rows with the next page behind them. */
export function extended(rows: Rows, next: Page): Rows {
  const known = new Set(rows.jobs.map((job) => job.job_id));
  return { jobs: [...rows.jobs, ...next.jobs.filter((job) => !known.has(job.job_id))], cursor: next.next_cursor };
}

const MEANS: Readonly<Record<string, JobStatus>> = {
  "job.started": "running",
  "job.completed": "completed",
  "job.failed": "failed",
  "job.retry_scheduled": "scheduled",
  "job.unknown": "unknown",
  "job.held": "held",
  "job.released": "pending",
  "job.retried": "pending",
  "job.skipped": "skipped",
  "job.cancelled": "cancelled",
};
const FINAL: readonly JobStatus[] = ["completed", "failed", "cancelled", "skipped"];

/** Return the rows as events say that they stand now; rows that nothing happened to stay the same objects. */
export function told(rows: Rows, events: readonly StreamedEvent[]): Rows {
  const latest = new Map<string, StreamedEvent>();
  for (const event of events) if (event.job_id && MEANS[event.type]) latest.set(event.job_id, event);
  if (!latest.size) return rows;
  const jobs = rows.jobs.map((job) => {
    const event = latest.get(job.job_id);
    if (!event) return job;
    const status = MEANS[event.type]!;
    const started_at = status === "running" ? event.at : job.started_at;
    return { ...job, status, started_at, finished_at: FINAL.includes(status) ? event.at : null };
  });
  return { ...rows, jobs };
}

/** Return the jobs that a search in what is loaded finds. */
export function matching(jobs: readonly Job[], text: string): readonly Job[] {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return jobs;
  return jobs.filter((job) =>
    [job.job_id, job.plan_id, job.step, job.action, job.error?.code, job.error?.detail, JSON.stringify(job.result)].some((place) =>
      place?.toLowerCase().includes(wanted),
    ),
  );
}
