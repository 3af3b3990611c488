// What takes a scope: shown to those who have it, and to others one sentence that says who has.
import type { ComponentChildren } from "preact";
import type { Scope } from "../api/types";
import { may, useSession } from "../session";

const WHO: Record<Scope, string> = {
  "actions:preview": "a viewer, developer, approver or admin",
  "actions:execute": "a developer or admin",
  "approvals:decide": "an approver or admin",
  "audit:read": "an auditor or admin",
  "connections:manage": "a developer or admin",
  admin: "an admin",
};

export function Only({ scope, what, children }: { scope: Scope; what: string; children?: ComponentChildren }) {
  if (may(useSession(), scope)) return <>{children}</>;
  return (
    <p class="card quiet">
      {what} can be read by {WHO[scope]} of this workspace.
    </p>
  );
}
