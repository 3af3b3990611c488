-- asking: putting a request for approval in place, for a plan or for one of its jobs.

local function facts_of(approval) -- what an event about it says: what was decided, by which rule
  return {
    approval_id = approval.approval_id, rule = approval.rule, digest = approval.digest,
    requested_by = approval.requested_by, another_person = approval.another_person ~= '',
    approver_role = approval.approver_role ~= '' and approval.approver_role or cjson.null,
  }
end

local function ask(workspace, plan, fields, actor) -- put a request for approval in place
  local approval = create('approval', K.approval:format(workspace, fields.approval_id), fields)
  plan.approval_ids = append(plan.approval_ids, approval.approval_id)
  note('approval.requested', workspace, plan.plan_id, approval.job_id, actor, facts_of(approval))
end
