import assert from "node:assert/strict";
import { test } from "node:test";
import { examples } from "./examples";

test("without a mail server no example sends mail, and there are examples still", () => {
  const without = examples((id) => id !== "email.send");
  assert.equal(without.length, 3);
  assert.ok(!without.some((sentence) => sentence.includes("email")));
  assert.ok(examples(() => true)[0]!.includes("email"));
  assert.deepEqual(examples(() => false), []);
});
