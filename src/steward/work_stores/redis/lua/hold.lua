-- hold: put a running, undispatched job aside until a person decides; the attempt does not count.
-- uses: rows flush transitions asking

local workspace, id, fence = take(), take(), take()
local held_for, reason, differences, asked = take(), take(), take(), take_fields()
local job = leased(workspace, id, fence)
if not job then
  local before = settled_before(workspace, id, fence, 'held')
  local same = before and before.status == 'held' and before.reason == reason
  if same and (not asked.approval_id or load_approval(workspace, asked.approval_id)) then return answered({ before }) end
  return answered({ { 'fence' } })
elseif job.dispatched_at ~= '' then
  return answered({ { 'fence' } })
elseif job.cancel_requested ~= '' then
  return answered({ { 'cancelled' } })
end

end_attempt(job, 'held', nil, differences)
give_up_attempt(job)
move(job, 'held', 'job.held', nil, { held_for = held_for })
job.held_for, job.reason = held_for, reason
if asked.approval_id then
  asked.workspace_id, asked.plan_id, asked.job_id = workspace, job.plan_id, id
  asked.requested_by = job.actor_id
  ask(workspace, plan_of(job), asked)
end
return answered({ job })
