// A menu that closes when one goes elsewhere: by Escape, by a press outside, by leaving it with the focus.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Menu({ children }: { children: ComponentChildren }) {
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (): void => menu.current?.removeAttribute("open");
    const outside = (event: Event): void => {
      if (!menu.current?.contains(event.target as Node)) close();
    };
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== "Escape" || !menu.current?.open) return;
      close();
      menu.current.querySelector("summary")?.focus();
    };
    addEventListener("click", outside);
    addEventListener("focusin", outside);
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("click", outside);
      removeEventListener("focusin", outside);
      removeEventListener("keydown", escape);
    };
  }, []);
  return (
    <details class="menu" ref={menu}>
      <summary>Menu</summary>
      <div>{children}</div>
    </details>
  );
}
