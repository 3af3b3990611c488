// Short names for what the API answers; the shapes themselves are generated from its description.
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Session = Schemas["Session"];
export type Scope = Schemas["Scope"];
export type Plan = Schemas["Plan"];
export type PlanProgress = Schemas["PlanProgress"];
export type PlanDetail = Schemas["PlanDetail"];
export type PlanStatus = Schemas["PlanStatus"];
export type PlanSummary = Schemas["PlanSummary"];
export type Step = Schemas["Step"];
export type Decision = Schemas["Decision"];
export type Label = Schemas["Label"];
export type Job = Schemas["Job"];
export type JobDetail = Schemas["JobDetail"];
export type JobStatus = Schemas["JobStatus"];
export type Approval = Schemas["Approval"];
export type ApprovalDetail = Schemas["ApprovalDetail"];
export type StepDifference = Schemas["StepDifference"];
export type ApprovalStatus = Schemas["ApprovalStatus"];
export type Explanation = Schemas["Explanation"];
export type ActionDescription = Schemas["ActionDescription"];
export type StreamedEvent = Schemas["StreamedEvent"];
export type ProblemDocument = Schemas["Problem"];
export type PolicyCheck = Schemas["PolicyCheck"];
export type Policy = Schemas["Policy"];
export type DefaultRule = Schemas["DefaultRule"];
export type AuditRecord = Schemas["AuditRecord"];
export type RecordKind = Schemas["AuditKind"] | Schemas["EventType"];
export type AuditVerdict = Schemas["AuditVerdict"];
export type Member = Schemas["Member"];
export type Key = Schemas["Key"];
export type WorkspaceSettings = Schemas["WorkspaceSettings"];
export type CapUsage = Schemas["CapUsage"];
export type BudgetUsage = Schemas["BudgetUsage"];
