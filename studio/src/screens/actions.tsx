// Actions: everything that a plan could be made of, what it does, and whether it is there for whoever looks.
import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import { backWords, effectWords } from "../actions/words";
import { api, data } from "../api/client";
import { useLoaded } from "../api/hooks";
import type { ActionDescription } from "../api/types";
import { count } from "../format";
import { may, useSession } from "../session";
import { Badge } from "../ui/badge";
import { Filters } from "../ui/filters";
import { Empty, Loading, Refused } from "../ui/notice";
import { Only } from "../ui/only";
import { Page } from "../ui/page";
import { type Column, Table } from "../ui/table";
import { Text } from "../ui/text";

const KINDS = [
  ["read", "Only read"],
  ["write", "Change something"],
  ["off", "Not available"],
] as const;

export function ActionsScreen() {
  return (
    <Page wide title="Actions">
      <Only scope="actions:preview" what="The actions">
        <Catalogue />
      </Only>
    </Page>
  );
}

function Catalogue() {
  const { query } = useLocation();
  const [search, setSearch] = useState("");
  const catalogue = useLoaded(() => data(api.GET("/actions")), "actions");
  const kind = KINDS.find(([one]) => one === query["kind"])?.[0] ?? null;
  const shown = catalogue.value?.actions.filter((action) => isOf(action, kind) && says(action, search)) ?? [];
  return (
    <>
      <Filters path="/studio/actions" name="kind" chosen={kind} choices={KINDS} />
      <div class="search" role="search">
        <label for="search" class="unseen">
          Search
        </label>
        <input id="search" type="search" data-main-field placeholder="What should happen?" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
      </div>
      <Refused problem={catalogue.problem} retry={catalogue.reload} />
      {!catalogue.value && catalogue.loading && <Loading what="actions" />}
      {catalogue.value && !shown.length && <Empty title="No action like this." />}
      {shown.length > 0 && <Table label="Actions" columns={COLUMNS} rows={shown} keyOf={(action) => action.id} classOf={(action) => (action.enabled ? "" : "off")} />}
      {catalogue.value && (
        <p class="quiet small" role="status">
          {count(shown.length, "action")}
        </p>
      )}
    </>
  );
}

function isOf(action: ActionDescription, kind: string | null): boolean {
  return kind === null || (kind === "off" ? !action.enabled : action.effect === kind);
}

function says(action: ActionDescription, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/);
  const place = `${action.id} ${action.title} ${action.description}`.toLowerCase();
  return words.every((word) => place.includes(word));
}

const COLUMNS: readonly Column<ActionDescription>[] = [
  {
    name: "Action",
    cell: (action) => (
      <>
        <a data-row class="strong" href={`/studio/actions/${action.id}`}>
          <Text>{action.title}</Text>
        </a>
        <code class="quiet block">{action.id}</code>
      </>
    ),
  },
  { name: "What it does", cell: (action) => <Text>{action.description}</Text> },
  {
    name: "Effect",
    cell: (action) => (
      <>
        <span class="unbroken">{effectWords(action)}</span>
        <span class="quiet small block">{backWords(action)}</span>
      </>
    ),
  },
  { name: "For you", cell: (action) => <Availability action={action} /> },
];

/** Whether the action is there for whoever looks, before any rule is asked. */
export function Availability({ action }: { action: ActionDescription }) {
  const runs = may(useSession(), "actions:execute");
  if (!action.enabled)
    return (
      <>
        <Badge tone="plain">Not available</Badge>
        <span class="quiet small block">
          <Text>{action.disabled_because}</Text>
        </span>
      </>
    );
  return runs ? <Badge tone="good">Yours to run</Badge> : <Badge tone="wait">To plan only</Badge>;
}
