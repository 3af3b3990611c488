-- decide_approval: record a decision once, and release or cancel what it held.
-- uses: rows flush transitions asking approvals

local workspace, id, actor, digest, verdict = take(), take(), take(), take(), take()
local comment, commented, roles, people = take(), take() == '1', take(), take()
local approval = load_approval(workspace, id)
if not approval then refuse('NotFound') end
if approval.digest ~= digest then refuse('ApprovalMismatch') end
if approval.status == verdict and approval.decided_by == actor then
  return shown(approval, APPROVAL_FIELDS) -- the answer was lost: it is given again
end
if approval.status ~= 'pending' or tonumber(approval.expires_at) <= now then
  local state = approval.status ~= 'pending' and approval.status or 'expired'
  refuse('IllegalTransition', 'This approval is ' .. state .. '; it can no longer be decided.')
end

local plan = load_plan(workspace, approval.plan_id)
if verdict == 'approved' then
  for _, theirs in ipairs(approval.another_person ~= '' and { approval.requested_by, plan.actor_id } or {}) do
    if (' ' .. people .. ' '):find(' ' .. theirs .. ' ', 1, true) then refuse('AnotherPersonRequired') end
  end
  local role = approval.approver_role
  if role ~= '' and not (' ' .. roles .. ' '):find(' ' .. role .. ' ', 1, true) then
    refuse('ApproverRoleRequired', "Approving this takes the role '" .. role .. "'.", { role = role })
  end
end

close_approval(approval, verdict, actor, commented and comment or nil)
if verdict == 'rejected' then
  turn_down(approval, 'Its approval was refused.', actor, 'rejected')
else
  if approval.job_id == '' then plan.status = 'running' end
  for _, job in ipairs(held_jobs(approval)) do start(job, actor) end
end
flush()
return shown(approval, APPROVAL_FIELDS)
