// The workspace's events, for as long as somebody looks: a stream that goes on where it was after every kind of loss.
//
// A page in the background holds no connection: a browser has few of them for one server, and all its pages share them.
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { problemOf, tellSignedOut } from "./client";
import type { StreamedEvent } from "./types";

export type StreamState = "connecting" | "live" | "lost";

export interface Following {
  /** Only this plan's events, from its first one on. */
  planId?: string;
  onEvent(event: StreamedEvent): void;
  /** Events were missed for good: load again. */
  onGap(): void;
  onState(state: StreamState): void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** The server says something every 15 seconds, if only that it is there. */
const SILENCE_MS = 45_000;

/** Follow events until the returned function is called. */
export function follow(following: Following): () => void {
  const stop = new AbortController();
  void keepFollowing(following, stop.signal);
  return () => stop.abort();
}

async function keepFollowing(following: Following, stop: AbortSignal): Promise<void> {
  const place: { last?: string } = {};
  let wait = FIRST_WAIT_MS;
  for (let round = 0; !stop.aborted; round += 1) {
    if (document.hidden) await next(document, "visibilitychange", stop);
    if (stop.aborted || document.hidden) continue;
    following.onState(round ? "lost" : "connecting");
    if (round && place.last === undefined && following.planId === undefined) following.onGap();
    const outcome = await once(following, place, stop);
    if (outcome === "refused") return;
    if (outcome === "served") wait = FIRST_WAIT_MS;
    if (stop.aborted || document.hidden) continue;
    following.onState("lost");
    await Promise.race([delay(wait, stop), next(window, "online", stop)]);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

/** One connection, from its beginning to its end. */
async function once(following: Following, place: { last?: string }, stop: AbortSignal): Promise<"served" | "refused" | "failed"> {
  const cut = new AbortController();
  const end = (): void => cut.abort();
  const hide = (): void => {
    if (document.hidden) end();
  };
  stop.addEventListener("abort", end);
  document.addEventListener("visibilitychange", hide);
  let silence = setTimeout(end, SILENCE_MS);
  let served = false;
  try {
    const query = following.planId ? `?plan_id=${encodeURIComponent(following.planId)}` : "";
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (place.last) headers["Last-Event-ID"] = place.last;
    const response = await fetch(`/ai/events${query}`, { headers, signal: cut.signal, credentials: "same-origin" });
    if (!response.ok || !response.body) return await refused(response);
    served = true;
    following.onState("live");
    const parser = createParser({ onEvent: (message) => take(message, following, place) });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(silence);
      silence = setTimeout(end, SILENCE_MS);
      parser.feed(decoder.decode(part.value, { stream: true }));
    }
  } catch {
    // the connection is gone; the caller goes on after a while
  } finally {
    clearTimeout(silence);
    stop.removeEventListener("abort", end);
    document.removeEventListener("visibilitychange", hide);
    cut.abort();
  }
  return served ? "served" : "failed";
}

async function refused(response: Response): Promise<"refused" | "failed"> {
  const problem = await problemOf(response);
  if (problem.status === 401) tellSignedOut(problem);
  return [401, 403, 404].includes(problem.status) ? "refused" : "failed";
}

function take(message: EventSourceMessage, following: Following, place: { last?: string }): void {
  if (message.id) place.last = message.id;
  if (message.event === "bye") return;
  if (message.event === "gap") following.onGap();
  else following.onEvent(JSON.parse(message.data) as StreamedEvent);
}

function next(target: EventTarget, name: string, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    target.addEventListener(name, () => resolve(), { once: true, signal: stop });
    stop.addEventListener("abort", () => resolve(), { once: true });
  });
}

function delay(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
