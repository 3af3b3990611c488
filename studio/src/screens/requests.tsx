// Requests: the sentences of this workspace, newest first, with what became of them.
import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import { api, data } from "../api/client";
import { useDoing, useEvents, useLoaded } from "../api/hooks";
import type { PlanStatus, PlanSummary } from "../api/types";
import { PLAN_STATUSES, PlanBadge, planWords } from "../ui/badge";
import { Filters } from "../ui/filters";
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
  const first = useLoaded(() => page({ limit: 50, ...filter }), status ?? "");
  const [more, setMore] = useState<{ of: string; plans: PlanSummary[]; cursor: string | null } | null>(null);
  const doing = useDoing();
  const stream = useEvents(null, { onEvents: first.reload, onGap: first.reload }, 800);
  const later = more?.of === (status ?? "") ? more : null;
  const cursor = later ? later.cursor : (first.value?.next_cursor ?? null);
  const shown = new Set(first.value?.plans.map((plan) => plan.plan_id));
  const plans = [...(first.value?.plans ?? []), ...(later?.plans.filter((plan) => !shown.has(plan.plan_id)) ?? [])];
  const load = (): void => {
    void doing.run(async () => {
      const next = await page({ limit: 100, ...filter, cursor: cursor! });
      setMore({ of: status ?? "", plans: [...(later?.plans ?? []), ...next.plans], cursor: next.next_cursor });
    });
  };
  return (
    <Page title="Requests" aside={<StreamBadge state={stream} />}>
      <Filters path="/studio/plans" name="status" chosen={status ?? null} choices={PLAN_STATUSES.map((one) => [one, planWords(one)])} />
      <Refused problem={first.problem ?? doing.problem} retry={first.reload} />
      {!first.value && first.loading && <Loading what="requests" />}
      {first.value && !plans.length && (
        <Empty title="Nothing here.">
          <a href="/">Ask for something</a>
        </Empty>
      )}
      <ul class="requests">
        {plans.map((plan) => (
          <Row key={plan.plan_id} plan={plan} />
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
