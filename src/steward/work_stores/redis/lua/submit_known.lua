-- submit_known: a submission of which something may be there already, or that waits for somebody: whatever it takes.
-- uses: rows flush asking names

local workspace, actor = take(), take()
local names = take_names(tonumber(take()))
local plan_fields = take_fields()
local said, asked = take(), take_fields()
local jobs = tonumber(take())

local known = find_original(workspace, names, jobs)
if known then return known end

local plan = load_plan(workspace, plan_fields.plan_id)
if plan and plan.job_ids ~= '' then -- executed before
  keep_names(workspace, names, plan, words(plan.job_ids))
  flush()
  return original(plan)
elseif plan then
  local overdue = plan.expires_at ~= '' and tonumber(plan.expires_at) <= now
  if plan.status == 'expired' or (plan.status == 'draft' and overdue) then refuse('PlanExpired') end
  if plan.status ~= 'draft' then
    refuse('IllegalTransition', 'A plan that is ' .. plan.status .. ' cannot be executed.')
  end
  if plan.digest ~= plan_fields.digest then refuse('ApprovalMismatch') end
  plan.status, plan.expires_at = plan_fields.status, ''
else
  plan = create('plan', K.plan:format(workspace, plan_fields.plan_id), plan_fields)
end

local job_ids = {}
for i = 1, jobs do
  local fields = take_fields()
  job_ids[i] = fields.job_id
  create('job', K.job:format(workspace, fields.job_id), fields)
end
plan.job_ids, plan.open_jobs = table.concat(job_ids, ' '), jobs
keep_names(workspace, names, plan, job_ids)
note('plan.submitted', workspace, plan.plan_id, nil, actor, said)
if asked.approval_id then
  plan.approval_id = asked.approval_id
  ask(workspace, plan, asked, actor)
end
flush()
return { plan.plan_id, plan.status, plan.job_ids, '0', plan.approval_id, depth_of(workspace) }
