// The frame of a screen: its title, where the focus goes when it opens, and how it speaks to those who do not see it.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { pieces } from "../format";
import { Text } from "./text";

/** Return a text without the characters that nobody would see. */
function seen(text: string): string {
  return pieces(text).map((piece) => ("text" in piece ? piece.text : "")).join("");
}

let shownAt: string | null = null;
let takesFocus = false;

/** Let the next screen take the focus, even if it is the first. */
export function focusNextPage(): void {
  takesFocus = true;
}

interface Props {
  title: string;
  aside?: ComponentChildren;
  /** With the room that a table takes. */
  wide?: boolean;
  children: ComponentChildren;
}

export function Page({ title, aside, wide = false, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${seen(title)} · Steward`;
  }, [title]);
  useLayoutEffect(() => {
    const element = heading.current;
    const moved = shownAt !== null && shownAt !== location.pathname; // the first screen keeps the browser's own start
    if (moved) scrollTo(0, 0);
    if (moved || takesFocus) element?.focus();
    shownAt = location.pathname;
    takesFocus = false;
    return () => {
      if (document.activeElement === element) takesFocus = true; // what was loading makes room for what was loaded
    };
  }, []);
  return (
    <div class={wide ? "page wide" : "page"}>
      <header class="page-head">
        <h1 ref={heading} tabIndex={-1}>
          <Text>{title}</Text>
        </h1>
        {aside}
      </header>
      {children}
    </div>
  );
}

let region: HTMLElement | null = null;

/** Where `announce` is heard; stands once, in the shell. */
export function LiveRegion() {
  return <div class="unseen" aria-live="polite" ref={(element) => void (region = element)} />;
}

/** Say something to those who do not see that it changed. */
export function announce(text: string): void {
  if (region) region.textContent = text;
}
