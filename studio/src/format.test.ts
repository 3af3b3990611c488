import assert from "node:assert/strict";
import { test } from "node:test";
import { count, duration, pieces, relativeTime } from "./format";

test("lengths of time are said in the unit that fits", () => {
  assert.deepEqual([3, 999, 3400, 125_000, 7_500_000].map(duration), ["3 ms", "999 ms", "3.4 s", "2 min 5 s", "2 h 5 min"]);
});

test("one thing is not many", () => {
  assert.deepEqual([count(1, "job"), count(2, "job"), count(0, "reply", "replies")], ["1 job", "2 jobs", "0 replies"]);
});

test("how far away a moment is", () => {
  const now = new Date("2026-03-04T09:30:00Z");
  assert.equal(relativeTime("2026-03-04T09:28:00Z", now), "2 minutes ago");
  assert.equal(relativeTime("2026-03-07T09:30:00Z", now), "in 3 days");
});

test("characters that hide or turn text are shown by their numbers", () => {
  assert.deepEqual(pieces("pay\u202Eeno\u200b!"), [
    { text: "pay" },
    { hidden: "U+202E" },
    { text: "eno" },
    { hidden: "U+200B" },
    { text: "!" },
  ]);
  assert.deepEqual(pieces("two\nlines\tand a tab"), [{ text: "two\nlines\tand a tab" }]);
  assert.deepEqual(pieces(""), [{ text: "" }]);
});
