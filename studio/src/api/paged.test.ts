import assert from "node:assert/strict";
import test from "node:test";
import { joined, type Part } from "./paged";

const keyOf = (row: string) => row;
const earlier: Part<string> = { rows: ["e", "d", "c", "b", "a"], cursor: "before a" };

test("what was pushed out of the first page stays, once", () => {
  assert.deepEqual(joined({ rows: ["f", "e", "d"], cursor: "before d" }, earlier, keyOf), { rows: ["f", "e", "d", "c", "b", "a"], cursor: "before a" });
});

test("what left the first page is not kept", () => {
  assert.deepEqual(joined({ rows: ["e", "c", "b"], cursor: "before b" }, earlier, keyOf), { rows: ["e", "c", "b", "a"], cursor: "before a" });
});

test("where the two no longer meet, or all fits into the first page, it stands alone", () => {
  for (const first of [{ rows: ["k", "j", "i"], cursor: "before i" }, { rows: ["b", "a"], cursor: null }, { rows: [], cursor: null }]) {
    assert.equal(joined(first, earlier, keyOf), first);
    assert.equal(joined(first, null, keyOf), first);
  }
});
