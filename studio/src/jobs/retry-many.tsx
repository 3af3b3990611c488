// Many failed jobs tried again at once, with what became of each that was refused.
import { useState } from "preact/hooks";
import { api, asProblem } from "../api/client";
import { useDoing } from "../api/hooks";
import type { Job } from "../api/types";
import { count } from "../format";
import { may, useSession } from "../session";
import { Notice } from "../ui/notice";
import { Id, Text } from "../ui/text";

interface Props {
  jobs: readonly Job[];
  chosen: ReadonlySet<string>;
  onChoose(chosen: ReadonlySet<string>): void;
}

interface Report {
  done: number;
  refused: { jobId: string; why: string }[];
}

export function RetryMany({ jobs, chosen, onChoose }: Props) {
  const session = useSession();
  const doing = useDoing();
  const [report, setReport] = useState<Report | null>(null);
  const failed = jobs.filter((job) => job.status === "failed").map((job) => job.job_id);
  if (!may(session, "actions:execute") || !(failed.length || report)) return null;
  const retry = (): void => {
    void doing.run(async () => {
      const told: Report = { done: 0, refused: [] };
      for (const jobId of chosen) {
        try {
          await api.POST("/ai/jobs/{job_id}/retry", { params: { path: { job_id: jobId } } });
          told.done += 1;
        } catch (error) {
          told.refused.push({ jobId, why: asProblem(error).message });
        }
      }
      setReport(told);
      onChoose(new Set());
    });
  };
  return (
    <div class="bulk">
      <div class="row">
        <button type="button" class="bare" onClick={() => onChoose(new Set(failed))}>
          Choose all that failed ({failed.length})
        </button>
        {chosen.size > 0 && (
          <button type="button" disabled={doing.busy} onClick={retry}>
            Try {count(chosen.size, "job")} again
          </button>
        )}
      </div>
      {report && (
        <Notice tone={report.refused.length ? "wait" : "good"}>
          <p>{count(report.done, "job is", "jobs are")} tried again.</p>
          {report.refused.map(({ jobId, why }) => (
            <p key={jobId}>
              <Id>{jobId}</Id>: <Text>{why}</Text>
            </p>
          ))}
        </Notice>
      )}
    </div>
  );
}
