// What went wrong and what to do, and what there is nothing of.
import type { ComponentChildren } from "preact";
import type { Problem } from "../api/client";
import { Id, Text } from "./text";

export function Notice({ tone, children }: { tone: "bad" | "wait" | "good" | "plain"; children: ComponentChildren }) {
  return (
    <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

interface RefusedProps {
  problem: Problem | null;
  retry?: () => void;
  /** Where to go when it is not there: trying again would not bring it. */
  instead?: readonly [href: string, words: string];
}

export function Refused({ problem, retry, instead }: RefusedProps) {
  if (!problem) return null;
  return (
    <Notice tone="bad">
      <p>
        <Text>{problem.message}</Text>
        {problem.retryAfterS ? ` Try again in ${problem.retryAfterS} s.` : ""}
      </p>
      {problem.fields.length > 0 && (
        <ul>
          {problem.fields.map((field) => (
            <li key={field.pointer}>
              <code>{field.pointer}</code>: <Text>{field.detail}</Text>
            </li>
          ))}
        </ul>
      )}
      {problem.status === 404 && instead ? (
        <a href={instead[0]}>{instead[1]}</a>
      ) : retry ? (
        <button type="button" onClick={retry}>
          Try again
        </button>
      ) : null}
      {problem.requestId && (
        <p class="quiet small">
          For the log: <Id>{problem.requestId}</Id>
        </p>
      )}
    </Notice>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      Loading {what}…
    </p>
  );
}

/** What the making of a plan is at. */
export function Planning({ words }: { words: string }) {
  return (
    <p class="loading" role="status">
      {words || "Planning…"}
    </p>
  );
}
