// How the work goes: jobs that ended and jobs that are ready to run, over the last ten minutes.
import { useEffect, useState } from "preact/hooks";
import { api, data } from "../api/client";
import type { StreamedEvent } from "../api/types";
import { count } from "../format";
import { BUCKET_MS, BUCKETS, begun, type Column, columns, measured, NOTHING, told } from "./pulse";

const HEIGHT = 40;
const STEP = 10;

interface Props {
  /** How many jobs are ready to run, as the list knows it. */
  depth: number | null;
  /** Where this puts what is to be called with events; with none, some were missed. */
  listener: { current: ((events: StreamedEvent[]) => void) | null };
}

export function PulseFigures({ depth, listener }: Props) {
  const [pulse, setPulse] = useState(NOTHING);
  const [now, setNow] = useState(Date.now);
  const begin = (): void => {
    data(api.GET("/ai/jobs", { params: { query: { limit: 100 } } })).then(
      (page) => setPulse((known) => ({ ...begun(page.jobs, page.next_cursor === null, Date.now()), depth: known.depth })),
      () => undefined, // the list says why
    );
  };
  useEffect(begin, []);
  listener.current = (events) => {
    if (!events.length) return begin();
    setPulse((known) => told(known, events, Date.now()));
    setNow(Date.now());
  };
  useEffect(() => {
    if (depth !== null) setPulse((known) => measured(known, depth, Date.now()));
  }, [depth]);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), BUCKET_MS);
    return () => clearInterval(timer);
  }, []);
  const shown = columns(pulse, now);
  const good = shown.reduce((sum, one) => sum + one.good, 0);
  const bad = shown.reduce((sum, one) => sum + one.bad, 0);
  const all = shown.every((one) => one.known);
  return (
    <div class="pulse">
      <figure class="card">
        <figcaption>
          <span class="figure">{shown.some((one) => one.known) ? good.toLocaleString() : "–"}</span> done
          {bad > 0 && <span class="job-error">, {bad.toLocaleString()} failed or unknown</span>}
          <span class="quiet small block">{all ? "in the last ten minutes" : "of the last ten minutes, as far as it is loaded"}</span>
        </figcaption>
        <Ends shown={shown} />
      </figure>
      <figure class="card">
        <figcaption>
          <span class="figure">{depth === null ? "–" : depth.toLocaleString()}</span> ready to run
          <span class="quiet small block">{depthWords(shown)}</span>
        </figcaption>
        <Depth shown={shown} />
      </figure>
    </div>
  );
}

function depthWords(shown: readonly Column[]): string {
  const known = shown.flatMap(({ depth }) => (depth === null ? [] : [depth]));
  return known.length > 1 ? `at most ${count(Math.max(...known), "job")} while you looked` : "now";
}

/** One column for every ten seconds; what failed stands on top of what was done. */
function Ends({ shown }: { shown: readonly Column[] }) {
  const most = Math.max(1, ...shown.map((one) => one.good + one.bad));
  const high = (amount: number): number => (amount ? Math.max(2, (amount / most) * HEIGHT) : 0);
  return (
    <svg viewBox={`0 0 ${BUCKETS * STEP} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {shown.map((one, place) => (
        <g key={place}>
          {!one.known && <rect class="unknown" x={place * STEP} y="0" width={STEP} height={HEIGHT} />}
          <rect class="good" x={place * STEP + 1} y={HEIGHT - high(one.good)} width={STEP - 2} height={high(one.good)} />
          <rect class="bad" x={place * STEP + 1} y={HEIGHT - high(one.good) - high(one.bad)} width={STEP - 2} height={high(one.bad)} />
        </g>
      ))}
    </svg>
  );
}

function Depth({ shown }: { shown: readonly Column[] }) {
  const most = Math.max(1, ...shown.map((one) => one.depth ?? 0));
  const top = (depth: number): number => HEIGHT - 1 - (depth / most) * (HEIGHT - 2);
  const line = shown.flatMap(({ depth }, place) => (depth === null ? [] : [`${place * STEP},${top(depth)}`, `${(place + 1) * STEP},${top(depth)}`]));
  const unknown = shown.filter((one) => one.depth === null).length;
  return (
    <svg viewBox={`0 0 ${BUCKETS * STEP} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {unknown > 0 && <rect class="unknown" x="0" y="0" width={unknown * STEP} height={HEIGHT} />}
      <polyline class="depth" points={line.join(" ")} />
    </svg>
  );
}
