// Approvals: what waits for a person, oldest danger first to be seen, and what was decided.
import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import { api, data } from "../api/client";
import { useDoing, useEvents, useLoaded } from "../api/hooks";
import type { Approval, ApprovalStatus } from "../api/types";
import { APPROVAL_STATUSES, ApprovalBadge, approvalWords } from "../ui/badge";
import { Filters } from "../ui/filters";
import { Empty, Loading, Refused } from "../ui/notice";
import { Page } from "../ui/page";
import { StreamBadge } from "../ui/stream-state";
import { Text, Time } from "../ui/text";
import { Who } from "../ui/who";

const page = (status: ApprovalStatus, cursor?: string) =>
  data(api.GET("/ai/approvals", { params: { query: { status, limit: 50, ...(cursor ? { cursor } : {}) } } }));

export function ApprovalsScreen() {
  const { query } = useLocation();
  const status = APPROVAL_STATUSES.find((one) => one === query["status"]) ?? "pending";
  const first = useLoaded(() => page(status), status);
  const [more, setMore] = useState<{ of: string; approvals: Approval[]; cursor: string | null } | null>(null);
  const doing = useDoing();
  const stream = useEvents(null, {
    onEvents: (events) => void (events.some((event) => event.type.startsWith("approval.") || event.type === "job.held" || event.type === "plan.submitted") && first.reload()),
    onGap: first.reload,
  });
  const later = more?.of === status ? more : null;
  const cursor = later ? later.cursor : (first.value?.next_cursor ?? null);
  const shown = new Set(first.value?.approvals.map((one) => one.approval_id));
  const approvals = [...(first.value?.approvals ?? []), ...(later?.approvals.filter((one) => !shown.has(one.approval_id)) ?? [])];
  const load = (): void => {
    void doing.run(async () => {
      const next = await page(status, cursor!);
      setMore({ of: status, approvals: [...(later?.approvals ?? []), ...next.approvals], cursor: next.next_cursor });
    });
  };
  return (
    <Page title="Approvals" aside={<StreamBadge state={stream} />}>
      <Filters path="/studio/approvals" name="status" chosen={status} choices={APPROVAL_STATUSES.map((one) => [one, approvalWords(one)])} all={null} />
      <Refused problem={first.problem ?? doing.problem} retry={first.reload} />
      {!first.value && first.loading && <Loading what="approvals" />}
      {first.value && !approvals.length && (
        <Empty title={status === "pending" ? "Nothing waits for you." : "Nothing here."}>
          {status === "pending" && <p class="quiet">A new request appears here by itself.</p>}
        </Empty>
      )}
      <ul class="approvals">
        {approvals.map((approval) => (
          <Row key={approval.approval_id} approval={approval} />
        ))}
      </ul>
      {cursor && (
        <button type="button" disabled={doing.busy} onClick={load}>
          Load more
        </button>
      )}
    </Page>
  );
}

function Row({ approval }: { approval: Approval }) {
  return (
    <li>
      <a class="approval" data-row href={`/studio/approvals/${approval.approval_id}`}>
        <span class="approval-intent">
          <Text>{approval.intent}</Text>
        </span>
        <span class="approval-reason">
          <Text>{approval.reason}</Text>
        </span>
        <span class="approval-facts">
          <ApprovalBadge status={approval.status} />
          <span>
            asked <Time at={approval.created_at} form="relative" />
          </span>
          <span>
            by <Who id={approval.requested_by} />
          </span>
          {approval.status === "pending" && (
            <span>
              expires <Time at={approval.expires_at} form="relative" />
            </span>
          )}
        </span>
      </a>
    </li>
  );
}
