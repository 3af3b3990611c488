import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, StreamedEvent } from "../api/types";
import { extended, matching, refreshed, told } from "./rows";

const job = (job_id: string, more: Partial<Job> = {}): Job => ({
  job_id,
  plan_id: "plan_1",
  step: "s1",
  action: "email.send",
  provider: "email",
  status: "pending",
  held_for: null,
  reason: null,
  result: null,
  error: null,
  attempts: 0,
  duration_ms: null,
  enqueued_at: "2026-03-04T09:30:00Z",
  not_before: null,
  started_at: null,
  finished_at: null,
  ...more,
});
const event = (job_id: string, type: string, at = "2026-03-04T09:31:00Z"): StreamedEvent => ({
  event_id: "evt_0000000000000001",
  type,
  at,
  actor_id: null,
  plan_id: "plan_1",
  job_id,
  data: {},
});
const ids = (rows: { jobs: readonly Job[] }) => rows.jobs.map((one) => one.job_id);

test("a newer first page puts new jobs in front and changes known ones in their place", () => {
  const rows = { jobs: [job("b"), job("a")], cursor: "next" };
  const now = refreshed(rows, { jobs: [job("c"), job("b", { status: "completed" })], next_cursor: "other" });
  assert.deepEqual(ids(now), ["c", "b", "a"]);
  assert.equal(now.jobs[1]!.status, "completed");
  assert.equal(now.cursor, "next");
});

test("a first page that shares nothing with the rows takes their place: nobody knows what lies between", () => {
  const now = refreshed({ jobs: [job("a")], cursor: null }, { jobs: [job("z"), job("y")], next_cursor: "more" });
  assert.deepEqual(now, { jobs: [job("z"), job("y")], cursor: "more" });
});

test("a page that overlaps adds no job twice", () => {
  const now = extended({ jobs: [job("c"), job("b")], cursor: "x" }, { jobs: [job("b"), job("a")], next_cursor: null });
  assert.deepEqual(ids(now), ["c", "b", "a"]);
  assert.equal(now.cursor, null);
});

test("events move rows on, the last one counts, and others stay the same objects", () => {
  const rows = { jobs: [job("b"), job("a")], cursor: null };
  const now = told(rows, [event("b", "job.started"), event("b", "job.completed"), event("x", "job.failed"), event("a", "job.dispatched")]);
  assert.equal(now.jobs[0]!.status, "completed");
  assert.equal(now.jobs[0]!.finished_at, "2026-03-04T09:31:00Z");
  assert.equal(now.jobs[1], rows.jobs[1]);
  assert.equal(told(rows, [event("x", "job.failed")]).jobs[0], rows.jobs[0]);
});

test("a search looks at ids, actions, results and errors", () => {
  const jobs = [job("a", { result: { to: "Office@example.com" } }), job("b", { error: { code: "busy", detail: "Later.", retryable: true } })];
  assert.deepEqual(matching(jobs, " office@ ").map((one) => one.job_id), ["a"]);
  assert.deepEqual(matching(jobs, "busy").map((one) => one.job_id), ["b"]);
  assert.equal(matching(jobs, "").length, 2);
});
