// How a step that runs stands: its state in a sentence, its attempts, its result or its error.
import type { Job, JobStatus } from "../api/types";
import { JobBadge } from "../ui/badge";
import { Text, Time, Took } from "../ui/text";
import { Differences } from "./differences";
import { JobActions } from "./job-actions";
import { Value } from "./value";

const FEW = 6;
const MOST_SHOWN = 20;
const NOTABLE: readonly JobStatus[] = ["failed", "unknown", "held", "running"];

export function StepJobs({ jobs }: { jobs: Job[] }) {
  const few = jobs.length <= FEW;
  const shown = few ? jobs : jobs.filter((job) => NOTABLE.includes(job.status)).slice(0, MOST_SHOWN);
  return (
    <div class="step-jobs">
      {!few && <Counts jobs={jobs} />}
      {shown.map((job) => (
        <StepJob key={job.job_id} job={job} />
      ))}
    </div>
  );
}

/** A step that runs for each of many: how many stand where. */
function Counts({ jobs }: { jobs: Job[] }) {
  const counts = new Map<JobStatus, number>();
  for (const job of jobs) counts.set(job.status, (counts.get(job.status) ?? 0) + 1);
  return (
    <p class="job-line">
      {[...counts].map(([status, amount]) => (
        <span key={status}>
          {amount} <JobBadge status={status} />
        </span>
      ))}
      <a href={`/studio/jobs?plan_id=${jobs[0]!.plan_id}`}>All of them</a>
    </p>
  );
}

function StepJob({ job }: { job: Job }) {
  return (
    <section class={`step-job ${job.status}`} aria-label={`How ${job.step} stands`}>
      <p class="job-line">
        <JobBadge status={job.status} />
        {job.step.includes("[") && <code>{job.step}</code>}
        {job.attempts > 1 && <span class="quiet small">attempt {job.attempts}</span>}
        {job.duration_ms !== null && <Took ms={job.duration_ms} />}
        {job.finished_at && <Time at={job.finished_at} />}
        {job.not_before && job.status === "scheduled" && (
          <span class="quiet small">
            not before <Time at={job.not_before} />
          </span>
        )}
        <a href={`/studio/jobs/${job.job_id}`}>Details</a>
      </p>
      <JobWords job={job} />
      <JobActions job={job} />
    </section>
  );
}

/** Why it is held, skipped or cancelled; what went wrong; what came out. */
export function JobWords({ job }: { job: Job }) {
  const drifted = job.differences;
  return (
    <>
      {job.reason && (
        <p>
          <Text>{drifted?.length ? withoutThem(job.reason) : job.reason}</Text>
        </p>
      )}
      {drifted?.length ? <Differences differences={drifted} /> : null}
      {job.error && (
        <p class="job-error">
          <Text>{job.error.detail}</Text> <code>{job.error.code}</code>
        </p>
      )}
      {job.result !== null && job.result !== undefined && (
        <details class="result" open={isShort(job.result)}>
          <summary>Result</summary>
          <Value value={job.result} />
        </details>
      )}
    </>
  );
}

/** Return the reason's first sentence: the others repeat the differences, for whoever sees no table. */
function withoutThem(reason: string): string {
  return reason.replace(/(?<=\.) .*$/s, "");
}

function isShort(result: unknown): boolean {
  return JSON.stringify(result).length < 400;
}
