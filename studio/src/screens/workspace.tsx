// Workspace: how much of its limits is used, what was set, who is in it, and with which keys. Never a secret.
import { api, data } from "../api/client";
import { useEvents, useLoaded } from "../api/hooks";
import { useNames } from "../api/names";
import { usePaged } from "../api/paged";
import type { BudgetUsage, CapUsage, Key, Member, Scope } from "../api/types";
import { count, duration } from "../format";
import { may, useSession } from "../session";
import { Badge } from "../ui/badge";
import { Loading, Refused } from "../ui/notice";
import { Only } from "../ui/only";
import { Page } from "../ui/page";
import { PagedTable } from "../ui/paged-table";
import { StreamBadge } from "../ui/stream-state";
import { type Column, Pairs, Table } from "../ui/table";
import { Id, Text, Time } from "../ui/text";

export function WorkspaceScreen() {
  const session = useSession();
  return (
    <Page wide title="Workspace" aside={<code class="quiet">{session.workspace_id}</code>}>
      <You />
      <section class="part" aria-labelledby="use">
        <h2 id="use">Use</h2>
        <Only scope="actions:preview" what="What is used">
          <Use workspace={session.workspace_id} />
        </Only>
      </section>
      {may(session, "admin") ? (
        <>
          <Settings workspace={session.workspace_id} />
          <Members />
          <Keys />
        </>
      ) : (
        <Only scope="admin" what="Settings, members and keys" />
      )}
    </Page>
  );
}

function You() {
  const session = useSession();
  return (
    <section class="card part" aria-labelledby="you">
      <h2 id="you">You</h2>
      <Pairs
        pairs={[
          ["Signed in as", <Named key="id" id={session.actor_id} />],
          ["Role", session.roles.join(", ")],
          ["You may", Object.entries(SCOPES).flatMap(([scope, words]) => (may(session, scope as Scope) ? [words] : [])).join(", ")],
          ["Until", <Time key="until" at={session.expires_at} form="relative" />],
        ]}
      />
    </section>
  );
}

function Named({ id }: { id: string }) {
  const name = useNames()(id);
  return (
    <>
      {name && <Text>{name}</Text>} <Id>{id}</Id>
    </>
  );
}

const SCOPES = {
  "actions:preview": "plan",
  "actions:execute": "run plans",
  "approvals:decide": "decide approvals",
  "audit:read": "read the audit",
  "connections:manage": "link accounts",
  admin: "run the workspace",
} as const;

function Use({ workspace }: { workspace: string }) {
  const usage = useLoaded(() => data(api.GET("/workspaces/{workspace}/usage", { params: { path: { workspace } } })), workspace);
  const stream = useEvents(null, { onEvents: usage.reload, onGap: usage.reload }, 1000);
  if (!usage.value) return usage.problem ? <Refused problem={usage.problem} retry={usage.reload} /> : <Loading what="what is used" />;
  const { running, caps, budgets } = usage.value;
  return (
    <>
      <p class="row apart">
        <span>
          <span class="figure">{running.toLocaleString()}</span> running now
        </span>
        <StreamBadge state={stream} />
      </p>
      {caps.length > 0 && <Table label="Limits" columns={CAPS} rows={caps} keyOf={(cap) => `${cap.pattern} ${cap.kind}`} />}
      {budgets.length > 0 && <Table label="Budgets" columns={BUDGETS} rows={budgets} keyOf={({ budget }) => budget} />}
      {!caps.length && !budgets.length && (
        <p class="card quiet">
          <span>
            The workspace has set itself no limits and no budgets. An admin sets them with <code>steward workspaces settings</code>.
          </span>
        </p>
      )}
    </>
  );
}

function Meter({ used, limit, label }: { used: number; limit: number; label: string }) {
  return (
    <span class={`meter ${used >= limit ? "full" : ""}`}>
      <meter min={0} max={Math.max(limit, 1)} value={used} aria-label={label} />
      <span>
        {used.toLocaleString()} of {limit.toLocaleString()}
      </span>
    </span>
  );
}

const LIMITS: Record<CapUsage["kind"], string> = { max_running: "running at once", per_minute: "started in a minute" };
const BUDGET_WORDS: Record<BudgetUsage["budget"], string> = {
  messages_out: "Messages sent",
  outside_recipients: "Recipients outside",
  webhook_calls: "Webhooks called",
};

const CAPS: readonly Column<CapUsage>[] = [
  { name: "Actions", cell: ({ pattern }) => (pattern === "*" ? "All actions" : <code><Text>{pattern}</Text></code>) },
  { name: "Limit", cell: ({ limit, kind }) => `${limit.toLocaleString()} ${LIMITS[kind]}` },
  {
    name: "Used",
    cell: (cap) => (
      <>
        <Meter used={cap.used} limit={cap.limit} label={`${cap.pattern}, ${LIMITS[cap.kind]}`} />
        {cap.free_at && (
          <span class="quiet small block">
            room again <Time at={cap.free_at} form="relative" />
          </span>
        )}
      </>
    ),
  },
];

