// One job: how it stands, every attempt, what came out, and what can be done.
import { useRoute } from "preact-iso";
import { useTitles } from "../api/actions";
import { api, data } from "../api/client";
import { useEvents, useLoaded } from "../api/hooks";
import type { JobDetail } from "../api/types";
import { JobActions } from "../plan/job-actions";
import { JobWords } from "../plan/step-jobs";
import { JobBadge } from "../ui/badge";
import { Loading, Refused } from "../ui/notice";
import { Page } from "../ui/page";
import { Id, Text, Time, Took } from "../ui/text";
import { Who } from "../ui/who";

export function JobScreen() {
  const id = useRoute().params["id"] ?? "";
  return <Loader key={id} id={id} />;
}

function Loader({ id }: { id: string }) {
  const job = useLoaded(() => data(api.GET("/ai/jobs/{job_id}", { params: { path: { job_id: id } } })), id);
  if (!job.value)
    return (
      <Page title="Job">
        {job.problem ? <Refused problem={job.problem} retry={job.reload} instead={["/studio/jobs", "All jobs"]} /> : <Loading what="the job" />}
      </Page>
    );
  return <Shown job={job.value} onChanged={job.reload} />;
}

function Shown({ job, onChanged }: { job: JobDetail; onChanged(): void }) {
  const titles = useTitles();
  useEvents(job.plan_id, { onEvents: onChanged, onGap: onChanged });
  return (
    <Page title={titles(job.action)} aside={<JobBadge status={job.status} />}>
      <p>
        Step <code>{job.step}</code> of <a href={`/studio/plans/${job.plan_id}`}>its request</a> · <code>{job.action}</code>
      </p>
      <section class="card" aria-label="How it stands">
        <JobWords job={job} />
        {job.cancel_requested && job.status === "running" && <p>It was asked to stop.</p>}
        <JobActions job={job} />
      </section>
      <Facts job={job} />
      <Attempts job={job} />
    </Page>
  );
}

function Facts({ job }: { job: JobDetail }) {
  const times: [string, string | null][] = [
    ["Put to work", job.enqueued_at],
    ["Not before", job.not_before],
    ["Started", job.started_at],
    ["Finished", job.finished_at],
  ];
  return (
    <dl class="pairs">
      <div>
        <dt>Id</dt>
        <dd>
          <Id>{job.job_id}</Id>
        </dd>
      </div>
      <div>
        <dt>On behalf of</dt>
        <dd>
          <Who id={job.actor_id} whole />
        </dd>
      </div>
      {times.map(
        ([name, at]) =>
          at && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                <Time at={at} />
              </dd>
            </div>
          ),
      )}
      {job.duration_ms !== null && (
        <div>
          <dt>Took</dt>
          <dd>
            <Took ms={job.duration_ms} />
          </dd>
        </div>
      )}
    </dl>
  );
}

function Attempts({ job }: { job: JobDetail }) {
  if (!job.history.length) return null;
  return (
    <section aria-labelledby="attempts">
      <h2 id="attempts">Attempts</h2>
      <ol class="attempts">
        {job.history.map((attempt) => (
          <li key={attempt.number}>
            <p>
              <strong>Attempt {attempt.number}</strong> <Text>{attempt.outcome}</Text>{" "}
              <span class="quiet small">
                <Time at={attempt.started_at} /> to <Time at={attempt.finished_at} />, by <Text>{attempt.worker}</Text>
                {attempt.dispatched_at && (
                  <>
                    , effect sent off at <Time at={attempt.dispatched_at} />
                  </>
                )}
              </span>
            </p>
            {attempt.error && (
              <p class="job-error">
                <Text>{attempt.error.detail}</Text> <code>{attempt.error.code}</code>
              </p>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
