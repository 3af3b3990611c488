// A filter that stands in the address, so that it can be kept, shared and gone back to.
interface Props {
  path: string;
  name: string;
  chosen: string | null;
  choices: readonly (readonly [value: string, words: string])[];
  /** What stands for no choice; without it one choice is always made. */
  all?: string | null;
}

export function Filters({ path, name, chosen, choices, all = "All" }: Props) {
  const rows: (readonly [string | null, string])[] = all === null ? [...choices] : [[null, all], ...choices];
  return (
    <nav class="filters" aria-label="Filter">
      {rows.map(([value, words]) => (
        <a
          key={words}
          href={value === null ? path : `${path}?${name}=${value}`}
          aria-current={value === chosen ? "true" : undefined}
        >
          {words}
        </a>
      ))}
    </nav>
  );
}
