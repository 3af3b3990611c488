// A plan as people read it: its steps in order, each a card, with lines to what it waits for.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Titles } from "../api/actions";
import type { Job, Step } from "../api/types";
import type { Edits } from "./edit";
import { lines } from "./layout";
import { StepCard } from "./step-card";

interface Props {
  steps: readonly Step[];
  /** What was asked for: a value that stands in it is in the words of whoever asked. */
  prompt: string;
  titles: Titles;
  /** Of a plan that runs: its jobs, by step. */
  jobs?: ReadonlyMap<string, Job[]>;
  edits?: Edits | null;
  onEdit?(step: string, param: string, text: string): void;
}

export function Steps({ steps, prompt, titles, jobs, edits = null, onEdit }: Props) {
  const list = useRef<HTMLOListElement>(null);
  const found = lines(steps);
  const lanes = Math.max(0, ...found.map((line) => line.lane));
  return (
    <div class="plan-graph">
      <Lines list={list} steps={steps} lanes={lanes} />
      <ol ref={list} class={`steps lanes-${Math.min(lanes, 4)}`}>
        {steps.map((step) => (
          <StepCard
            key={step.id}
            step={step}
            steps={steps}
            prompt={prompt}
            titles={titles}
            jobs={jobs?.get(step.id) ?? null}
            edits={edits}
            onEdit={onEdit}
          />
        ))}
      </ol>
    </div>
  );
}

const DOT_Y = 30;
const LANE_PX = 12;

/** The same that each card says in words, so it is hidden from those who hear the page. */
function Lines({ list, steps, lanes }: { list: { current: HTMLOListElement | null }; steps: readonly Step[]; lanes: number }) {
  const [tops, setTops] = useState<{ y: number[]; height: number }>({ y: [], height: 0 });
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return undefined;
    const measure = (): void => {
      const y = [...element.children].map((child) => (child as HTMLElement).offsetTop + DOT_Y);
      setTops({ y, height: element.offsetHeight });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [steps]);
  const x = 10 + Math.min(lanes, 4) * LANE_PX;
  return (
    <svg class="plan-lines" width={x + 10} height={tops.height} aria-hidden="true">
      {lines(steps).map(({ from, to, lane }) => {
        const [top, bottom] = [tops.y[from] ?? 0, tops.y[to] ?? 0];
        const side = x - Math.min(lane, 4) * LANE_PX;
        const way = lane === 0 ? `M${x} ${top}V${bottom}` : `M${x} ${top}C${side} ${top + 14} ${side} ${top + 14} ${side} ${top + 30}V${bottom - 30}C${side} ${bottom - 14} ${side} ${bottom - 14} ${x} ${bottom}`;
        return <path key={`${from}-${to}`} d={way} />;
      })}
      {steps.map((step, place) => (
        <circle key={step.id} class={step.decision.effect} cx={x} cy={tops.y[place] ?? 0} r="6" />
      ))}
    </svg>
  );
}
