// How screens load things and stay up to date.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asProblem, type Problem } from "./client";
import { follow, type StreamState } from "./stream";
import type { StreamedEvent } from "./types";

export interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
  loading: boolean;
  reload(): void;
  /** Put what an answer to a change said in the place of what was loaded. */
  set(value: T): void;
}

interface Shown<T> {
  key: string;
  value: T | null;
  problem: Problem | null;
  loading: boolean;
}

/**
 * Load something now and whenever `key` changes. Who asks again while an answer is on its way gets that one first and a newer
 * one after it, so a screen moves on however fast things happen.
 */
export function useLoaded<T>(load: () => Promise<T>, key: string): Loaded<T> {
  const [state, setState] = useState<Shown<T>>({ key, value: null, problem: null, loading: true });
  const latest = useRef(load);
  latest.current = load;
  const way = useRef<{ key: string; again: boolean } | null>(null);
  const start = useCallback((wanted: string): void => {
    if (way.current?.key === wanted) {
      way.current.again = true;
      return;
    }
    const mine = { key: wanted, again: false };
    way.current = mine;
    setState((now) => ({ key: wanted, value: now.key === wanted ? now.value : null, problem: now.key === wanted ? now.problem : null, loading: true }));
    const end = (change: (now: Shown<T>) => Shown<T>): void => {
      if (way.current !== mine) return; // an answer that comes too late is dropped
      way.current = null;
      setState(change);
      if (mine.again) start(wanted);
    };
    latest.current().then(
      (value) => end(() => ({ key: wanted, value, problem: null, loading: false })),
      (error: unknown) => end((now) => ({ ...now, problem: asProblem(error), loading: false })),
    );
  }, []);
  useEffect(() => {
    start(key);
    return () => {
      way.current = null;
    };
  }, [key]);
  const reload = useCallback(() => start(key), [key]);
  const set = useCallback(
    (value: T) => {
      way.current = null;
      setState({ key, value, problem: null, loading: false });
    },
    [key],
  );
  const current = state.key === key;
  return { value: current ? state.value : null, problem: current ? state.problem : null, loading: state.loading, reload, set };
}

export interface Doing {
  busy: boolean;
  problem: Problem | null;
  /** Do something once at a time; a refusal is kept to be shown. Says whether it went well. */
  run(work: () => Promise<void>): Promise<boolean>;
  clear(): void;
}

/** What a button does. */
export function useDoing(): Doing {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const running = useRef(false);
  const run = async (work: () => Promise<void>): Promise<boolean> => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setProblem(null);
    try {
      await work();
      return true;
    } catch (error) {
      setProblem(asProblem(error));
      return false;
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { busy, problem, run, clear: () => setProblem(null) };
}

/** Follow events while the screen is open, a handful at a time; returns how the stream stands. */
export function useEvents(
  planId: string | null,
  handlers: { onEvents(events: StreamedEvent[]): void; onGap(): void },
  paceMs = 200,
): StreamState {
  const [state, setState] = useState<StreamState>("connecting");
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    let waiting: StreamedEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = (): void => {
      timer = undefined;
      const events = waiting;
      waiting = [];
      latest.current.onEvents(events);
    };
    const stop = follow({
      ...(planId ? { planId } : {}),
      onEvent(event) {
        waiting.push(event);
        timer ??= setTimeout(flush, paceMs);
      },
      onGap: () => latest.current.onGap(),
      onState: setState,
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [planId]);
  return state;
}
