import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, StreamedEvent } from "../api/types";
import { BUCKET_MS, BUCKETS, begun, columns, measured, NOTHING, told } from "./pulse";

const NOW = 1_000_000 * BUCKET_MS;
const iso = (ago: number): string => new Date(NOW - ago * BUCKET_MS).toISOString();
const job = (job_id: string, status: string, ago: number): Job => ({ job_id, status, enqueued_at: iso(ago + 1), finished_at: iso(ago) }) as Job;
const event = (job_id: string, type: string, ago: number): StreamedEvent => ({ job_id, type, at: iso(ago) }) as StreamedEvent;

test("ends stand where they happened, each once, whoever tells of them", () => {
  let pulse = begun([job("a", "completed", 3), job("b", "failed", 3)], true, NOW);
  pulse = told(pulse, [event("a", "job.completed", 3), event("c", "job.unknown", 0), event("d", "job.started", 0)], NOW);
  const found = columns(pulse, NOW);
  assert.deepEqual([found.at(-4)?.good, found.at(-4)?.bad, found.at(-1)?.bad], [1, 1, 1]);
  assert.equal(found.reduce((sum, one) => sum + one.good + one.bad, 0), 3);
  assert.ok(found.every((one) => one.known));
});

test("where older jobs were not loaded, the time before them is not known", () => {
  const found = columns(begun([job("a", "completed", 3), job("b", "completed", 9)], false, NOW), NOW);
  assert.deepEqual([found.at(-12)?.known, found.at(-11)?.known], [false, true]);
});

test("the depth stays until something happens, also when what told of it is long ago", () => {
  let pulse = measured(NOTHING, 7, NOW - 5 * BUCKET_MS);
  assert.deepEqual([columns(pulse, NOW).at(-7)?.depth, columns(pulse, NOW).at(-1)?.depth], [null, 7]);
  pulse = measured(pulse, 2, NOW + BUCKETS * BUCKET_MS);
  assert.deepEqual([columns(pulse, NOW + BUCKETS * BUCKET_MS).at(0)?.depth, columns(pulse, NOW + BUCKETS * BUCKET_MS).at(-1)?.depth], [7, 2]);
});
