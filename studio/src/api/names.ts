// Who is behind an id. Keys and members can be read by an admin, so an admin sees names and nobody else learns any.
import { useEffect, useState } from "preact/hooks";
import { may, useSession } from "../session";
import { api, data } from "./client";

type Names = ReadonlyMap<string, string>;

let loading: Promise<Names> | null = null;

async function load(): Promise<Names> {
  const query = { params: { query: { limit: 100 } } };
  const [{ members }, { keys }] = await Promise.all([data(api.GET("/members", query)), data(api.GET("/keys", query))]);
  const names = new Map(members.map((member) => [member.actor_id, member.name || member.actor_id]));
  for (const key of keys) names.set(key.key_id, names.get(key.owner ?? "") ?? key.owner ?? key.name);
  return names;
}

/** Return how to say who an id is: a member's name, or a key's owner or name; null where nobody tells. */
export function useNames(): (id: string) => string | null {
  const asks = may(useSession(), "admin");
  const [names, setNames] = useState<Names>(new Map());
  useEffect(() => {
    if (!asks) return;
    loading ??= load();
    loading.then(setNames, () => (loading = null)); // the ids do as well
  }, [asks]);
  return (id) => names.get(id) || null;
}

/** Forget the names: somebody else may not know them. */
export function forgetNames(): void {
  loading = null;
}
