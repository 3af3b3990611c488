// The making of a plan, watched: what it is at while it goes on, and the plan at its end.
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { asProblem, Problem, problemFrom, problemOf, tellSignedOut } from "./client";
import type { Plan, PlanProgress } from "./types";

const WORDS: Record<PlanProgress["phase"], string> = {
  reading_catalogue: "Looking at what can be done",
  asking_model: "Asking the language model",
  checking: "Checking the plan",
  repairing: "Asking the language model for a better plan",
};

/** Return in words how far a plan is. */
export function progressWords({ phase, attempt, tokens_in, tokens_out }: PlanProgress): string {
  const tokens = tokens_in + tokens_out;
  return `${WORDS[phase] ?? "Planning"}${attempt > 1 ? `, try ${attempt}` : ""}${tokens ? ` (${tokens} tokens)` : ""}…`;
}

/** Make a plan and tell how far it is; who aborts stops the making of it. Throws a `Problem`. */
export async function makePlan(path: string, body: unknown, tell: (progress: PlanProgress) => void, stop?: AbortSignal): Promise<Plan> {
  const headers = { Accept: "text/event-stream", "Content-Type": "application/json" };
  try {
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin", signal: stop ?? null });
    if (!response.ok || !response.body) {
      const problem = await problemOf(response);
      if (problem.status === 401) tellSignedOut(problem);
      throw problem;
    }
    const heard: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (message) => heard.push(message) });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parser.feed(decoder.decode(part.value, { stream: true }));
      for (const message of heard.splice(0)) {
        const said = JSON.parse(message.data);
        if (message.event === "plan") return said as Plan;
        if (message.event === "error") throw problemFrom(said);
        if (message.event === "progress") tell(said as PlanProgress);
      }
    }
  } catch (error) {
    throw asProblem(error);
  }
  throw new Problem(0, "no_answer", "Steward stopped in the middle of the answer; try again.");
}
