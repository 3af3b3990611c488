// What can be said, for somebody who sees this for the first time. Pure.

/** Sentences, each with the actions that it takes; those are shown that can be done here. */
const EXAMPLES: readonly (readonly [sentence: string, ...actions: string[]])[] = [
  ['send an email to office@example.com with subject "Lift" saying "The lift is repaired."', "email.send"],
  ["fetch https://example.com and then email it to team@example.com with subject 'News'", "http.get", "email.send"],
  ["write 'Milk, bread and coffee' to shopping.txt", "file.write"],
  ["fetch https://example.com and then write it to news.txt", "http.get", "file.write"],
  ["list the files", "file.list"],
];
const FEW = 3;

/** Return a few sentences that can be done where these actions are enabled. */
export function examples(enabled: (actionId: string) => boolean): string[] {
  return EXAMPLES.filter(([, ...actions]) => actions.every(enabled))
    .slice(0, FEW)
    .map(([sentence]) => sentence);
}
