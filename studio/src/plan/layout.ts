// The lines between steps: which lane each runs in, so that no two lie on top of each other. Pure.
import type { Step } from "../api/types";

export interface Line {
  from: number;
  to: number;
  /** 0: straight down to the next step; from 1 on: further and further to the side. */
  lane: number;
}

/** Return a line for every dependency, by the places of the steps. */
export function lines(steps: readonly Pick<Step, "id" | "depends_on">[]): Line[] {
  const place = new Map(steps.map((step, index) => [step.id, index]));
  const found: Line[] = [];
  const ends: number[] = []; // of each lane: where the last line in it ends
  steps.forEach((step, to) => {
    for (const name of step.depends_on) {
      const from = place.get(name);
      if (from === undefined || from >= to) continue;
      found.push({ from, to, lane: to - from === 1 ? 0 : -1 });
    }
  });
  for (const line of found.filter((one) => one.lane < 0).sort((a, b) => a.from - b.from || a.to - b.to)) {
    let lane = ends.findIndex((end) => end <= line.from);
    if (lane < 0) lane = ends.length;
    ends[lane] = line.to;
    line.lane = lane + 1;
  }
  return found;
}
