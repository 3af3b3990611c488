// Requests: the sentences of this workspace, newest first, with what became of them.
import { useLocation } from "preact-iso";
import { api, data } from "../api/client";
import { useEvents, useLoaded } from "../api/hooks";
import { usePaged } from "../api/paged";
import type { PlanStatus, PlanSummary } from "../api/types";
import { PLAN_STATUSES, PlanBadge, planWords } from "../ui/badge";
import { Filters } from "../ui/filters";
import { More } from "../ui/more";
import { Empty, Loading, Refused } from "../ui/notice";
import { Page } from "../ui/page";
import { StreamBadge } from "../ui/stream-state";
import { Text, Time } from "../ui/text";

function Row({ plan }: { plan: PlanSummary }) {
  const draft = plan.status === "draft" || plan.status === "needs_input";
  return (
    <li>
      <a class="request" data-row href={draft ? `/?plan=${plan.plan_id}` : `/studio/plans/${plan.plan_id}`}>
        <span class="request-text">
          <Text>{plan.prompt || plan.intent}</Text>
        </span>
        <PlanBadge status={plan.status} />
        <Time at={plan.created_at} form="relative" />
      </a>
    </li>
  );
}

const page = (query: { limit: number; status?: PlanStatus; cursor?: string }) => data(api.GET("/ai/plans", { params: { query } }));

export function RecentRequests() {
  const recent = useLoaded(() => page({ limit: 5 }), "recent");
  if (!recent.value?.plans.length) return null;
  return (
    <section aria-labelledby="recent">
      <h2 id="recent">Lately</h2>
      <ul class="requests">
        {recent.value.plans.map((plan) => (
          <Row key={plan.plan_id} plan={plan} />
        ))}
      </ul>
      <p>
        <a href="/studio/plans">All requests</a>
      </p>
    </section>
  );
}

export function RequestsScreen() {
  const { query } = useLocation();
  const status = PLAN_STATUSES.find((one) => one === query["status"]);
  const filter = status ? { status } : {};
  const plans = usePaged(
    async (cursor) => {
      const part = await page(cursor ? { limit: 100, ...filter, cursor } : { limit: 50, ...filter });
      return { rows: part.plans, cursor: part.next_cursor };
    },
    status ?? "",
    (plan) => plan.plan_id,
  );
  const stream = useEvents(null, { onEvents: plans.reload, onGap: plans.reload }, 800);
  return (
    <Page title="Requests" aside={<StreamBadge state={stream} />}>
      <Filters path="/studio/plans" name="status" chosen={status ?? null} choices={PLAN_STATUSES.map((one) => [one, planWords(one)])} />
      <Refused problem={plans.problem} retry={plans.reload} />
      {!plans.rows && plans.loading && <Loading what="requests" />}
      {plans.rows && !plans.rows.length && (
        <Empty title="Nothing here.">
          <a href="/">Ask for something</a>
        </Empty>
      )}
      <ul class="requests">
        {plans.rows?.map((plan) => (
          <Row key={plan.plan_id} plan={plan} />
        ))}
      </ul>
      <More paged={plans} />
    </Page>
  );
}
