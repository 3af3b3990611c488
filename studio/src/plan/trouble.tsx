// What needs somebody among many steps: where nobody knows what happened, and what failed, each a step away.
import type { Titles } from "../api/actions";
import type { Job, PlanDetail } from "../api/types";
import { count } from "../format";
import { Notice } from "../ui/notice";
import { Text } from "../ui/text";

const MOST = 5;

export function Trouble({ plan, titles }: { plan: PlanDetail; titles: Titles }) {
  const unknown = plan.jobs.filter((job) => job.status === "unknown");
  const failed = plan.steps.length > 1 ? plan.jobs.filter((job) => job.status === "failed") : [];
  return (
    <>
      {unknown.length > 0 && (
        <Notice tone="wait">
          <p>
            <strong>Nobody knows whether {count(unknown.length, "step")} happened.</strong> Look at the far end, then say what you found; the plan goes
            on from there.
          </p>
          <Links jobs={unknown} titles={titles} />
        </Notice>
      )}
      {failed.length > 0 && (
        <Notice tone="bad">
          <p>{count(failed.length, "step")} failed.</p>
          <Links jobs={failed} titles={titles} />
        </Notice>
      )}
    </>
  );
}

function Links({ jobs, titles }: { jobs: readonly Job[]; titles: Titles }) {
  return (
    <p class="row">
      {jobs.slice(0, MOST).map((job) => (
        <a key={job.job_id} href={`#step-${job.step.replace(/\[.*$/, "")}`}>
          {job.step} <Text>{titles(job.action)}</Text>
        </a>
      ))}
      {jobs.length > MOST && <a href={`/studio/jobs?plan_id=${jobs[0]!.plan_id}`}>and {jobs.length - MOST} more</a>}
    </p>
  );
}
