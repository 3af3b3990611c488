-- expand: end an attempt by putting a step's children in place; it waits for them and is then claimed again.
-- uses: rows flush budgets transitions

local workspace, id, fence, count = take(), take(), take(), tonumber(take())
local job = leased(workspace, id, fence)
if not job then
  return answered({ settled_before(workspace, id, fence, 'expanded') or { 'fence' } })
elseif job.cancel_requested ~= '' then
  apply(job, { word = 'expanded', error = '' })
  return answered({ job })
end

local plan = plan_of(job)
local siblings = jobs_of(plan)
if #siblings + count > MAX_JOBS then
  refuse('Conflict', 'A plan has at most ' .. MAX_JOBS .. ' jobs.', { code = 'too_many_jobs' })
end
local steps, ids, exists = {}, {}, {}
for _, sibling in ipairs(siblings) do exists[sibling.step_id] = true end
for i = 1, count do
  local fields = take_fields()
  if exists[fields.step_id] then
    refuse('Conflict', 'A child of an expanded step has the id of a step that exists.', { code = 'step_exists' })
  end
  exists[fields.step_id] = true
  fields.position, fields.plan_id, fields.actor_id = job.position + i, job.plan_id, job.actor_id
  fields.workspace_id, fields.request_id = workspace, job.request_id
  fields.parent_step_id, fields.dependents = job.step_id, append(fields.dependents or '', id)
  create('job', K.job:format(workspace, fields.job_id), fields)
  steps[i], ids[i] = fields.step_id, fields.job_id
end

end_attempt(job, 'expanded')
job.expanded, job.waiting_on, job.depends_on, job.needs = '1', count, table.concat(steps, ' '), table.concat(ids, ' ')
give_up_attempt(job)
move(job, count > 0 and 'waiting' or 'pending', 'job.expanded', nil, { children = count })
if count > 0 then
  plan.child_ids = append(plan.child_ids, table.concat(ids, ' '))
  plan.open_jobs = plan.open_jobs + count
end
return answered({ job })
