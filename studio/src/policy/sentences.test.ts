import assert from "node:assert/strict";
import { test } from "node:test";
import { sentencesOf } from "./sentences";

test("the sentences of a policy are what its reasons say", () => {
  const text = '@reason("Say \\"please\\".")\nforbid (principal, action, resource);\n@reason( "Not \\u{1F600}" )\nforbid (principal, action, resource);';
  assert.deepEqual(sentencesOf(text), ['Say "please".', "Not \\u{1F600}"]);
  assert.deepEqual(sentencesOf("forbid (principal, action, resource);"), []);
});
