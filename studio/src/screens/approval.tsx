// One approval: everything that would happen, in one view, and a yes or no to exactly that.
import { useRoute } from "preact-iso";
import { useState } from "preact/hooks";
import { useTitles } from "../api/actions";
import { api, data } from "../api/client";
import { useDoing, useEvents, useLoaded } from "../api/hooks";
import type { ApprovalDetail } from "../api/types";
import { Differences } from "../plan/differences";
import { Steps } from "../plan/steps";
import { useSession } from "../session";
import { ApprovalBadge } from "../ui/badge";
import { Loading, Refused } from "../ui/notice";
import { announce, Page } from "../ui/page";
import { Id, Text, Time } from "../ui/text";
import { Who } from "../ui/who";

export function ApprovalScreen() {
  const id = useRoute().params["id"] ?? "";
  return <Loader key={id} id={id} />;
}

function Loader({ id }: { id: string }) {
  const loaded = useLoaded(() => data(api.GET("/ai/approvals/{approval_id}", { params: { path: { approval_id: id } } })), id);
  const approval = loaded.value;
  useEvents(null, {
    onEvents: (events) => void (events.some((event) => event.plan_id === approval?.plan_id) && loaded.reload()),
    onGap: loaded.reload,
  });
  if (!approval)
    return (
      <Page title="Approval">
        {loaded.problem ? <Refused problem={loaded.problem} retry={loaded.reload} instead={["/studio/approvals", "All approvals"]} /> : <Loading what="the approval" />}
      </Page>
    );
  return <Shown approval={approval} onDecided={loaded.set} />;
}

function Shown({ approval, onDecided }: { approval: ApprovalDetail; onDecided(approval: ApprovalDetail): void }) {
  const titles = useTitles();
  return (
    <Page title={approval.job_id ? "Approve one step?" : "Approve this plan?"} aside={<ApprovalBadge status={approval.status} />}>
      <blockquote class="prompt">
        <Text>{approval.prompt || approval.intent}</Text>
      </blockquote>
      <dl class="pairs">
        <div>
          <dt>Asked because</dt>
          <dd>
            <Text>{approval.reason}</Text> <span class="quiet small">Rule: {approval.rule}</span>
          </dd>
        </div>
        <div>
          <dt>Asked by</dt>
          <dd>
            <Who id={approval.requested_by} whole />, <Time at={approval.created_at} />
          </dd>
        </div>
        <div>
          <dt>Who decides</dt>
          <dd>
            {approval.approver_role ? `Somebody with the role ${approval.approver_role}` : "Whoever may decide approvals"}
            {approval.another_person ? ", but not whoever asked for it" : ""}
          </dd>
        </div>
        {approval.status === "pending" && (
          <div>
            <dt>Until</dt>
            <dd>
              <Time at={approval.expires_at} />
            </dd>
          </div>
        )}
        {approval.decided_by && approval.decided_at && (
          <div>
            <dt>Decided by</dt>
            <dd>
              <Who id={approval.decided_by} whole />, <Time at={approval.decided_at} />
              {approval.comment && (
                <>
                  : “<Text>{approval.comment}</Text>”
                </>
              )}
            </dd>
          </div>
        )}
      </dl>
      {approval.differences.length > 0 && (
        <section aria-labelledby="changed">
          <h2 id="changed">What has changed since</h2>
          <p>It is held because of that, and has not run. Cancel the plan and make it again to have it done.</p>
          <Differences differences={approval.differences} />
        </section>
      )}
      <h2>What would happen</h2>
      <Steps steps={approval.steps} prompt={approval.prompt} titles={titles} />
      {approval.status === "pending" ? (
        <Decide approval={approval} onDecided={onDecided} />
      ) : (
        <p>
          <a href={`/studio/plans/${approval.plan_id}`}>Watch the plan</a>
        </p>
      )}
    </Page>
  );
}

function Decide({ approval, onDecided }: { approval: ApprovalDetail; onDecided(approval: ApprovalDetail): void }) {
  const [comment, setComment] = useState("");
  const doing = useDoing();
  const own = approval.another_person && approval.requested_by === useSession().actor_id;
  const decide = (verdict: "approve" | "reject"): void => {
    void doing.run(async () => {
      const body = { digest: approval.digest, ...(comment.trim() ? { comment } : {}) };
      const path = { params: { path: { approval_id: approval.approval_id } }, body };
      onDecided(
        await data(verdict === "approve" ? api.POST("/ai/approvals/{approval_id}/approve", path) : api.POST("/ai/approvals/{approval_id}/reject", path)),
      );
      announce(verdict === "approve" ? "Approved." : "Rejected.");
    });
  };
  return (
    <section class="decide" aria-label="Your decision">
      <label for="comment">
        Comment <span class="quiet">(kept with the decision)</span>
      </label>
      <textarea id="comment" data-main-field rows={2} maxLength={2000} value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
      <div class="row">
        {!own && (
          <button type="button" class="main" disabled={doing.busy} onClick={() => decide("approve")}>
            Approve
          </button>
        )}
        <button type="button" class="danger" disabled={doing.busy} onClick={() => decide("reject")}>
          Reject
        </button>
        <span class="quiet small">
          {own ? (
            "You asked for it, so somebody else has to approve it."
          ) : (
            <>
              To exactly this: <Id>{approval.digest.slice(0, 12)}</Id>
            </>
          )}
        </span>
      </div>
      <Refused problem={doing.problem} />
    </section>
  );
}
