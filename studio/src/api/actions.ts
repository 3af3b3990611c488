// The catalogue, loaded once: what an action is called in words.
import { useEffect, useState } from "preact/hooks";
import { api, data } from "./client";
import type { ActionDescription } from "./types";

export type Titles = (actionId: string) => string;

let loading: Promise<Map<string, ActionDescription>> | null = null;

async function load(): Promise<Map<string, ActionDescription>> {
  const { actions } = await data(api.GET("/actions"));
  return new Map(actions.map((action) => [action.id, action]));
}

/** Return the catalogue by id; empty until it is there. */
export function useCatalogue(): ReadonlyMap<string, ActionDescription> {
  const [known, setKnown] = useState<ReadonlyMap<string, ActionDescription>>(new Map());
  useEffect(() => {
    loading ??= load();
    loading.then(setKnown, () => (loading = null));
  }, []);
  return known;
}

/** Return how to say what an action does; its id where the catalogue has no words for it. */
export function useTitles(): Titles {
  const known = useCatalogue();
  return (actionId) => known.get(actionId)?.title ?? actionId;
}

/** Forget the catalogue: somebody else may see another one. */
export function forgetActions(): void {
  loading = null;
}
