// What a person may do to a job: ask why, cancel, try again, and settle what nobody knows.
import { useState } from "preact/hooks";
import { api, data } from "../api/client";
import { useDoing } from "../api/hooks";
import type { Explanation, Job, JobStatus } from "../api/types";
import { may, useSession } from "../session";
import { Dialog } from "../ui/dialog";
import { Refused } from "../ui/notice";
import { announce } from "../ui/page";
import { Text, Time } from "../ui/text";

const CAN_CANCEL: readonly JobStatus[] = ["waiting", "held", "scheduled", "pending", "running"];

export function JobActions({ job }: { job: Job }) {
  const session = useSession();
  const doing = useDoing();
  const [resolving, setResolving] = useState(false);
  const path = { params: { path: { job_id: job.job_id } } };
  const executes = may(session, "actions:execute");
  const does = (words: string, call: () => Promise<unknown>): void => {
    void doing.run(async () => {
      await call();
      announce(words);
    });
  };
  return (
    <div class="job-actions">
      {executes && job.status === "failed" && (
        <button type="button" disabled={doing.busy} onClick={() => does("It is tried again.", () => api.POST("/ai/jobs/{job_id}/retry", path))}>
          Try again
        </button>
      )}
      {executes && job.status === "unknown" && (
        <button type="button" onClick={() => setResolving(true)}>
          Say what happened…
        </button>
      )}
      {executes && CAN_CANCEL.includes(job.status) && (
        <button type="button" disabled={doing.busy} onClick={() => does("It is cancelled.", () => api.POST("/ai/jobs/{job_id}/cancel", path))}>
          Cancel {job.step}
        </button>
      )}
      {job.status !== "completed" && <Why label={`Explain ${job.step}`} ask={() => data(api.GET("/ai/jobs/{job_id}/explain", path))} />}
      <Refused problem={doing.problem} />
      <Resolve job={job} open={resolving} onClose={() => setResolving(false)} />
    </div>
  );
}

/** Asks why something is where it is, and says it in the same place. */
export function Why({ label, ask }: { label: string; ask(): Promise<Explanation> }) {
  const [answer, setAnswer] = useState<Explanation | null>(null);
  const doing = useDoing();
  const toggle = (): void => {
    if (answer) setAnswer(null);
    else void doing.run(async () => setAnswer(await ask()));
  };
  return (
    <>
      <button type="button" class="bare" aria-expanded={answer !== null} onClick={toggle}>
        {label}
      </button>
      {answer && (
        <div class="why" role="status">
          <p>
            <Text>{answer.reason.text}</Text>
          </p>
          <dl class="pairs">
            {answer.since && (
              <div>
                <dt>Since</dt>
                <dd>
                  <Time at={answer.since} />
                </dd>
              </div>
            )}
            {answer.next_change_at && (
              <div>
                <dt>Changes at the latest</dt>
                <dd>
                  <Time at={answer.next_change_at} />
                </dd>
              </div>
            )}
            {answer.who && (
              <div>
                <dt>Who can change it</dt>
                <dd>
                  <Text>{answer.who}</Text>
                </dd>
              </div>
            )}
          </dl>
        </div>
      )}
      <Refused problem={doing.problem} />
    </>
  );
}

function Resolve({ job, open, onClose }: { job: Job; open: boolean; onClose(): void }) {
  const [outcome, setOutcome] = useState<"completed" | "failed" | null>(null);
  const [note, setNote] = useState("");
  const doing = useDoing();
  const submit = (event: Event): void => {
    event.preventDefault();
    if (!outcome) return;
    void doing.run(async () => {
      await api.POST("/ai/jobs/{job_id}/resolve", { params: { path: { job_id: job.job_id } }, body: { outcome, note } });
      announce("It is settled.");
      onClose();
    });
  };
  const choice = (value: "completed" | "failed", words: string) => (
    <label class="check">
      <input type="radio" name="outcome" checked={outcome === value} onChange={() => setOutcome(value)} required /> {words}
    </label>
  );
  return (
    <Dialog title="What happened?" open={open} onClose={onClose}>
      <form onSubmit={submit}>
        <p>
          Nobody knows whether <code>{job.action}</code> had its effect. Look at the far end, then say what you found; the plan goes on from there.
        </p>
        <fieldset>
          <legend>What you found</legend>
          {choice("completed", "It happened")}
          {choice("failed", "It did not happen")}
        </fieldset>
        <label for="resolve-note">How you know</label>
        <textarea id="resolve-note" rows={3} required maxLength={2000} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.busy}>
            Settle it
          </button>
          <button type="button" onClick={onClose}>
            Not now
          </button>
        </div>
        <Refused problem={doing.problem} />
      </form>
    </Dialog>
  );
}
