// How many jobs ended and how many were ready to run, in the last ten minutes: told by events, never asked for. Pure.
import type { Job, StreamedEvent } from "../api/types";

export const BUCKET_MS = 10_000;
export const BUCKETS = 60;

interface Count {
  good: number;
  bad: number;
}

export interface Pulse {
  /** From when on every end is known. */
  since: number;
  ended: ReadonlyMap<number, Count>;
  /** The last known depth of each bucket in which it was told. */
  depth: ReadonlyMap<number, number>;
  /** Ends that are counted already, and of which an event may yet tell. */
  counted: ReadonlySet<string>;
}

export interface Column extends Count {
  /** Null: not known. */
  depth: number | null;
  known: boolean;
}

export const NOTHING: Pulse = { since: Infinity, ended: new Map(), depth: new Map(), counted: new Set() };

const BAD: Readonly<Record<string, boolean>> = { completed: false, failed: true, unknown: true };
const bucketOf = (at: number): number => Math.floor(at / BUCKET_MS);
const key = (jobId: string, at: number): string => `${jobId} ${at}`;

/** Return what the newest jobs tell of the time before; ends of jobs that are not among them are not known. */
export function begun(jobs: readonly Job[], isAll: boolean, now: number): Pulse {
  const oldest = jobs.at(-1);
  const pulse = { ...NOTHING, since: isAll || !oldest ? now - BUCKETS * BUCKET_MS : Date.parse(oldest.enqueued_at) };
  const ends = jobs.flatMap(({ job_id, status, finished_at }) => (finished_at ? [{ job_id, status: status as string, at: Date.parse(finished_at) }] : []));
  return withEnds(pulse, ends, now);
}

/** Return the pulse with what events tell. */
export function told(pulse: Pulse, events: readonly StreamedEvent[], now: number): Pulse {
  const ends = events.flatMap(({ job_id, type, at }) => (job_id && type.startsWith("job.") ? [{ job_id, status: type.slice(4), at: Date.parse(at) }] : []));
  return withEnds(pulse, ends, now);
}

function withEnds(pulse: Pulse, ends: readonly { job_id: string; status: string; at: number }[], now: number): Pulse {
  const first = bucketOf(now) - BUCKETS;
  const ended = new Map([...pulse.ended].filter(([bucket]) => bucket > first));
  const counted = new Set([...pulse.counted].slice(-1000));
  for (const { job_id, status, at } of ends) {
    const bad = BAD[status];
    if (bad === undefined || counted.has(key(job_id, at))) continue;
    counted.add(key(job_id, at));
    const { good, bad: failed } = ended.get(bucketOf(at)) ?? { good: 0, bad: 0 };
    ended.set(bucketOf(at), bad ? { good, bad: failed + 1 } : { good: good + 1, bad: failed });
  }
  return { ...pulse, ended, counted };
}

/** Return the pulse with how many jobs are ready to run now. */
export function measured(pulse: Pulse, depth: number, now: number): Pulse {
  const first = bucketOf(now) - BUCKETS;
  const kept = [...pulse.depth].sort(([a], [b]) => a - b);
  const before = kept.filter(([bucket]) => bucket <= first).at(-1);
  const later = kept.filter(([bucket]) => bucket > first);
  return { ...pulse, depth: new Map([...(before ? [[first, before[1]] as const] : []), ...later, [bucketOf(now), depth]]) };
}

/** Return the last ten minutes, oldest first. The depth stays what it was until something happens. */
export function columns(pulse: Pulse, now: number): Column[] {
  const last = bucketOf(now);
  let depth = pulse.depth.get(last - BUCKETS) ?? null;
  return Array.from({ length: BUCKETS }, (_, place) => {
    const bucket = last - BUCKETS + 1 + place;
    depth = pulse.depth.get(bucket) ?? depth;
    const count = pulse.ended.get(bucket) ?? { good: 0, bad: 0 };
    return { ...count, depth, known: (bucket + 1) * BUCKET_MS > pulse.since };
  });
}
