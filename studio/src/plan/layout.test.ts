import assert from "node:assert/strict";
import { test } from "node:test";
import { lines } from "./layout";

const step = (id: string, ...depends_on: string[]) => ({ id, depends_on });

test("a chain is straight", () => {
  assert.deepEqual(lines([step("s1"), step("s2", "s1"), step("s3", "s2")]), [
    { from: 0, to: 1, lane: 0 },
    { from: 1, to: 2, lane: 0 },
  ]);
});

test("lines that overlap run in lanes of their own, and a free lane is used again", () => {
  const plan = [step("s1"), step("s2"), step("s3", "s1"), step("s4", "s1"), step("s5", "s3")];
  const lanes = Object.fromEntries(lines(plan).map((line) => [`${line.from}-${line.to}`, line.lane]));
  assert.deepEqual(lanes, { "0-2": 1, "0-3": 2, "2-4": 1 });
});

test("what is not an earlier step draws no line", () => {
  assert.deepEqual(lines([step("s1", "s2", "nobody"), step("s2")]), []);
});
