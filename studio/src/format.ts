// Times, durations and texts as people read them. Pure.

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const number = new Intl.NumberFormat();

const UNITS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** Return a moment in full, in the reader's zone. */
export function fullTime(iso: string): string {
  return clock.format(new Date(iso));
}

/** Return a moment of today by its time, any other by its day too. */
export function shortTime(iso: string, now: Date = new Date()): string {
  const moment = new Date(iso);
  return (moment.toDateString() === now.toDateString() ? short : day).format(moment);
}

/** Return how far away a moment is: "in 3 days", "2 minutes ago". */
export function relativeTime(iso: string, now: Date = new Date()): string {
  const seconds = Math.round((new Date(iso).getTime() - now.getTime()) / 1000);
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return relative.format(Math.round(seconds / length), unit);
}

/** Return a length of time: "12 ms", "3.4 s", "2 min 5 s". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 3600
    ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
    : `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** Return a count with its word: "1 job", "3 jobs". */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${number.format(amount)} ${amount === 1 ? one : many}`;
}

/** Return a text, or its beginning where it is longer than a heading should be. */
export function beginning(text: string, most = 120): string {
  return text.length <= most ? text : `${text.slice(0, most).trimEnd()}…`;
}

/** A stretch of text, or one character that would hide or turn what stands around it. */
export type Piece = { text: string } | { hidden: string };

/** Control, bidirectional, invisible and look-alike-space characters; a line break and a tab are none. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Split a text so that characters which nobody would see can be shown by their numbers. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > at) found.push({ text: text.slice(at, match.index) });
    found.push({ hidden: `U+${match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}` });
    at = match.index + 1;
  }
  if (at < text.length || !found.length) found.push({ text: text.slice(at) });
  return found;
}
