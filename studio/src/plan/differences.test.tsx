import assert from "node:assert/strict";
import { test } from "node:test";
import renderToString from "preact-render-to-string";
import { Differences } from "./differences";

test("each field stands beside what it was and what it is, and markup in it is text", () => {
  const markup = renderToString(
    <Differences
      differences={[
        { step: "s2", field: "to[1]", before: "ann@example.com", after: "<b>bob</b>" },
        { field: "retry", before: null, after: "none" },
      ]}
    />,
  );
  assert.ok(!markup.includes("<b>"));
  const cells = [...markup.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map((cell) => cell[1]!.replace(/<[^>]+>/g, " ").replace(/\s+/g, " ").trim());
  assert.deepEqual(cells, ["s2 to[1]", "ann@example.com", "&lt;b>bob&lt;/b>", "retry", "nothing", "none"]);
});
