import assert from "node:assert/strict";
import { test } from "node:test";
import type { Step } from "../api/types";
import { canEdit, editable, revised } from "./edit";

const step = (more: Partial<Step>): Step => ({
  id: "s1",
  action_id: "email.send",
  description: "Send",
  params: {},
  roles: {},
  depends_on: [],
  decision: { effect: "allow", reason: "", rule: "" },
  inputs: {},
  link_guard: [],
  effect: "write",
  retry: "none",
  reversibility: "irreversible",
  acting_as: null,
  ...more,
});

test("literals can be changed, references and masked values cannot", () => {
  const params = { to: "a@example.com", text: { $ref: "steps.s1.result" }, max: 3, token: "***REDACTED***" };
  assert.deepEqual(editable(step({ params })), ["to", "max"]);
});

test("a plan with a secret in it cannot be sent back: it would be sent without the secret", () => {
  assert.equal(canEdit([step({ params: { headers: { Authorization: "***REDACTED***" } } })]), false);
  assert.equal(canEdit([step({ params: { to: "a@example.com" } })]), true);
  assert.equal(canEdit([]), false);
});

test("what was not edited is sent back as it stands, a number stays a number", () => {
  const params = { to: "a@example.com", max: 3, text: { $ref: "steps.s0.result" } };
  const loop = { from: "s0", label: "U" as const, value: { $ref: "steps.s0.result" } };
  const [sent] = revised([step({ params, depends_on: ["s0"], for_each: loop })], { s1: { max: "4" } });
  assert.deepEqual(sent, {
    id: "s1",
    action_id: "email.send",
    description: "",
    params: { ...params, max: 4 },
    depends_on: ["s0"],
    for_each: { $ref: "steps.s0.result" },
  });
});
