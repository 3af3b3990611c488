// Jobs: every job of the workspace, newest first, live, however many there are.
import { useLocation } from "preact-iso";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Titles, useTitles } from "../api/actions";
import { api, data } from "../api/client";
import { useDoing, useEvents, useLoaded } from "../api/hooks";
import type { Job, JobStatus, StreamedEvent } from "../api/types";
import { count } from "../format";
import { PulseFigures } from "../jobs/pulse-figures";
import { RetryMany } from "../jobs/retry-many";
import { extended, matching, refreshed, type Rows, told } from "../jobs/rows";
import { may, useSession } from "../session";
import { JOB_STATUSES, JobBadge, jobWords } from "../ui/badge";
import { Filters } from "../ui/filters";
import { Empty, Loading, Refused } from "../ui/notice";
import { Page } from "../ui/page";
import { StreamBadge } from "../ui/stream-state";
import { Text, Time, Took } from "../ui/text";
import { Windowed } from "../ui/windowed";

const ROW_PX = 68;
/** How far one press looks for what is searched. */
const MOST_PAGES = 20;
const IDS = /^(job|plan)_[0-9a-z]+$/;

const page = (query: { limit: number; status?: JobStatus; plan_id?: string; cursor?: string }) => data(api.GET("/ai/jobs", { params: { query } }));

export function JobsScreen() {
  const { query } = useLocation();
  const status = JOB_STATUSES.find((one) => one === query["status"]) ?? null;
  const planId = query["plan_id"] ?? null;
  const list = useRef<Listener | null>(null);
  const pulse = useRef<Listener | null>(null);
  const [depth, setDepth] = useState<number | null>(null);
  const tell: Listener = (events) => {
    list.current?.(events);
    pulse.current?.(events);
  };
  const stream = useEvents(null, { onEvents: tell, onGap: () => tell([]) }, 500);
  return (
    <Page title="Jobs" aside={<StreamBadge state={stream} />}>
      <PulseFigures depth={depth} listener={pulse} />
      <Filters path="/studio/jobs" name="status" chosen={status} choices={JOB_STATUSES.map((one) => [one, jobWords(one)])} />
      <List key={`${status} ${planId}`} status={status} planId={planId} listener={list} onDepth={setDepth} />
    </Page>
  );
}

type Listener = (events: StreamedEvent[]) => void;

interface ListProps {
  status: JobStatus | null;
  planId: string | null;
  /** Where the list puts what is to be called with events. */
  listener: { current: Listener | null };
  /** Called with how many jobs are ready to run. */
  onDepth(depth: number): void;
}

function List({ status, planId, listener, onDepth }: ListProps) {
  const filter = { ...(status ? { status } : {}), ...(planId ? { plan_id: planId } : {}) };
  const first = useLoaded(() => page({ limit: 50, ...filter }), "jobs");
  const [rows, setRows] = useState<Rows | null>(null);
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const doing = useDoing();
  const titles = useTitles();
  const executes = may(useSession(), "actions:execute");
  useEffect(() => {
    if (!first.value) return;
    setRows((now) => refreshed(now, first.value!));
    onDepth(first.value.queue_depth);
  }, [first.value]);
  listener.current = (events) => {
    setRows((now) => now && told(now, events));
    first.reload();
  };
  const more = (): void => {
    void doing.run(async () => {
      let cursor = rows!.cursor;
      for (let pages = 0; cursor && pages < MOST_PAGES; pages += 1) {
        const next = await page({ limit: 100, ...filter, cursor });
        setRows((now) => now && extended(now, next));
        if (matching(next.jobs, search).length) break; // without a search, all of them
        cursor = next.next_cursor;
      }
    });
  };
  const shown = rows ? matching(rows.jobs, search) : [];
  const choose = (jobId: string, on: boolean): void =>
    setChosen((now) => {
      const next = new Set(now);
      if (on) next.add(jobId);
      else next.delete(jobId);
      return next;
    });
  return (
    <>
      <Search text={search} onChange={setSearch} />
      {planId && (
        <p>
          Of one request only. <a href="/studio/jobs">Show all jobs</a>
        </p>
      )}
      <Refused problem={first.problem ?? doing.problem} retry={first.reload} />
      <RetryMany jobs={shown} chosen={chosen} onChoose={setChosen} />
      {!rows && first.loading && <Loading what="jobs" />}
      {rows && !shown.length && (
        <Empty title={search ? "Nothing that is loaded matches." : "No jobs here."}>
          {!search && <a href="/">Ask for something</a>}
        </Empty>
      )}
      {shown.length > 0 && (
        <div class={executes && shown.some((job) => job.status === "failed") ? "choosing" : ""}>
          <Windowed
            items={shown}
            rowPx={ROW_PX}
            label="Jobs"
            keyOf={(job) => job.job_id}
            render={(job) => <Row job={job} titles={titles} chosen={chosen.has(job.job_id)} onChoose={executes ? choose : null} />}
          />
        </div>
      )}
      {rows && (
        <p class="row">
          {rows.cursor && (
            <button type="button" disabled={doing.busy} onClick={more}>
              {doing.busy ? (search ? "Searching…" : "Loading…") : search ? "Search older jobs" : "Load more"}
            </button>
          )}
          <span class="quiet small" role="status">
            {count(rows.jobs.length, "job")} loaded
            {first.value ? `, ${first.value.queue_depth} ready to run in this workspace` : ""}
          </span>
        </p>
      )}
    </>
  );
}

function Search({ text, onChange }: { text: string; onChange(text: string): void }) {
  const { route } = useLocation();
  const go = (event: Event): void => {
    event.preventDefault();
    const kind = IDS.exec(text.trim())?.[1];
    if (kind === "job") route(`/studio/jobs/${text.trim()}`);
    if (kind === "plan") route(`/studio/jobs?plan_id=${text.trim()}`);
  };
  return (
    <form role="search" class="search" onSubmit={go}>
      <label for="search" class="unseen">
        Search
      </label>
      <input
        id="search"
        type="search"
        data-main-field
        placeholder="Search what is loaded, or give an id"
        value={text}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </form>
  );
}

interface RowProps {
  job: Job;
  titles: Titles;
  chosen: boolean;
  /** Null: whoever looks may not try again. */
  onChoose: ((jobId: string, on: boolean) => void) | null;
}

function Row({ job, titles, chosen, onChoose }: RowProps) {
  return (
    <div class={`job-row ${job.status}`}>
      {onChoose && job.status === "failed" && (
        <input
          type="checkbox"
          aria-label={`Choose ${titles(job.action)}, ${job.step}`}
          checked={chosen}
          onChange={(event) => onChoose(job.job_id, event.currentTarget.checked)}
        />
      )}
      <a data-row href={`/studio/jobs/${job.job_id}`}>
        <span class="job-title">
          <Text>{titles(job.action)}</Text> <code class="quiet">{job.step}</code>
        </span>
        <span class="job-note">
          {job.error ? <Text>{job.error.detail}</Text> : job.reason ? <Text>{job.reason}</Text> : <code class="quiet">{job.action}</code>}
        </span>
        <JobBadge status={job.status} />
        <span class="job-when">
          <Time at={job.finished_at ?? job.started_at ?? job.enqueued_at} />
          {job.duration_ms !== null && <Took ms={job.duration_ms} />}
        </span>
      </a>
    </div>
  );
}
