-- mend: put some jobs, plans or approvals of a workspace where their hashes say they belong, and nowhere else; or only look.
-- uses: rows flush differences

local kind, workspace = take(), take()
local STATUSES = { job = JOB_STATUSES, plan = PLAN_STATUSES, approval = APPROVAL_STATUSES }
local WHOLE = { job = 'jobs', plan = 'plans' }

local function keep_old(id, job) -- in the lists of ids of the older software, also while only its old record is there
  local flat = not job and phase() ~= 'new-only' and old_record(workspace, id)
  local status, at = job and job.status, job and tonumber(job.enqueued_at)
  if flat then
    local old = {}
    for i = 1, #flat, 2 do old[flat[i]] = flat[i + 1] end
    status, at = FROM_OLD[old.status] or 'unknown', tonumber(redis.call('ZSCORE', K.old_jobs:format(workspace), id) or '0')
  end
  keep('old_jobs', K.old_jobs:format(workspace), id, status and (at or 0))
  for _, other in ipairs(JOB_STATUSES) do
    keep('old_jobs_in', K.old_jobs_in:format(workspace, other), id, other == status and (at or 0))
  end
end

local function time(text) return text ~= '' and text or nil end

local function mend_job(id, job)
  local status = job and job.status
  keep('leases', K.leases, workspace .. ' ' .. id, status == 'running' and time(job.lease_until))
  keep('scheduled', K.scheduled:format(workspace), id, status == 'scheduled' and time(job.not_before))
  if job then keep('ready', K.ready:format(workspace, job.action_id), id, status == 'pending' and 0) end
end

local function mend_plan(id, plan)
  local expires, ended, stale = '', '', ''
  if plan then
    local open = 0
    for _, job in ipairs(jobs_of(plan)) do open = open + (FINAL[job.status] and 0 or 1) end
    if plan.job_ids ~= '' and tonumber(plan.open_jobs) ~= open and differs('open_jobs') then plan.open_jobs = open end
    expires, ended, stale = plan_times(plan)
  end
  local home = redis.call('HGET', K.home, id) or nil
  if not is_lean() and home ~= (plan and workspace or nil) and differs('home') then
    if plan then later('hash', K.home, 'HSET', K.home, id, workspace) else later('hash', K.home, 'HDEL', K.home, id) end
  end
  local member = workspace .. ' ' .. id
  keep('drafts', K.drafts, member, time(expires))
  keep('ended', K.ended, member, time(ended))
  keep('stale', K.stale, member, time(stale))
end

local function mend_approval(id, approval)
  keep('undecided', K.undecided, workspace .. ' ' .. id, approval and approval.status == 'pending' and time(approval.expires_at))
end

local MEND = { job = mend_job, plan = mend_plan, approval = mend_approval }

for _ = 1, tonumber(take()) do
  local id = take()
  local row
  if kind == 'plan' then row = load_plan(workspace, id) else row = load(kind, K[kind]:format(workspace, id)) end
  local old = kind == 'job' and is_old_id(id)
  if old then keep_old(id, row) end
  if WHOLE[kind] and not old and not is_lean() then keep(WHOLE[kind], K[WHOLE[kind]]:format(workspace), id, row and 0) end
  for _, status in ipairs(STATUSES[kind]) do
    keep(kind .. 's_in', K[kind .. 's_in']:format(workspace, status), id, row and row.status == status and 0)
  end
  MEND[kind](id, row)
end
flush()
return differences()
