// A table that becomes one card for each row where it has no room. The roles are said, because a card takes them from a table.
import { type ComponentChildren, Fragment } from "preact";
import { useState } from "preact/hooks";
import { Text } from "./text";

export interface Column<T> {
  name: string;
  cell(row: T): ComponentChildren;
}

interface Props<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf(row: T): string;
  /** How a row looks, if not like any other. */
  classOf?(row: T): string;
  /** What opens below a row. */
  more?(row: T): ComponentChildren;
}

export function Table<T>({ label, columns, rows, keyOf, classOf, more }: Props<T>) {
  const [open, setOpen] = useState<string | null>(null);
  return (
    <div class="table-box">
      <table class="table" role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ name }) => (
              <th key={name} role="columnheader" scope="col">
                {name}
              </th>
            ))}
            {more && (
              <th role="columnheader" scope="col">
                <span class="unseen">More</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => {
            const key = keyOf(row);
            return (
              <Fragment key={key}>
                <tr role="row" class={classOf?.(row)}>
                  {columns.map((column) => (
                    <td key={column.name} role="cell" data-name={column.name}>
                      <div>{column.cell(row)}</div>
                    </td>
                  ))}
                  {more && (
                    <td role="cell" class="table-more">
                      <button type="button" class="bare" data-row aria-expanded={open === key} onClick={() => setOpen(open === key ? null : key)}>
                        Details
                      </button>
                    </td>
                  )}
                </tr>
                {more && open === key && (
                  <tr role="row" class="table-opened">
                    <td role="cell" colSpan={columns.length + 1} aria-colspan={columns.length + 1}>
                      {more(row)}
                    </td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** A name such as `workspace/look_first`: it is broken where a person would break it. */
export function Name({ children }: { children: string }) {
  return (
    <code class="name">
      {children.split(/(?<=[_./])/).map((part, place) => (
        <Fragment key={place}>
          {place > 0 && <wbr />}
          <Text>{part}</Text>
        </Fragment>
      ))}
    </code>
  );
}

/** Names and values, one pair below the other; a pair without a value is left out. */
export function Pairs({ pairs }: { pairs: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="pairs">
      {pairs.map(
        ([name, value]) =>
          value !== null &&
          value !== undefined &&
          value !== false && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}
