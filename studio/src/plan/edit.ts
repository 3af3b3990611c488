// Changing a plan by hand: which values can be changed, and the steps that are sent back to be checked anew. Pure.
import type { components } from "../api/schema";
import type { Step } from "../api/types";
import { holdsMask } from "./value";

export type PlannedAction = components["schemas"]["PlannedAction"];
/** New texts by step and parameter, as they were typed. */
export type Edits = Record<string, Record<string, string>>;

/** Return the names of a step's parameters that are plain literals and so can be changed in a field. */
export function editable(step: Step): string[] {
  return Object.entries(step.params)
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value) && !holdsMask(value))
    .map(([name]) => name);
}

/** Say whether steps can be sent back: what is masked is not known here, so a plan that holds a secret cannot. */
export function canEdit(steps: readonly Step[]): boolean {
  return steps.length > 0 && !steps.some((step) => holdsMask(step.params));
}

/** Return what was typed as the kind of value that stood there before. */
export function typed(text: string, before: unknown): unknown {
  if (typeof before === "number" && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (typeof before === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}

/** Return all steps, with the edits in them, as the API takes them. */
export function revised(steps: readonly Step[], edits: Edits): PlannedAction[] {
  return steps.map((step) => {
    const params = Object.fromEntries(
      Object.entries(step.params).map(([name, value]) => {
        const text = edits[step.id]?.[name];
        return [name, text === undefined ? value : typed(text, value)];
      }),
    );
    const control = {
      ...(step.when ? { when: step.when.value as Record<string, unknown> } : {}),
      ...(step.for_each ? { for_each: step.for_each.value as Record<string, unknown> } : {}),
    };
    const { id, action_id, description, depends_on } = step;
    const changed = Object.keys(edits[id] ?? {}).length > 0;
    return { id, action_id, description: changed ? "" : description, params, depends_on, ...control };
  });
}
