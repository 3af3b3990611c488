// Whether what is on the screen is the latest.
import type { StreamState } from "../api/stream";

const WORDS: Record<StreamState, string> = { connecting: "Connecting…", live: "Live", lost: "Reconnecting…" };

export function StreamBadge({ state }: { state: StreamState }) {
  return (
    <span class={`stream ${state}`} role="status">
      <span class="dot" aria-hidden="true" /> {WORDS[state]}
    </span>
  );
}
