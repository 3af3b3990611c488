// A list that is loaded page by page, on demand.
import { useEffect, useState } from "preact/hooks";
import type { Problem } from "./client";
import { useDoing, useLoaded } from "./hooks";

export interface Part<T> {
  rows: readonly T[];
  cursor: string | null;
}

export interface Paged<T> {
  /** Null until the first page is there. */
  rows: readonly T[] | null;
  keyOf(row: T): string;
  problem: Problem | null;
  loading: boolean;
  busy: boolean;
  /** Load the next page; null where there is none. */
  more: (() => void) | null;
  reload(): void;
}

/** Put a first page that was loaded anew before all that was loaded earlier; where the two no longer meet, it stands alone. */
export function joined<T>(first: Part<T>, earlier: Part<T> | null, keyOf: (row: T) => string): Part<T> {
  const last = first.rows.at(-1);
  const at = earlier && last && first.cursor ? earlier.rows.findIndex((row) => keyOf(row) === keyOf(last)) : -1;
  return earlier && at >= 0 ? { rows: [...first.rows, ...earlier.rows.slice(at + 1)], cursor: earlier.cursor } : first;
}

/** Load the first page now and whenever `key` changes, and each further one when asked. `keyOf` tells one row from another. */
export function usePaged<T>(load: (cursor: string | undefined) => Promise<Part<T>>, key: string, keyOf: (row: T) => string): Paged<T> {
  const first = useLoaded(() => load(undefined), key);
  const [earlier, setEarlier] = useState<(Part<T> & { key: string }) | null>(null);
  useEffect(() => () => setEarlier(null), [key]); // another list, and who comes back begins anew
  const doing = useDoing();
  const all = first.value && joined(first.value, earlier?.key === key ? earlier : null, keyOf);
  const more = (): void => {
    void doing.run(async () => {
      const next = await load(all!.cursor!);
      setEarlier({ key, rows: [...all!.rows, ...next.rows], cursor: next.cursor });
    });
  };
  return {
    rows: all && all.rows,
    keyOf,
    problem: first.problem ?? doing.problem,
    loading: first.loading,
    busy: doing.busy,
    more: all?.cursor ? more : null,
    reload: first.reload,
  };
}
