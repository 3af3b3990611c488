// A list of any length of which only the rows that can be seen exist.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

const SPARE = 8;

interface Props<T> {
  items: readonly T[];
  rowPx: number;
  label: string;
  render(item: T, place: number): ComponentChildren;
  keyOf(item: T): string;
}

export function Windowed<T>({ items, rowPx, label, render, keyOf }: Props<T>) {
  const list = useRef<HTMLUListElement>(null);
  const [range, setRange] = useState<readonly [number, number]>([0, 30]);
  useLayoutEffect(() => {
    let asked = 0;
    const measure = (): void => {
      asked = 0;
      const top = list.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / rowPx) - SPARE);
      const last = first + Math.ceil(innerHeight / rowPx) + 2 * SPARE;
      setRange((now) => (now[0] === first && now[1] === last ? now : [first, last]));
    };
    const ask = (): void => {
      asked ||= requestAnimationFrame(measure);
    };
    measure();
    addEventListener("scroll", ask, { passive: true });
    addEventListener("resize", ask);
    return () => {
      cancelAnimationFrame(asked);
      removeEventListener("scroll", ask);
      removeEventListener("resize", ask);
    };
  }, [rowPx]);
  const shown = items.slice(range[0], range[1]);
  return (
    <ul ref={list} class="windowed" aria-label={label} style={{ height: `${items.length * rowPx}px` }}>
      {shown.map((item, offset) => {
        const place = range[0] + offset;
        return (
          <li
            key={keyOf(item)}
            aria-setsize={items.length}
            aria-posinset={place + 1}
            style={{ transform: `translateY(${place * rowPx}px)`, height: `${rowPx}px` }}
          >
            {render(item, place)}
          </li>
        );
      })}
    </ul>
  );
}
