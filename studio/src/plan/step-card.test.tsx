import assert from "node:assert/strict";
import { test } from "node:test";
import renderToString from "preact-render-to-string";
import type { Step } from "../api/types";
import { StepCard } from "./step-card";

const STEP: Step = {
  id: "s2",
  action_id: "email.send",
  description: "",
  params: { text: { $ref: "steps.s1.result" }, to: "office@example.com", subject: "Weekly" },
  roles: { to: "destination", text: "content", subject: "content" },
  depends_on: ["s1"],
  decision: { effect: "ask", reason: "Mail is looked at.", rule: "look", another_person: true, approver_role: "admin", moment: "plan" },
  inputs: { text: { from: "s1 (http.get)", label: "U" } },
  link_guard: ["text"],
  effect: "write",
  retry: "none",
  reversibility: "irreversible",
  acting_as: "desk@example.com",
};

function shown(step: Step): string {
  const markup = renderToString(
    <StepCard step={step} steps={[step]} prompt="mail it to office@example.com" titles={() => "Send an e-mail"} jobs={null} edits={null} onEdit={undefined} />,
  );
  return markup.replace(/<[^>]+>/g, " ").replace(/\s+/g, " ");
}

test("a card says what, to whom, as whom, who decides, where values come from, and that it cannot be undone", () => {
  const text = shown(STEP);
  for (const words of [
    "Send an e-mail",
    "Asks a person",
    "Mail is looked at.",
    "Somebody with the role admin decides, but not whoever asked for it, before anything starts",
    "office@example.com From the request",
    "Weekly Set by the plan",
    "Untrusted from s1 (http.get)",
    "cannot be undone",
    "Acts as desk@example.com",
    "Links in text are made harmless",
    "After s1",
  ])
    assert.ok(text.includes(words), `${words}\n${text}`);
  assert.ok(text.indexOf("office@example.com") < text.indexOf("Weekly"), "a destination comes first");
});

test("a step that only reads says so", () => {
  assert.ok(shown({ ...STEP, effect: "read", reversibility: "no effect" }).includes("Only reads; changes nothing"));
});
