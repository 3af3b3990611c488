import assert from "node:assert/strict";
import { test } from "node:test";
import renderToString from "preact-render-to-string";
import { holdsMask, referred, Value } from "./value";

const shown = (value: unknown): string => renderToString(<Value value={value} />);

test("markup is text wherever it stands", () => {
  const markup = "<img src=x onerror=alert(1)>";
  for (const value of [markup, [markup], { [markup]: markup }, { deep: { deeper: markup } }, { $template: markup, vars: { a: markup } }])
    assert.doesNotMatch(shown(value), /<img/, JSON.stringify(value));
});

test("a reference is said in words, and what is masked is not shown as a value", () => {
  assert.match(shown({ $ref: "steps.s1.result.text" }), /what step <code>s1<\/code> brings: <code>text/);
  assert.match(shown({ $ref: "item.name" }), /item\.name/);
  assert.match(shown("***REDACTED***"), /kept secret/);
  assert.deepEqual(referred("steps.s1.result"), { step: "s1", rest: "" });
  assert.equal(referred("ctx.now"), null);
  assert.equal(holdsMask({ a: ["***REDACTED***"] }), true);
});

test("a small record is a list of fields, a deep one is JSON, and nothing is said to be nothing", () => {
  assert.match(shown({ path: "a.txt", size: 7 }), /<dl/);
  assert.match(shown({ a: { b: 1 } }), /<pre/);
  assert.match(shown([1, 2, 3]), /\[1, 2, 3\]/);
  assert.match(shown(null), /nothing/);
  assert.match(shown(""), /empty/);
});
