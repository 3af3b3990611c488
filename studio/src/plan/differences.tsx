// What is not as somebody looked at it: field by field, as it was and as it would run now.
import type { StepDifference } from "../api/types";
import { type Column, Table } from "../ui/table";
import { Text } from "../ui/text";
import { Value } from "./value";

type Told = Omit<StepDifference, "step"> & { step?: string };

const COLUMNS: readonly Column<Told>[] = [
  {
    name: "Changed",
    cell: (one) => (
      <>
        {one.step && <code>{one.step}</code>} <Text>{one.field}</Text>
      </>
    ),
  },
  { name: "Before", cell: (one) => <Value value={one.before} /> },
  { name: "Now", cell: (one) => <Value value={one.after} /> },
];

export function Differences({ differences }: { differences: readonly Told[] }) {
  return <Table label="What has changed" columns={COLUMNS} rows={differences} keyOf={(one) => `${one.step ?? ""} ${one.field}`} />;
}
