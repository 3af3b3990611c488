// A table of a list that goes on: its state in words, its rows, and the button for more of them.
import type { Paged } from "../api/paged";
import { count } from "../format";
import { More } from "./more";
import { Loading, Refused } from "./notice";
import { type Column, Table } from "./table";

interface Props<T> {
  label: string;
  paged: Paged<T>;
  columns: readonly Column<T>[];
  classOf?(row: T): string;
  more?(row: T): preact.ComponentChildren;
  one: string;
  none: string;
}

export function PagedTable<T>({ paged, one, none, ...table }: Props<T>) {
  return (
    <>
      <Refused problem={paged.problem} retry={paged.reload} />
      {!paged.rows && paged.loading && <Loading what={`${one}s`} />}
      {paged.rows && !paged.rows.length && <p class="card quiet">{none}</p>}
      {paged.rows && paged.rows.length > 0 && <Table {...table} keyOf={paged.keyOf} rows={paged.rows} />}
      {paged.rows && paged.rows.length > 0 && (
        <p class="row">
          <More paged={paged} />
          <span class="quiet small" role="status">
            {count(paged.rows.length, one)} {paged.more ? "loaded" : "in all"}
          </span>
        </p>
      )}
    </>
  );
}
