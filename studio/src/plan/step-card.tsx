// One step: what it does, to whom, as whom, with what, what policy says, and whether it can be taken back.
import type { Titles } from "../api/actions";
import type { Job, Step } from "../api/types";
import { DecisionBadge, Literal, Provenance } from "../ui/badge";
import { Text } from "../ui/text";
import { editable, type Edits } from "./edit";
import { StepJobs } from "./step-jobs";
import { Value } from "./value";

interface Props {
  step: Step;
  steps: readonly Step[];
  prompt: string;
  titles: Titles;
  jobs: Job[] | null;
  edits: Edits | null;
  onEdit: ((step: string, param: string, text: string) => void) | undefined;
}

export function StepCard({ step, steps, prompt, titles, jobs, edits, onEdit }: Props) {
  const title = titles(step.action_id);
  const own = step.description && !step.description.startsWith(title);
  return (
    <li class={`step ${step.decision.effect}`} aria-labelledby={`step-${step.id}`}>
      <header class="step-head">
        <h3 id={`step-${step.id}`}>
          <span class="step-id">{step.id}</span> <Text>{title}</Text>
        </h3>
        <code class="quiet">{step.action_id}</code>
      </header>
      {own && (
        <p class="step-text">
          <Text>{step.description}</Text>
        </p>
      )}
      <DependsOn step={step} steps={steps} titles={titles} />
      <div class="verdict">
        <DecisionBadge effect={step.decision.effect} />
        <p>
          <Text>{step.decision.reason}</Text> <WhoDecides step={step} />
          <span class="quiet small"> Rule: {step.decision.rule}</span>
        </p>
      </div>
      <Parameters step={step} prompt={prompt} edits={edits} onEdit={onEdit} />
      <ul class="facts">
        <li>{effectWords(step)}</li>
        {step.acting_as && (
          <li>
            Acts as <Text>{step.acting_as}</Text>
          </li>
        )}
        {step.link_guard && step.link_guard.length > 0 && <li>Links in {step.link_guard.join(", ")} are made harmless before it is sent</li>}
      </ul>
      {jobs && <StepJobs jobs={jobs} />}
    </li>
  );
}

function effectWords(step: Step): string {
  if (step.effect === "read") return "Only reads; changes nothing";
  const words: Record<string, string> = { reversible: "can be undone", irreversible: "cannot be undone", "no effect": "has no effect outside" };
  return `Changes something; ${words[step.reversibility] ?? step.reversibility}`;
}

function WhoDecides({ step: { decision } }: { step: Step }) {
  if (decision.effect !== "ask") return null;
  const who = decision.approver_role ? `Somebody with the role ${decision.approver_role} decides` : "Whoever may decide approvals does so";
  const when = { plan: "before anything starts", step: "once its values are known", both: "before the start, and again once its values are known" };
  return (
    <>
      {who}
      {decision.another_person ? ", but not whoever asked for it" : ""}
      {decision.moment ? `, ${when[decision.moment]}` : ""}.
    </>
  );
}

function DependsOn({ step, steps, titles }: { step: Step; steps: readonly Step[]; titles: Titles }) {
  const names = new Map(steps.map((other) => [other.id, titles(other.action_id)]));
  return (
    <>
      {step.depends_on.length > 0 && (
        <p class="after">
          After{" "}
          {step.depends_on.map((id, place) => (
            <span key={id}>
              {place > 0 && ", "}
              <a href={`#step-${id}`}>
                {id} <Text>{names.get(id) ?? ""}</Text>
              </a>
            </span>
          ))}
        </p>
      )}
      {step.when && (
        <p class="after">
          Only if <Value value={step.when.value} /> <Provenance label={step.when.label} />
        </p>
      )}
      {step.for_each && (
        <p class="after">
          Once for each of <Value value={step.for_each.value} /> <Provenance label={step.for_each.label} />
        </p>
      )}
    </>
  );
}

const ORDER = ["destination", "amount", "object", "time", "content", "secret"];

function Parameters({ step, prompt, edits, onEdit }: Pick<Props, "step" | "prompt" | "edits" | "onEdit">) {
  const rank = (name: string): number => ORDER.indexOf(step.roles?.[name] ?? "content");
  const names = Object.keys(step.params).sort((a, b) => rank(a) - rank(b));
  if (!names.length) return null;
  const fields = edits && onEdit ? new Set(editable(step)) : new Set<string>();
  return (
    <dl class="params">
      {names.map((name) => {
        const origin = step.inputs?.[name];
        const value = step.params[name];
        const id = `param-${step.id}-${name}`;
        return (
          <div key={name} class={`param ${step.roles?.[name] ?? ""}`}>
            <dt>
              {fields.has(name) ? <label for={id}>{name}</label> : <Text>{name}</Text>} <span class="role">{step.roles?.[name]}</span>
            </dt>
            <dd>
              {fields.has(name) ? (
                <textarea
                  id={id}
                  rows={String(value).includes("\n") || String(value).length > 80 ? 5 : 1}
                  value={edits?.[step.id]?.[name] ?? String(value)}
                  onInput={(event) => onEdit?.(step.id, name, event.currentTarget.value)}
                />
              ) : (
                <Value value={value} />
              )}
              <span class="origin">
                {origin ? <Provenance label={origin.label} /> : <Literal value={value} prompt={prompt} />}
                {origin && (
                  <span class="quiet small">
                    from <Text>{origin.from}</Text>
                  </span>
                )}
              </span>
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
