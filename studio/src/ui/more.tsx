// The button for more of a list; nothing where all of it is there.
import type { Paged } from "../api/paged";

export function More({ paged }: { paged: Pick<Paged<unknown>, "more" | "busy"> }) {
  if (!paged.more) return null;
  return (
    <button type="button" disabled={paged.busy} onClick={paged.more}>
      {paged.busy ? "Loading…" : "Load more"}
    </button>
  );
}
