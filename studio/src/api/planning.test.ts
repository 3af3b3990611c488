import assert from "node:assert/strict";
import { test } from "node:test";
import { makePlan, progressWords } from "./planning";

const progress = 'event: progress\ndata: {"phase": "repairing", "attempt": 2, "tokens_in": 120, "tokens_out": 30}\n\n';

/** Let the API answer with these parts, one after the other. */
function answers(parts: string[], type = "text/event-stream", status = 200): void {
  globalThis.fetch = async () => new Response(new ReadableStream({
    start(sink) {
      for (const part of parts) sink.enqueue(new TextEncoder().encode(part));
      sink.close();
    },
  }), { status, headers: { "Content-Type": type } });
}

test("what it is at is told in words, and the plan is what comes last, however the stream is cut into parts", async () => {
  const told: string[] = [];
  const whole = `: planning\n\n${progress}event: plan\ndata: {"plan_id": "plan_é"}\n\n`;
  answers([whole.slice(0, 30), whole.slice(30, 95), whole.slice(95)]);
  const plan = await makePlan("/ai/plan", {}, (now) => told.push(progressWords(now)));
  assert.equal(plan.plan_id, "plan_é");
  assert.deepEqual(told, ["Asking the language model for a better plan, try 2 (150 tokens)…"]);
});

test("a refusal is one, whether it comes at once or at the end, and a stream that ends too early is no plan", async () => {
  const problem = '{"status": 502, "code": "model_failed", "detail": "The model failed.", "request_id": "req_1"}';
  const call = () => makePlan("/ai/plan", {}, () => {});
  answers([progress, `event: error\ndata: ${problem}\n\n`]);
  await assert.rejects(call, { status: 502, code: "model_failed", message: "The model failed.", requestId: "req_1" });
  answers([problem], "application/problem+json", 502);
  await assert.rejects(call, { status: 502, code: "model_failed" });
  answers([progress]);
  await assert.rejects(call, { code: "no_answer" });
});
