// Ask: a sentence becomes a plan, in the same place where it is read, answered, changed and run.
import { useLocation } from "preact-iso";
import { useEffect, useRef, useState } from "preact/hooks";
import { useCatalogue } from "../api/actions";
import { api, data } from "../api/client";
import { useDoing, useLoaded } from "../api/hooks";
import { makePlan, progressWords } from "../api/planning";
import type { Plan } from "../api/types";
import { DraftPlan } from "../plan/draft";
import { examples } from "../plan/examples";
import { unsaved } from "../session";
import { Planning, Refused } from "../ui/notice";
import { announce, Page } from "../ui/page";
import { RecentRequests } from "./requests";

export function AskScreen() {
  const { query, route } = useLocation();
  const planId = query["plan"] ?? null;
  const kept = useLoaded(async () => (planId ? await data(api.GET("/ai/plans/{plan_id}", { params: { path: { plan_id: planId } } })) : null), planId ?? "");
  const [plan, setPlan] = useState<Plan | null>(null);
  const [sentence, setSentence] = useState(unsaved.sentence);
  const [now, setNow] = useState("");
  const doing = useDoing();
  const stop = useRef<AbortController | null>(null);
  const result = useRef<HTMLElement>(null);

  useEffect(() => {
    if (kept.value && kept.value.plan_id !== plan?.plan_id) {
      setPlan(kept.value);
      setSentence(kept.value.prompt);
    }
    if (!planId) setPlan(null);
  }, [kept.value, planId]);

  useEffect(() => () => stop.current?.abort(), []);

  const write = (text: string): void => {
    unsaved.sentence = text;
    setSentence(text);
  };
  const show = (made: Plan): void => {
    setPlan(made);
    unsaved.sentence = "";
    route(`/?plan=${made.plan_id}`, plan !== null);
    announce(made.status === "needs_input" ? "There is a question." : `The plan has ${made.steps.length} steps. Nothing has run yet.`);
    requestAnimationFrame(() => result.current?.focus());
  };
  const ask = (text: string): void => {
    void doing.run(async () => {
      stop.current = new AbortController();
      setNow("");
      const context = { time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
      show(await makePlan("/ai/plan", { prompt: text, context }, (progress) => setNow(progressWords(progress)), stop.current.signal));
    });
  };
  return (
    <Page title="What do you want done?">
      <form
        class="ask-form"
        onSubmit={(event) => {
          event.preventDefault();
          ask(sentence);
        }}
      >
        <label for="sentence" class="unseen">
          Your request
        </label>
        <textarea
          id="sentence"
          data-main-field
          rows={3}
          maxLength={4000}
          required
          placeholder="Say it in a sentence. You see the plan before anything runs."
          value={sentence}
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
          }}
        />
        <div class="row">
          <button type="submit" class="main" disabled={doing.busy}>
            {doing.busy ? "Planning…" : plan ? "Make the plan again" : "Make a plan"}
          </button>
          <span class="quiet small">
            <span class="by-keys">
              <kbd>Ctrl</kbd> <kbd>Enter</kbd> ·{" "}
            </span>
            nothing runs yet
          </span>
        </div>
        {doing.busy && <Planning words={now} />}
        <Refused problem={doing.problem ?? kept.problem} />
      </form>
      {plan ? (
        <section ref={result} tabIndex={-1} class="plan-place" aria-label="The plan">
          <DraftPlan key={plan.plan_id} plan={plan} onRevised={show} />
        </section>
      ) : (
        <>
          <Examples
            onChosen={(example) => {
              write(example);
              ask(example);
            }}
          />
          <RecentRequests />
        </>
      )}
    </Page>
  );
}

function Examples({ onChosen }: { onChosen(example: string): void }) {
  const catalogue = useCatalogue();
  const shown = examples((id) => catalogue.get(id)?.enabled ?? false);
  if (!shown.length) return null;
  return (
    <section aria-labelledby="examples">
      <h2 id="examples">For example</h2>
      <ul class="examples">
        {shown.map((example) => (
          <li key={example}>
            <button type="button" onClick={() => onChosen(example)}>
              {example}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
