// Foreign text: always as text, kept apart from the direction of what stands around it, with nothing hidden in it.
import { duration, fullTime, pieces, relativeTime, shortTime } from "../format";

export function Text({ children }: { children: string }) {
  return (
    <bdi class="text">
      {pieces(children).map((piece) =>
        "text" in piece ? piece.text : <span class="hidden-char" title="A character that is not seen">{piece.hidden}</span>,
      )}
    </bdi>
  );
}

export function Id({ children }: { children: string }) {
  return <code class="id">{children}</code>;
}

export function Time({ at, form = "short" }: { at: string; form?: "short" | "relative" }) {
  return (
    <time dateTime={at} title={`${fullTime(at)} (${at})`}>
      {form === "relative" ? relativeTime(at) : shortTime(at)}
    </time>
  );
}

export function Took({ ms }: { ms: number }) {
  return <span class="took">{duration(ms)}</span>;
}
