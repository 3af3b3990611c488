// Policy: which rule decides a call, the workspace's own rules with their texts, and those that come with Steward.
import { useState } from "preact/hooks";
import { useCatalogue } from "../api/actions";
import { api, data } from "../api/client";
import { useLoaded } from "../api/hooks";
import type { DefaultRule, Policy } from "../api/types";
import { sentencesOf } from "../policy/sentences";
import { Verdicts } from "../policy/verdicts";
import { Badge, type Tone } from "../ui/badge";
import { Loading, Refused } from "../ui/notice";
import { Only } from "../ui/only";
import { Page } from "../ui/page";
import { type Column, Name, Table } from "../ui/table";
import { Text, Time } from "../ui/text";
import { Who } from "../ui/who";

export function PolicyScreen() {
  return (
    <Page wide title="Policy">
      <Only scope="admin" what="The policies">
        <Try />
        <Own />
        <Defaults />
      </Only>
    </Page>
  );
}

function Try() {
  const actions = [...useCatalogue().values()];
  const [id, setId] = useState("");
  const action = actions.find((one) => one.id === id) ?? actions.find((one) => one.effect === "write") ?? actions[0];
  return (
    <section class="part" aria-labelledby="try">
      <h2 id="try">Which rule decides this call?</h2>
      {action && (
        <div class="card part">
          <div class="field">
            <label for="try-action">Action</label>
            <select id="try-action" data-main-field value={action.id} onChange={(event) => setId(event.currentTarget.value)}>
              {actions.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.title} ({one.id})
                </option>
              ))}
            </select>
          </div>
          <Verdicts key={action.id} action={action} />
        </div>
      )}
    </section>
  );
}

function Own() {
  const policies = useLoaded(() => data(api.GET("/policies")), "policies");
  return (
    <section class="part" aria-labelledby="own">
      <h2 id="own">Rules of this workspace</h2>
      <p class="quiet">They can only forbid what the rules below would allow, or have a person asked.</p>
      <Refused problem={policies.problem} retry={policies.reload} />
      {!policies.value && policies.loading && <Loading what="policies" />}
      {policies.value && !policies.value.policies.length && (
        <p class="card quiet">
          <span>
            The workspace has no rules of its own. An admin adds one with <code>steward policy put</code>.
          </span>
        </p>
      )}
      {policies.value?.policies.map((policy) => (
        <OwnPolicy key={policy.name} policy={policy} />
      ))}
      {policies.value && (
        <p class="quiet small">
          All rules as they stand now: <code>{policies.value.version}</code>. The version is recorded with every decision.
        </p>
      )}
    </section>
  );
}

function OwnPolicy({ policy }: { policy: Policy }) {
  return (
    <article class="card part" aria-label={policy.name}>
      <h3>
        <code>{policy.name}</code>
      </h3>
      {sentencesOf(policy.text).map((sentence, place) => (
        <p key={place} class="prompt">
          <Text>{sentence}</Text>
        </p>
      ))}
      <pre class="json" tabIndex={0} aria-label={`Text of ${policy.name}`} role="region">
        <Text>{policy.text.trim()}</Text>
      </pre>
      <p class="quiet small">
        Kept <Time at={policy.changed_at} form="relative" /> by <Who id={policy.changed_by} />
      </p>
    </article>
  );
}

const EFFECTS: Record<DefaultRule["effect"], [Tone, string]> = {
  permit: ["good", "Lets run"],
  ask: ["wait", "Asks a person"],
  deny: ["bad", "Denies"],
};

const COLUMNS: readonly Column<DefaultRule>[] = [
  { name: "Rule", cell: (rule) => <Name>{rule.name}</Name> },
  { name: "Effect", cell: ({ effect }) => <Badge tone={EFFECTS[effect][0]}>{EFFECTS[effect][1]}</Badge> },
  {
    name: "What it says",
    cell: (rule) => (
      <>
        <Text>{rule.reason}</Text>
        {rule.fix && (
          <span class="quiet block">
            <Text>{rule.fix}</Text>
          </span>
        )}
      </>
    ),
  },
  {
    name: "In this workspace",
    cell: (rule) => (rule.on ? <Badge tone="good">On</Badge> : <Badge tone="plain">{rule.optional ? "Off" : `Off: only in ${rule.sets.join(", ")}`}</Badge>),
  },
];

function Defaults() {
  const rules = useLoaded(() => data(api.GET("/policies/default")), "default rules");
  return (
    <section class="part" aria-labelledby="defaults">
      <h2 id="defaults">Rules that come with Steward</h2>
      <p class="quiet">In the order in which they speak. Those that are off are switched on in the workspace's settings.</p>
      <Refused problem={rules.problem} retry={rules.reload} />
      {!rules.value && rules.loading && <Loading what="rules" />}
      {rules.value && <Table label="Rules that come with Steward" columns={COLUMNS} rows={rules.value.rules} keyOf={(rule) => rule.name} classOf={(rule) => (rule.on ? "" : "off")} />}
    </section>
  );
}
