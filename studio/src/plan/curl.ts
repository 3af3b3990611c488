// A request for a shell, quoted so that no text in it becomes a command. Pure.

/** Return the command that asks for a plan of a sentence; the key is a variable of whoever runs it. */
export function curl(origin: string, prompt: string): string {
  const body = JSON.stringify({ prompt }).replaceAll("'", "'\\''");
  return `curl -s ${origin}/ai/plan -H "Authorization: Bearer $STEWARD_API_KEY" \\\n  -H 'Content-Type: application/json' -d '${body}'`;
}
