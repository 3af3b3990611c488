-- retry_job: give a failed job a fresh budget of attempts, and revive the steps that its failure cancelled.
-- uses: rows flush transitions

local workspace, id, actor, call = take(), take(), take(), take()
local job = load_job(workspace, id)
if not job then refuse('NotFound') end
if job.call == call then return shown(job, JOB_FIELDS) end
if job.status ~= 'failed' or job.params_sealed == '' then
  refuse('IllegalTransition', 'Only a failed job can be retried; this one is ' .. job.status .. '.')
end

local function all_may_come(other) -- whether no step that it needs is failed, cancelled or skipped
  for _, need in ipairs(words(other.needs)) do
    local needed = load_job(workspace, need)
    if not needed or UNMET[needed.status] then return false end
  end
  return true
end

job.call = call
job.max_attempts = job.attempts + job.attempt_budget
job.error, job.not_before = '', ''
move(job, 'pending', 'job.retried', actor)
local line = dependents(job)
local next_one = 1
while line[next_one] do
  local other = line[next_one]
  next_one = next_one + 1
  local revivable = other.status == 'cancelled' and other.cause ~= '' and other.params_sealed ~= ''
  if revivable and all_may_come(other) then
    other.reason, other.cause = '', ''
    move(other, 'waiting', 'job.retried', actor)
    for _, further in ipairs(dependents(other)) do line[#line + 1] = further end
  end
end
local plan = plan_of(job)
if plan.status == 'failed' then set_plan_status(plan, 'running', actor) end
flush()
return shown(job, JOB_FIELDS)
