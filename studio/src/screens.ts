// The screens that the navigation shows: their address, their key, and the scope that it takes to see them.
import type { Scope } from "./api/types";

export interface Screen {
  name: string;
  path: string;
  key: string;
  /** Null: everybody sees it. */
  scope: Scope | null;
}

export const SCREENS: readonly Screen[] = [
  { name: "Ask", path: "/", key: "a", scope: "actions:preview" },
  { name: "Approvals", path: "/studio/approvals", key: "p", scope: "approvals:decide" },
  { name: "Requests", path: "/studio/plans", key: "r", scope: "actions:preview" },
  { name: "Jobs", path: "/studio/jobs", key: "b", scope: "actions:preview" },
  { name: "Actions", path: "/studio/actions", key: "c", scope: "actions:preview" },
  { name: "Policy", path: "/studio/policy", key: "o", scope: "admin" },
  { name: "Audit", path: "/studio/audit", key: "u", scope: "audit:read" },
  { name: "Workspace", path: "/studio/workspace", key: "w", scope: null },
];
