-- cancel_plan: cancel every step not yet started and ask running ones to stop; a draft simply ends.
-- uses: rows flush transitions asking approvals

local workspace, id, actor, call = take(), take(), take(), take()
local plan = load_plan(workspace, id)
if not plan then refuse('NotFound') end
if plan.call == call then return shown(plan, PLAN_FIELDS) end

plan.call = call
local overdue = plan.expires_at ~= '' and tonumber(plan.expires_at) <= now
local reads = UNUSED[plan.status] and overdue and 'expired' or plan.status
if UNUSED[reads] then
  set_plan_status(plan, 'cancelled', actor)
elseif reads == 'running' or reads == 'awaiting_approval' then
  withdraw_approvals(plan, nil, actor)
  for _, job in ipairs(jobs_of(plan)) do
    if CANCELLABLE[job.status] then cancel(job, actor, 'Its plan was cancelled.') end
  end
else
  refuse('IllegalTransition', 'A plan that is ' .. reads .. ' cannot be cancelled.')
end
flush()
return shown(plan, PLAN_FIELDS)
