// What would be decided of one call: an admin sees it for every role, everybody else for themselves. Nothing runs.
import { useState } from "preact/hooks";
import { type Field, fieldsOf, paramsFrom } from "../actions/schema";
import { api, data } from "../api/client";
import { useDoing } from "../api/hooks";
import type { ActionDescription, Decision } from "../api/types";
import { Value } from "../plan/value";
import { may, useSession } from "../session";
import { Badge, DecisionBadge } from "../ui/badge";
import { Refused } from "../ui/notice";
import { announce } from "../ui/page";
import { type Column, Name, Pairs, Table } from "../ui/table";
import { Text } from "../ui/text";

interface Verdict {
  who: string;
  /** What the role alone allows, before any rule is asked. */
  mayRun: boolean;
  decision: Decision;
  fix: string;
  facts: Readonly<Record<string, unknown>>;
}

interface Answer {
  verdicts: Verdict[];
  draft: string | null;
}

const ROLES = [
  ["admin", "Admins", true],
  ["developer", "Developers", true],
  ["approver", "Approvers", false],
  ["viewer", "Viewers", false],
] as const;

export function Verdicts({ action }: { action: ActionDescription }) {
  const session = useSession();
  const isAdmin = may(session, "admin");
  const [written, setWritten] = useState<Readonly<Record<string, string>>>({});
  const [answer, setAnswer] = useState<Answer | null>(null);
  const doing = useDoing();
  const fields = fieldsOf(action.input_schema);
  const others = fields.filter((field) => !field.needed);
  const decide = (event: Event): void => {
    event.preventDefault();
    const params = paramsFrom(fields, written);
    setAnswer(null);
    void doing.run(async () => {
      setAnswer(isAdmin ? await ofEveryRole(action.id, params) : await ofOneself(action.id, params, may(session, "actions:execute")));
      announce("Decided");
    });
  };
  return (
    <form class="verdicts" onSubmit={decide}>
      <p class="quiet">
        It depends on the values. {isAdmin ? "Nothing is kept and nothing runs." : "Nothing runs; a draft of it stands among your requests."}
      </p>
      <Fields fields={fields.filter((field) => field.needed)} written={written} onWrite={setWritten} />
      {others.length > 0 && (
        <details>
          <summary>
            {fields.length > others.length ? "Further values" : "Values"} ({others.length})
          </summary>
          <Fields fields={others} written={written} onWrite={setWritten} />
        </details>
      )}
      <div>
        <button type="submit" disabled={doing.busy}>
          Which rule decides?
        </button>
      </div>
      <Refused problem={doing.problem} />
      {answer && <Answered answer={answer} />}
    </form>
  );
}

interface FieldsProps {
  fields: readonly Field[];
  written: Readonly<Record<string, string>>;
  onWrite(written: Readonly<Record<string, string>>): void;
}

function Fields({ fields, written, onWrite }: FieldsProps) {
  return (
    <div class="form-grid">
      {fields.map(({ name, isText }) => (
        <div key={name} class="field">
          <label for={`try-${name}`}>
            <Text>{name}</Text>
          </label>
          <textarea
            id={`try-${name}`}
            rows={1}
            placeholder={isText ? "" : "JSON"}
            value={written[name] ?? ""}
            onInput={(event) => onWrite({ ...written, [name]: event.currentTarget.value })}
          />
        </div>
      ))}
    </div>
  );
}

async function ofEveryRole(actionId: string, params: Record<string, unknown>): Promise<Answer> {
  const verdicts = await Promise.all(
    ROLES.map(async ([role, who, mayRun]) => {
      const { decision, fix, facts } = await data(api.POST("/policies/check", { body: { action_id: actionId, params, role } }));
      return { who, mayRun, decision, fix, facts };
    }),
  );
  return { verdicts, draft: null };
}

async function ofOneself(actionId: string, params: Record<string, unknown>, mayRun: boolean): Promise<Answer> {
  const plan = await data(api.POST("/actions/preview", { body: { action_id: actionId, params } }));
  const [step] = plan.steps;
  return { verdicts: step ? [{ who: "You", mayRun, decision: step.decision, fix: "", facts: {} }] : [], draft: plan.plan_id };
}

const COLUMNS: readonly Column<Verdict>[] = [
  { name: "Who", cell: ({ who }) => <span class="strong">{who}</span> },
  {
    name: "Decision",
    cell: ({ decision, mayRun }) => (mayRun || decision.effect === "deny" ? <DecisionBadge effect={decision.effect} /> : <Badge tone="plain">Plans it only</Badge>),
  },
  {
    name: "Why",
    cell: ({ decision, mayRun, fix }) => (
      <>
        <Text>{decision.reason}</Text>
        {decision.another_person && " Another person has to decide."}
        {decision.approver_role && ` Somebody with the role ${decision.approver_role} decides.`}
        {fix && (
          <span class="quiet block">
            <Text>{fix}</Text>
          </span>
        )}
        {!mayRun && <span class="quiet block">The role does not run anything.</span>}
      </>
    ),
  },
  { name: "Rule", cell: ({ decision }) => <Name>{decision.rule}</Name> },
];

function Answered({ answer: { verdicts, draft } }: { answer: Answer }) {
  const facts = Object.entries(verdicts[0]?.facts ?? {}).filter(([, value]) => !(Array.isArray(value) && !value.length));
  return (
    <>
      <Table label="Decisions" columns={COLUMNS} rows={verdicts} keyOf={({ who }) => who} />
      {facts.length > 0 && (
        <details>
          <summary>What the rules looked at</summary>
          <Pairs pairs={facts.map(([name, value]) => [name.replaceAll("_", " "), <Value key={name} value={value} />] as const)} />
        </details>
      )}
      {draft && (
        <p>
          <a href={`/studio/plans/${draft}`}>Look at the draft</a>
        </p>
      )}
    </>
  );
}
