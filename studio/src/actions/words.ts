// What an action does to the world, in words. Pure.
import type { ActionDescription } from "../api/types";

/** Return whether it changes anything. */
export function effectWords(action: ActionDescription): string {
  return action.effect === "read" ? "Only reads" : "Changes something";
}

const BACK: Readonly<Record<string, string>> = { reversible: "Can be undone", irreversible: "Cannot be undone", "no effect": "Nothing to undo" };

/** Return whether it can be taken back. */
export function backWords({ reversibility }: ActionDescription): string {
  const [kind = "", why] = reversibility.split(/:\s*(.*)/s);
  const words = BACK[kind];
  if (!words) return reversibility;
  return why ? `${words}: ${why}` : words;
}

/** Return what happens when nobody knows whether it happened. */
export function retryWords({ effect, retry }: ActionDescription): string {
  if (effect === "read") return "Simply tried again";
  return {
    keyed: "Tried again with the same key, so that it happens once",
    probe: "Looked up first, then tried again",
    none: "Never tried again by itself; a person looks",
  }[retry];
}
