-- plan_members: the jobs of a plan in step order, or its approvals, newest first.
-- uses: rows flush

local workspace, plan_id, kind = take(), take(), take()
local plan = load_plan(workspace, plan_id)
local answer = {}
if plan and kind == 'jobs' then
  answer[1] = phase()
  for i, job in ipairs(jobs_of(plan)) do
    answer[i + 1] = phase() == 'new-only' and shown(job, JOB_FIELDS) or record(workspace, job.job_id)
  end
elseif plan then
  local ids = words(plan.approval_ids)
  table.sort(ids, function(one, two) return one > two end)
  for i, id in ipairs(ids) do answer[i] = shown(load_approval(workspace, id), APPROVAL_FIELDS) end
end
return answer
