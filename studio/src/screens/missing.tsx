import { Page } from "../ui/page";

export function MissingScreen() {
  return (
    <Page title="There is no such page">
      <p>
        The address may be mistyped. <a href="/">Ask for something</a>, or look at <a href="/studio/jobs">jobs</a>.
      </p>
    </Page>
  );
}
