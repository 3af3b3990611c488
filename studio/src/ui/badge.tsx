// Words with a colour and a sign: none of the three says anything that the others do not.
import type { ApprovalStatus, Decision, JobStatus, Label, PlanStatus } from "../api/types";

export type Tone = "good" | "wait" | "bad" | "busy" | "plain";

const SIGNS: Record<Tone, string> = { good: "✓", wait: "◷", bad: "✕", busy: "●", plain: "·" };

export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{SIGNS[tone]}</span> {children}
    </span>
  );
}

const JOB: Record<JobStatus, [Tone, string]> = {
  waiting: ["plain", "Waiting"],
  held: ["wait", "Held"],
  scheduled: ["wait", "Scheduled"],
  pending: ["plain", "Ready"],
  running: ["busy", "Running"],
  completed: ["good", "Completed"],
  failed: ["bad", "Failed"],
  unknown: ["bad", "Outcome unknown"],
  cancelled: ["plain", "Cancelled"],
  skipped: ["plain", "Skipped"],
};

const PLAN: Record<PlanStatus, [Tone, string]> = {
  draft: ["plain", "Draft"],
  needs_input: ["wait", "Needs an answer"],
  awaiting_approval: ["wait", "Waits for approval"],
  running: ["busy", "Running"],
  completed: ["good", "Completed"],
  failed: ["bad", "Failed"],
  cancelled: ["plain", "Cancelled"],
  rejected: ["bad", "Rejected"],
  expired: ["plain", "Expired"],
};

const APPROVAL: Record<ApprovalStatus, [Tone, string]> = {
  pending: ["wait", "Waits for a decision"],
  approved: ["good", "Approved"],
  rejected: ["bad", "Rejected"],
  expired: ["plain", "Expired"],
  cancelled: ["plain", "Withdrawn"],
};

const DECISION: Record<Decision["effect"], [Tone, string]> = {
  allow: ["good", "Runs"],
  ask: ["wait", "Asks a person"],
  deny: ["bad", "Denied"],
};

export const jobWords = (status: JobStatus): string => JOB[status][1];
export const planWords = (status: PlanStatus): string => PLAN[status][1];
export const approvalWords = (status: ApprovalStatus): string => APPROVAL[status][1];
export const JOB_STATUSES = Object.keys(JOB) as JobStatus[];
export const PLAN_STATUSES = Object.keys(PLAN) as PlanStatus[];
export const APPROVAL_STATUSES = Object.keys(APPROVAL) as ApprovalStatus[];

export function JobBadge({ status }: { status: JobStatus }) {
  return <Badge tone={JOB[status][0]}>{JOB[status][1]}</Badge>;
}

export function PlanBadge({ status }: { status: PlanStatus }) {
  return <Badge tone={PLAN[status][0]}>{PLAN[status][1]}</Badge>;
}

export function ApprovalBadge({ status }: { status: ApprovalStatus }) {
  return <Badge tone={APPROVAL[status][0]}>{APPROVAL[status][1]}</Badge>;
}

export function DecisionBadge({ effect }: { effect: Decision["effect"] }) {
  return <Badge tone={DECISION[effect][0]}>{DECISION[effect][1]}</Badge>;
}

const LABELS: Record<Label, readonly [word: string, meaning: string]> = {
  T: ["Trusted", "Written by whoever asked, by the plan itself, or by what only its owner writes."],
  E: ["Of what you named", "A field, made by the provider, of the one thing that was named in the request."],
  S: ["Of the provider", "Made by the provider, such as an id or an amount."],
  U: ["Untrusted", "Somebody else may have written it."],
};

/** Where a value comes from: one of four labels, by colour and word. */
export function Provenance({ label }: { label: Label }) {
  const [word, meaning] = LABELS[label];
  return (
    <span class={`provenance ${label}`} title={meaning}>
      {word}
    </span>
  );
}

/** Where a value comes from that stands in the plan itself: from the words of whoever asked, or from the plan. */
export function Literal({ value, prompt }: { value: unknown; prompt: string }) {
  const said = typeof value !== "object" && value !== "" && prompt.toLowerCase().includes(String(value).toLowerCase());
  return (
    <span class="provenance T" title={said ? "It stands in the request." : "The plan fills it in."}>
      {said ? "From the request" : "Set by the plan"}
    </span>
  );
}
