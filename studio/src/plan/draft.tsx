// A plan that has not run: what it would do, what it still asks, and the buttons that change, run or drop it.
import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import { useTitles } from "../api/actions";
import { api, data } from "../api/client";
import { useDoing } from "../api/hooks";
import { makePlan } from "../api/planning";
import type { Plan } from "../api/types";
import { count } from "../format";
import { may, useSession } from "../session";
import { Notice, Refused } from "../ui/notice";
import { announce } from "../ui/page";
import { Id, Text, Time } from "../ui/text";
import { AsCurl } from "./as-curl";
import { canEdit, type Edits, revised } from "./edit";
import { Questions } from "./questions";
import { Steps } from "./steps";

export function DraftPlan({ plan, onRevised }: { plan: Plan; onRevised(plan: Plan): void }) {
  const titles = useTitles();
  const [edits, setEdits] = useState<Edits | null>(null);
  const doing = useDoing();
  const edit = (step: string, param: string, text: string): void =>
    setEdits((now) => ({ ...now, [step]: { ...now?.[step], [param]: text } }));
  const check = (): void => {
    void doing.run(async () => {
      const made = await makePlan(`/ai/plans/${plan.plan_id}/revise`, { steps: revised(plan.steps, edits ?? {}) }, () => {});
      setEdits(null);
      onRevised(made);
    });
  };
  if (plan.status === "needs_input") return <Questions plan={plan} onRevised={onRevised} />;
  return (
    <>
      <header class="plan-head">
        <h2>The plan</h2>
        <p>
          <Text>{plan.intent}</Text>
        </p>
        <Summary plan={plan} />
      </header>
      <Steps steps={plan.steps} prompt={plan.prompt} titles={titles} edits={edits} onEdit={edit} />
      <footer class="plan-actions">
        {edits ? (
          <div class="row">
            <button type="button" class="main" disabled={doing.busy} onClick={check}>
              Check again
            </button>
            <button type="button" onClick={() => setEdits(null)}>
              Leave it as it was
            </button>
          </div>
        ) : (
          <RunButtons plan={plan} onEdit={canEdit(plan.steps) ? () => setEdits({}) : null} />
        )}
        <Refused problem={doing.problem} />
        {!isDenied(plan) && (
          <p class="quiet small">
            Your yes is to exactly this plan: <Id>{plan.digest.slice(0, 12)}</Id>
            {plan.expires_at && (
              <>
                , until <Time at={plan.expires_at} />
              </>
            )}
            .
          </p>
        )}
        {plan.prompt && <AsCurl prompt={plan.prompt} />}
      </footer>
    </>
  );
}

const isDenied = (plan: Plan): boolean => plan.steps.some((step) => step.decision.effect === "deny");

function Summary({ plan }: { plan: Plan }) {
  const asks = plan.steps.filter((step) => step.decision.effect === "ask").length;
  const denied = plan.steps.filter((step) => step.decision.effect === "deny").length;
  const lasting = plan.steps.filter((step) => step.effect === "write" && step.reversibility.startsWith("irreversible")).length;
  if (denied)
    return (
      <Notice tone="bad">
        Policy denies {count(denied, "step")}, so none of it can run. The sentence of the step says why; change the request or the step.
      </Notice>
    );
  return (
    <p class="plan-facts">
      {count(plan.steps.length, "step")} · {asks ? `${count(asks, "step")} a person is asked about` : "nobody needs to be asked"} ·{" "}
      {lasting ? `${count(lasting, "step")} that cannot be undone` : "nothing that cannot be undone"}
    </p>
  );
}

function RunButtons({ plan, onEdit }: { plan: Plan; onEdit: (() => void) | null }) {
  const session = useSession();
  const { route } = useLocation();
  const doing = useDoing();
  const asks = plan.steps.some((step) => step.decision.effect === "ask" && step.decision.moment !== "step");
  const run = (): void => {
    void doing.run(async () => {
      const headers = { "Idempotency-Key": `studio-${plan.plan_id}` };
      const submitted = await data(api.POST("/ai/execute", { body: { plan_id: plan.plan_id }, params: { header: headers } }));
      announce(submitted.approval_id ? "It waits for approval." : "It runs.");
      route(`/studio/plans/${submitted.plan_id}`);
    });
  };
  return (
    <>
      <div class="row">
        {may(session, "actions:execute") && !isDenied(plan) && (
          <button type="button" class="main" disabled={doing.busy} onClick={run}>
            {doing.busy ? "Starting…" : asks ? "Send for approval" : "Run it"}
          </button>
        )}
        {onEdit && (
          <button type="button" onClick={onEdit}>
            Change a value
          </button>
        )}
        <button type="button" onClick={() => route("/")}>
          Start over
        </button>
      </div>
      {!may(session, "actions:execute") && <p class="quiet">You may look at plans, not run them.</p>}
      <Refused problem={doing.problem} />
    </>
  );
}
