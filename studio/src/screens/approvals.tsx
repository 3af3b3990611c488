// Approvals: what waits for a person, oldest danger first to be seen, and what was decided.
import { useLocation } from "preact-iso";
import { api, data } from "../api/client";
import { useEvents } from "../api/hooks";
import { usePaged } from "../api/paged";
import type { Approval, ApprovalStatus } from "../api/types";
import { APPROVAL_STATUSES, ApprovalBadge, approvalWords } from "../ui/badge";
import { Filters } from "../ui/filters";
import { More } from "../ui/more";
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
  const approvals = usePaged(
    async (cursor) => {
      const part = await page(status, cursor);
      return { rows: part.approvals, cursor: part.next_cursor };
    },
    status,
    (approval) => approval.approval_id,
  );
  const stream = useEvents(null, {
    onEvents: (events) => void (events.some((event) => event.type.startsWith("approval.") || event.type === "job.held" || event.type === "plan.submitted") && approvals.reload()),
    onGap: approvals.reload,
  });
  return (
    <Page title="Approvals" aside={<StreamBadge state={stream} />}>
      <Filters path="/studio/approvals" name="status" chosen={status} choices={APPROVAL_STATUSES.map((one) => [one, approvalWords(one)])} all={null} />
      <Refused problem={approvals.problem} retry={approvals.reload} />
      {!approvals.rows && approvals.loading && <Loading what="approvals" />}
      {approvals.rows && !approvals.rows.length && (
        <Empty title={status === "pending" ? "Nothing waits for you." : "Nothing here."}>
          {status === "pending" && <p class="quiet">A new request appears here by itself.</p>}
        </Empty>
      )}
      <ul class="approvals">
        {approvals.rows?.map((approval) => (
          <Row key={approval.approval_id} approval={approval} />
        ))}
      </ul>
      <More paged={approvals} />
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
