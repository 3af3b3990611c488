// Keys for those who like them: listed under "?", and off for those who do not.
import { useLocation } from "preact-iso";
import { useLayoutEffect, useState } from "preact/hooks";
import type { Screen } from "../screens";
import { Dialog } from "./dialog";

const KEY = "steward.shortcuts";
const isOn = (): boolean => localStorage.getItem(KEY) !== "off";

function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  return target.matches("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]") !== null;
}

/** Call what belongs to a pressed key, unless somebody is typing or keys are off; from when the page can be seen, not a moment later. */
export function useKeys(keys: Record<string, () => void>): void {
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const action = keys[event.key];
      if (!action || !isOn() || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
}

/** Move the focus along the links and buttons that carry `data-row`. */
export function moveAlongRows(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)]?.focus();
}

interface Props {
  screens: readonly Screen[];
  /** Whether the list of keys is shown. */
  open: boolean;
  onOpen(open: boolean): void;
}

export function Shortcuts({ screens, open, onOpen }: Props) {
  const [on, setOn] = useState(isOn);
  const { route } = useLocation();
  const keys: Record<string, () => void> = {
    "?": () => onOpen(true),
    "/": () => document.querySelector<HTMLElement>("[data-main-field]")?.focus(),
    j: () => moveAlongRows(1),
    k: () => moveAlongRows(-1),
  };
  for (const screen of screens) keys[screen.key] = () => route(screen.path);
  useKeys(keys);
  const change = (): void => {
    localStorage.setItem(KEY, on ? "off" : "on");
    setOn(!on);
  };
  return (
      <Dialog title="Keys" open={open} onClose={() => onOpen(false)}>
        <dl class="keys">
          {screens.map((screen) => (
            <div key={screen.key}>
              <dt>
                <kbd>{screen.key}</kbd>
              </dt>
              <dd>{screen.name}</dd>
            </div>
          ))}
          <div>
            <dt>
              <kbd>/</kbd>
            </dt>
            <dd>To the text box of the screen</dd>
          </div>
          <div>
            <dt>
              <kbd>j</kbd> <kbd>k</kbd>
            </dt>
            <dd>Down and up in a list</dd>
          </div>
          <div>
            <dt>
              <kbd>?</kbd>
            </dt>
            <dd>This list</dd>
          </div>
        </dl>
        <label class="check">
          <input type="checkbox" checked={on} onChange={change} /> Single keys do something
        </label>
      </Dialog>
  );
}
