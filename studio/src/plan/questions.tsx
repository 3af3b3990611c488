// What a request still lacks, asked and answered in the place where the plan will be.
import { useState } from "preact/hooks";
import { useDoing } from "../api/hooks";
import { makePlan, progressWords } from "../api/planning";
import type { Plan, PlanProgress } from "../api/types";
import { Notice, Planning, Refused } from "../ui/notice";
import { Text } from "../ui/text";

export function Questions({ plan, onRevised }: { plan: Plan; onRevised(plan: Plan): void }) {
  const [answers, setAnswers] = useState<Record<string, string>>({});
  const [now, setNow] = useState("");
  const doing = useDoing();
  const asked = plan.questions.filter((question) => question.param !== "prompt");
  const denied = (plan.meta["denied"] as unknown[] | undefined)?.length; // other words would not help
  if (!asked.length)
    return (
      <Notice tone="wait">
        {plan.questions.map((question) => (
          <p key={question.text}>
            <Text>{question.text}</Text>
          </p>
        ))}
        {!denied && <p>Say it in other words above, and make the plan again.</p>}
      </Notice>
    );
  const submit = (event: Event): void => {
    event.preventDefault();
    const tell = (progress: PlanProgress): void => setNow(progressWords(progress));
    void doing.run(async () => onRevised(await makePlan(`/ai/plans/${plan.plan_id}/revise`, { answers }, tell)));
  };
  return (
    <form class="questions" onSubmit={submit}>
      <h2>Before there is a plan</h2>
      {asked.map(({ param, text }) => (
        <div key={param} class="field">
          <label for={`answer-${param}`}>
            <Text>{text}</Text>
          </label>
          <input
            id={`answer-${param}`}
            required
            value={answers[param] ?? ""}
            onInput={(event) => setAnswers((now) => ({ ...now, [param]: event.currentTarget.value }))}
          />
        </div>
      ))}
      <button type="submit" class="main" disabled={doing.busy}>
        Answer
      </button>
      {doing.busy && <Planning words={now} />}
      <Refused problem={doing.problem} />
    </form>
  );
}
