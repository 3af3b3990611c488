// Run: a plan under way, live, from its first event on.
import { useRoute } from "preact-iso";
import { useMemo, useState } from "preact/hooks";
import { useTitles } from "../api/actions";
import { api, data } from "../api/client";
import { useDoing, useEvents, useLoaded } from "../api/hooks";
import type { Approval, Job, JobStatus, PlanDetail, StreamedEvent } from "../api/types";
import { DraftPlan } from "../plan/draft";
import { EventLog } from "../plan/event-log";
import { Why } from "../plan/job-actions";
import { Steps } from "../plan/steps";
import { Trouble } from "../plan/trouble";
import { beginning } from "../format";
import { may, useSession } from "../session";
import { ApprovalBadge, PlanBadge } from "../ui/badge";
import { Loading, Notice, Refused } from "../ui/notice";
import { announce, Page } from "../ui/page";
import { StreamBadge } from "../ui/stream-state";
import { Text, Time } from "../ui/text";
import { Who } from "../ui/who";

export function RunScreen() {
  const id = useRoute().params["id"] ?? "";
  return <Run key={id} id={id} />;
}

function Run({ id }: { id: string }) {
  const path = { params: { path: { plan_id: id } } };
  const plan = useLoaded(() => data(api.GET("/ai/plans/{plan_id}", path)), id);
  const [events, setEvents] = useState<readonly StreamedEvent[]>([]);
  const stream = useEvents(id, {
    onEvents(more) {
      setEvents((now) => [...now, ...more]);
      plan.reload();
      const said = more.map((event) => event.type).filter((type) => type.startsWith("plan."));
      if (said.length) announce(`The plan: ${said.at(-1)!.slice(5)}.`);
    },
    onGap() {
      setEvents([]);
      plan.reload();
    },
  });
  if (!plan.value)
    return (
      <Page title="Request">
        {plan.problem ? <Refused problem={plan.problem} retry={plan.reload} instead={["/studio/plans", "All requests"]} /> : <Loading what="the plan" />}
      </Page>
    );
  return <Shown plan={plan.value} events={events} aside={<StreamBadge state={stream} />} onChanged={plan.reload} />;
}

interface ShownProps {
  plan: PlanDetail;
  events: readonly StreamedEvent[];
  aside: preact.ComponentChildren;
  onChanged(): void;
}

function Shown({ plan, events, aside, onChanged }: ShownProps) {
  const titles = useTitles();
  const jobs = useMemo(() => byStep(plan.jobs), [plan.jobs]);
  const asked = plan.prompt || plan.intent || "Request";
  const draft = plan.status === "draft" || plan.status === "needs_input";
  return (
    <Page title={beginning(asked)} aside={aside}>
      {beginning(asked) !== asked && (
        <blockquote class="prompt">
          <Text>{asked}</Text>
        </blockquote>
      )}
      <div class="run-head">
        <PlanBadge status={plan.status} />
        {plan.jobs.length > 0 && <Progress jobs={plan.jobs} />}
        {plan.finished_at ? (
          <span class="quiet">
            finished <Time at={String(plan.finished_at)} />
          </span>
        ) : null}
      </div>
      {plan.approvals
        .filter((approval) => approval.status === "pending")
        .map((approval) => (
          <WaitsFor key={approval.approval_id} approval={approval} />
        ))}
      {plan.approvals
        .filter((approval) => approval.decided_by !== null)
        .map((approval) => (
          <Decided key={approval.approval_id} approval={approval} />
        ))}
      {draft ? (
        <DraftPlan plan={plan} onRevised={(made) => location.assign(`/?plan=${made.plan_id}`)} />
      ) : (
        <>
          <Trouble plan={plan} titles={titles} />
          <PlanButtons plan={plan} onChanged={onChanged} />
          <h2 class="unseen">Steps</h2>
          <Steps steps={plan.steps} prompt={plan.prompt} titles={titles} jobs={jobs} />
          <EventLog events={events} jobs={plan.jobs} />
        </>
      )}
    </Page>
  );
}

/** Jobs by the step of the plan that they carry out; one that runs for each of a list has many. */
function byStep(jobs: readonly Job[]): Map<string, Job[]> {
  const found = new Map<string, Job[]>();
  for (const job of jobs) {
    const step = job.step.replace(/\[.*$/, "");
    found.set(step, [...(found.get(step) ?? []), job]);
  }
  return found;
}

function Progress({ jobs }: { jobs: readonly Job[] }) {
  const amount = (status: JobStatus): number => jobs.filter((job) => job.status === status).length;
  const done = amount("completed") + amount("skipped");
  const others = (["failed", "unknown", "cancelled"] as const).filter(amount).map((status) => `, ${amount(status)} ${status}`);
  return (
    <label class="progress">
      <progress max={jobs.length} value={done + amount("failed") + amount("cancelled")} /> <span>{`${done} of ${jobs.length} done${others.join("")}`}</span>
    </label>
  );
}

function WaitsFor({ approval }: { approval: Approval }) {
  const session = useSession();
  return (
    <Notice tone="wait">
      <p>
        <strong>{approval.job_id ? "One step waits for a person." : "It waits for a person."}</strong> <Text>{approval.reason}</Text>
      </p>
      <p>
        {approval.another_person ? "Somebody else than who asked for it decides" : "Whoever may decide approvals does so"}
        {approval.approver_role ? `, with the role ${approval.approver_role}` : ""}, until <Time at={approval.expires_at} />.
      </p>
      {may(session, "approvals:decide") && <a href={`/studio/approvals/${approval.approval_id}`}>Look and decide</a>}
    </Notice>
  );
}

/** Who said yes or no, when, and with which words. */
function Decided({ approval }: { approval: Approval }) {
  return (
    <p>
      <ApprovalBadge status={approval.status} /> by <Who id={approval.decided_by ?? ""} />
      {approval.decided_at && (
        <>
          , <Time at={approval.decided_at} />
        </>
      )}
      {approval.comment && (
        <>
          : “<Text>{approval.comment}</Text>”
        </>
      )}
    </p>
  );
}

function PlanButtons({ plan, onChanged }: { plan: PlanDetail; onChanged(): void }) {
  const session = useSession();
  const doing = useDoing();
  const path = { params: { path: { plan_id: plan.plan_id } } };
  const open = plan.status === "running" || plan.status === "awaiting_approval";
  const cancel = (): void => {
    void doing.run(async () => {
      await api.POST("/ai/plans/{plan_id}/cancel", path);
      announce("What has not started is cancelled.");
      onChanged();
    });
  };
  return (
    <div class="row">
      {open && may(session, "actions:execute") && (
        <button type="button" disabled={doing.busy} onClick={cancel}>
          Cancel what has not started
        </button>
      )}
      <Why label="Explain" ask={() => data(api.GET("/ai/plans/{plan_id}/explain", path))} />
      <Refused problem={doing.problem} />
    </div>
  );
}
