// A list that is loaded page by page, on demand.
import { useState } from "preact/hooks";
import type { Problem } from "./client";
import { useDoing, useLoaded } from "./hooks";

export interface Part<T> {
  rows: readonly T[];
  cursor: string | null;
}

export interface Paged<T> {
  /** Null until the first page is there. */
  rows: readonly T[] | null;
  problem: Problem | null;
  loading: boolean;
  busy: boolean;
  /** Load the next page; null where there is none. */
  more: (() => void) | null;
  reload(): void;
}

/** Load the first page now and whenever `key` changes, and each further one when asked. */
export function usePaged<T>(load: (cursor: string | undefined) => Promise<Part<T>>, key: string): Paged<T> {
  const first = useLoaded(() => load(undefined), key);
  const [later, setLater] = useState<(Part<T> & { after: Part<T> }) | null>(null);
  const doing = useDoing();
  const begin = first.value;
  const known = later && later.after === begin ? later : null;
  const cursor = known ? known.cursor : (begin?.cursor ?? null);
  const more = (): void => {
    void doing.run(async () => {
      const next = await load(cursor!);
      setLater({ after: begin!, rows: [...(known?.rows ?? []), ...next.rows], cursor: next.cursor });
    });
  };
  return {
    rows: begin && [...begin.rows, ...(known?.rows ?? [])],
    problem: first.problem ?? doing.problem,
    loading: first.loading,
    busy: doing.busy,
    more: begin && cursor ? more : null,
    reload: first.reload,
  };
}
