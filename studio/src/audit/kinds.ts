// What kinds of records a workspace has, in words. Pure.
import type { RecordKind } from "../api/types";

const GROUPS: Readonly<Record<string, Readonly<Partial<Record<RecordKind, string>>>>> = {
  Rules: {
    "policy.decided": "Policy decided",
    "policy.changed": "A policy was kept",
    "policy.removed": "A policy was removed",
    "policies.signed": "Older policies were signed for",
  },
  Doors: {
    "request.denied": "A request was turned away",
    "login.failed": "Signing in failed",
    "session.opened": "Somebody signed in",
  },
  Work: {
    "plan.drafted": "A plan was made",
    "plan.submitted": "A plan was put to work",
    "plan.completed": "A plan was done",
    "plan.failed": "A plan failed",
    "plan.cancelled": "A plan was cancelled",
    "plan.rejected": "A plan was rejected",
    "plan.expired": "A plan expired",
    "plan.resumed": "A plan went on",
    "approval.requested": "A person was asked",
    "approval.decided": "A person decided",
    "approval.expired": "Nobody decided in time",
    "effect.ahead": "An effect was about to happen",
    "job.dispatched": "An effect was sent off",
    "job.completed": "A step was done",
    "job.failed": "A step failed",
    "job.unknown": "Nobody knew whether a step happened",
    "job.retry_scheduled": "A step was to be tried again",
    "job.retried": "A person had a step tried again",
    "job.resolved": "A person settled a step",
    "job.cancelled": "A step was cancelled",
    "job.skipped": "A step was skipped",
    "event.unreadable": "The record of something could not be read",
  },
  People: {
    "member.admitted": "A member came",
    "member.changed": "A member was settled",
    "member.removed": "A member was forgotten",
    "key.created": "A key was made",
    "key.changed": "A key was changed",
    "key.replaced": "A key was replaced",
    "key.revoked": "A key was revoked",
    "workspace.created": "The workspace was made",
    "workspace.changed": "The workspace was set up",
  },
  "The audit itself": {
    "audit.exported": "Evidence was taken",
    "view.erased": "Views were erased",
    "audit.cursor_distrusted": "The archive's place was not trusted",
  },
};

/** The kinds by what they are about. */
export const KINDS: readonly (readonly [group: string, kinds: readonly (readonly [kind: string, words: string])[]])[] = Object.entries(GROUPS).map(
  ([group, kinds]) => [group, Object.entries(kinds)],
);

const WORDS: ReadonlyMap<string, string> = new Map(KINDS.flatMap(([, kinds]) => kinds));

/** Return what a kind of record says; a kind without words says its name. */
export function kindWords(kind: string): string {
  return WORDS.get(kind) ?? kind;
}