/** A window as it was set: in days or hours where it is whole ones. */
function windowWords(seconds: number): string {
  if (seconds % 86_400 === 0) return count(seconds / 86_400, "day");
  return seconds % 3_600 === 0 ? count(seconds / 3_600, "hour") : duration(seconds * 1000);
}

const BUDGETS: readonly Column<BudgetUsage>[] = [
  { name: "Budget", cell: ({ budget }) => BUDGET_WORDS[budget] },
  { name: "Within", cell: ({ window_s }) => windowWords(window_s) },
  { name: "Used", cell: ({ budget, used, limit }) => <Meter used={used} limit={limit} label={BUDGET_WORDS[budget]} /> },
];

function Settings({ workspace }: { workspace: string }) {
  const detail = useLoaded(() => data(api.GET("/workspaces/{workspace}", { params: { path: { workspace } } })), workspace);
  const settings = detail.value?.settings;
  return (
    <section class="part" aria-labelledby="settings">
      <h2 id="settings">Settings</h2>
      <Refused problem={detail.problem} retry={detail.reload} />
      {!detail.value && detail.loading && <Loading what="settings" />}
      {detail.value && settings && (
        <div class="card">
          <Pairs
            pairs={[
              ["Name", <Text key="name">{detail.value.name}</Text>],
              ["Made", <Time key="made" at={detail.value.created_at} />],
              ["Own domains", settings.own_domains.length ? <Text key="domains">{settings.own_domains.join(", ")}</Text> : <span class="quiet">none: every address is outside</span>],
              ["Rules switched on", settings.rules.length ? settings.rules.join(", ") : <span class="quiet">none beyond the default ones</span>],
              ["Time to take back", settings.undo_window_s ? duration(settings.undo_window_s * 1000) : <span class="quiet">none: a step runs as soon as it may</span>],
            ]}
          />
        </div>
      )}
    </section>
  );
}

function Members() {
  const paged = usePaged(
    async (cursor) => {
      const page = await data(api.GET("/members", { params: { query: { limit: 50, ...(cursor ? { cursor } : {}) } } }));
      return { rows: page.members, cursor: page.next_cursor };
    },
    "members",
    (member) => member.actor_id,
  );
  return (
    <section class="part" aria-labelledby="members">
      <h2 id="members">Members</h2>
      <PagedTable label="Members" paged={paged} columns={MEMBERS} one="member" none="Nobody has come with a token, and nobody was settled." />
    </section>
  );
}

const seen = (at: string | null) => (at ? <Time at={at} form="relative" /> : <span class="quiet">never</span>);

const MEMBERS: readonly Column<Member>[] = [
  {
    name: "Member",
    cell: ({ name, actor_id }) => (
      <>
        <span class="strong">
          <Text>{name || actor_id}</Text>
        </span>
        {name && <Id>{actor_id}</Id>}
      </>
    ),
  },
  { name: "Roles", cell: ({ roles, pinned }) => (roles.length ? `${roles.join(", ")}${pinned ? "" : " (by token)"}` : <span class="quiet">of the key or token</span>) },
  { name: "State", cell: ({ state }) => (state === "enabled" ? <Badge tone="good">Enabled</Badge> : <Badge tone="bad">Disabled</Badge>) },
  { name: "Last seen", cell: ({ last_seen_at }) => seen(last_seen_at) },
];

function Keys() {
  const paged = usePaged(
    async (cursor) => {
      const page = await data(api.GET("/keys", { params: { query: { limit: 50, ...(cursor ? { cursor } : {}) } } }));
      return { rows: page.keys, cursor: page.next_cursor };
    },
    "keys",
    (key) => key.key_id,
  );
  return (
    <section class="part" aria-labelledby="keys">
      <h2 id="keys">Keys</h2>
      <PagedTable label="Keys" paged={paged} columns={KEYS} classOf={({ state }) => (state === "enabled" ? "" : "off")} one="key" none="There are no keys." />
    </section>
  );
}

function stateOf({ state, replaced_by }: Key) {
  if (state === "enabled") return <Badge tone="good">Enabled</Badge>;
  if (state === "expired") return <Badge tone="plain">Expired</Badge>;
  return <Badge tone="bad">{replaced_by ? "Replaced" : "Revoked"}</Badge>;
}

const KEYS: readonly Column<Key>[] = [
  {
    name: "Key",
    cell: ({ name, key_id }) => (
      <>
        <span class="strong">
          <Text>{name}</Text>
        </span>
        <Id>{key_id}</Id>
      </>
    ),
  },
  { name: "Role", cell: ({ role }) => role },
  { name: "Owner", cell: ({ owner }) => (owner ? <Text>{owner}</Text> : <span class="quiet">nobody</span>) },
  { name: "State", cell: stateOf },
  { name: "Last used", cell: ({ last_used_at }) => seen(last_used_at) },
  { name: "Ends", cell: ({ expires_at }) => (expires_at ? <Time at={expires_at} form="relative" /> : <span class="quiet">never</span>) },
];
