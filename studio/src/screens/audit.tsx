// Audit: what happened, who did it and which rule let them, newest first, and whether the chain of records is whole.
import { useLocation } from "preact-iso";
import { Chain } from "../audit/chain";
import { Evidence } from "../audit/evidence";
import { KINDS, kindWords } from "../audit/kinds";
import { api, data } from "../api/client";
import { usePaged } from "../api/paged";
import type { AuditRecord, RecordKind } from "../api/types";
import { Value } from "../plan/value";
import { may, useSession } from "../session";
import { Only } from "../ui/only";
import { Page } from "../ui/page";
import { PagedTable } from "../ui/paged-table";
import { type Column, Pairs } from "../ui/table";
import { Id, Text, Time } from "../ui/text";
import { Who } from "../ui/who";

const PATH = "/studio/audit";

interface Filter {
  /** Whatever stands in the address: the API refuses what is none. */
  kind?: RecordKind;
  actor?: string;
  plan_id?: string;
}

export function AuditScreen() {
  return (
    <Page wide title="Audit">
      <Only scope="audit:read" what="The audit">
        <Chain />
        <Records />
      </Only>
    </Page>
  );
}

/** Return the address of the records that a filter leaves. */
function addressOf(filter: Filter): string {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value)).toString();
  return query ? `${PATH}?${query}` : PATH;
}

function Records() {
  const { query } = useLocation();
  const filter: Filter = {};
  for (const name of ["kind", "actor", "plan_id"] as const) if (query[name]) filter[name] = query[name] as RecordKind;
  const paged = usePaged(
    async (cursor) => {
      const page = await data(api.GET("/audit", { params: { query: { limit: 50, ...filter, ...(cursor ? { cursor } : {}) } } }));
      return { rows: page.records, cursor: page.next_cursor };
    },
    addressOf(filter),
    (record) => String(record.sequence),
  );
  return (
    <section class="part" aria-labelledby="records">
      <div class="row apart">
        <h2 id="records">Records</h2>
        <button type="button" class="bare" onClick={paged.reload}>
          Look again
        </button>
      </div>
      <FilterForm key={addressOf(filter)} filter={filter} />
      {filter.plan_id && (
        <p class="row">
          <Evidence planId={filter.plan_id} />
        </p>
      )}
      <PagedTable
        label="Records"
        paged={paged}
        columns={COLUMNS}
        classOf={toneOf}
        more={(record) => <Details record={record} />}
        one="record"
        none="There is no record like this."
      />
    </section>
  );
}

function FilterForm({ filter }: { filter: Filter }) {
  const { route } = useLocation();
  const submit = (event: Event): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    route(addressOf(Object.fromEntries([...given].map(([name, value]) => [name, String(value).trim()]))));
  };
  return (
    <form class="form-grid ends" role="search" onSubmit={submit}>
      <div class="field">
        <label for="kind">What happened</label>
        <select id="kind" name="kind" data-main-field defaultValue={filter.kind ?? ""}>
          <option value="">Anything</option>
          {KINDS.map(([group, kinds]) => (
            <optgroup key={group} label={group}>
              {kinds.map(([kind, words]) => (
                <option key={kind} value={kind} selected={kind === filter.kind}>
                  {words}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
      </div>
      <div class="field">
        <label for="actor">By key or member</label>
        <input id="actor" name="actor" maxLength={64} defaultValue={filter.actor ?? ""} />
      </div>
      <div class="field">
        <label for="plan_id">About request</label>
        <input id="plan_id" name="plan_id" maxLength={64} placeholder="plan_…" defaultValue={filter.plan_id ?? ""} />
      </div>
      <div class="row">
        <button type="submit">Show</button>
        {Object.keys(filter).length > 0 && <a href={PATH}>Show everything</a>}
      </div>
    </form>
  );
}

function toneOf({ kind, result }: AuditRecord): string {
  const bad = kind === "request.denied" || kind === "login.failed" || result === "deny" || kind.endsWith(".failed") || kind.endsWith(".unknown");
  return bad ? "bad" : "";
}

const COLUMNS: readonly Column<AuditRecord>[] = [
  { name: "When", cell: ({ at }) => <Time at={at} /> },
  {
    name: "What happened",
    cell: ({ kind, action_id }) => (
      <>
        <span class="strong">{kindWords(kind)}</span>
        <code class="quiet block">
          <Text>{action_id ?? kind}</Text>
        </code>
      </>
    ),
  },
  { name: "Who", cell: ({ actor_id }) => (actor_id ? <WhoLink id={actor_id} /> : <span class="quiet">by itself</span>) },
  {
    name: "Result",
    cell: ({ result, rule }) => (
      <>
        <span class="result-word">
          <Text>{result.replaceAll("_", " ")}</Text>
        </span>
        {rule && (
          <span class="quiet small block">
            by rule <Text>{rule}</Text>
          </span>
        )}
      </>
    ),
  },
];

function WhoLink({ id }: { id: string }) {
  return (
    <a class="who-link" href={addressOf({ actor: id })}>
      <Who id={id} />
    </a>
  );
}

function Details({ record }: { record: AuditRecord }) {
  const works = may(useSession(), "actions:preview");
  const { plan_id, job_id } = record;
  return (
    <div class="part">
      <Pairs
        pairs={[
          ["Record", `${record.sequence.toLocaleString()}, ${record.kind}`],
          ["Who", record.actor_id && <Text key="who">{record.actor_id}</Text>],
          ["Acting as", record.acting_as && <Text key="as">{record.acting_as}</Text>],
          ["Request", plan_id && (works ? <a key="plan" href={`/studio/plans/${plan_id}`}>{plan_id}</a> : <Id key="plan">{plan_id}</Id>)],
          ["Step", job_id && (works ? <a key="job" href={`/studio/jobs/${job_id}`}>{job_id}</a> : <Id key="job">{job_id}</Id>)],
          ["Facts", <Value key="facts" value={record.facts} />],
          ["What was seen", record.view_erased ? <span key="view" class="quiet">erased</span> : record.view !== null && <Value key="view" value={record.view} />],
          ["For the log", record.request_id && <Id key="log">{record.request_id}</Id>],
          ["Hash", <Id key="hash">{record.hash}</Id>],
          ["Hash before", <Id key="before">{record.previous}</Id>],
        ]}
      />
      {plan_id && (
        <p class="row">
          <a href={addressOf({ plan_id })}>All records of this request</a>
          <Evidence planId={plan_id} />
        </p>
      )}
    </div>
  );
}
