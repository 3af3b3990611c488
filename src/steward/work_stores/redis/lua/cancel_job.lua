-- cancel_job: cancel a job and, for the same reason, the steps that need it; or ask its worker to stop.
-- uses: rows flush transitions asking approvals

local workspace, id, actor, call = take(), take(), take(), take()
local job = load_job(workspace, id)
if not job then refuse('NotFound') end
if job.call == call then return shown(job, JOB_FIELDS) end

job.call = call
local was_held = job.status == 'held'
cancel(job, actor, 'It was cancelled.')
if was_held then
  local plan, held = plan_of(job), false
  withdraw_approvals(plan, id, actor)
  for _, other in ipairs(jobs_of(plan)) do held = held or other.status == 'held' end
  if not held then withdraw_approvals(plan, nil, actor) end
end
flush()
return shown(job, JOB_FIELDS)
