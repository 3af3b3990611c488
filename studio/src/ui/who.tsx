// Whoever did something: you, a name where it may be known, or the id.
import { useNames } from "../api/names";
import { useSession } from "../session";
import { Text } from "./text";

/** A key without a name by its end, which tells it from others, or by its whole id. */
export function Who({ id, whole = false }: { id: string; whole?: boolean }) {
  const names = useNames();
  const { actor_id } = useSession();
  const shown = names(id) ?? (whole || !id.startsWith("key_") ? id : `key …${id.slice(-6)}`);
  return <span title={id}>{id === actor_id ? "you" : <Text>{shown}</Text>}</span>;
}
