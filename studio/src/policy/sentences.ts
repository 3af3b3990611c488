// The sentences that a policy says to people: they stand in its text. Pure.

const REASON = /@reason\(\s*("(?:[^"\\]|\\.)*")\s*\)/g;

/** Return what the policy's `@reason`s say, in order; an escape that only Cedar knows is left as it is written. */
export function sentencesOf(text: string): string[] {
  return [...text.matchAll(REASON)].map(([, quoted = ""]) => {
    try {
      return JSON.parse(quoted) as string;
    } catch {
      return quoted.slice(1, -1);
    }
  });
}
