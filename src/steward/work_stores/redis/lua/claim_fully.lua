-- claim_fully: take ready jobs, a fair share from each workspace that has some. The same claim sent again answers the same.
-- uses: rows flush transitions caps

local worker, claim_id, limit, lease_until, claimed_at = take(), take(), tonumber(take()), take(), take()
local counts_until = tonumber(take())
local DUE_AT_ONCE, REMEMBERED_MS = 1000, 60000
local claimed_key = K.claimed:format(worker)
local STARTS_KEPT_MS, AT_A_GLANCE = 180000, 64
local taken = {}
local capped = {} -- workspaces of which a cap keeps some job, and when that changes by itself, or true
local rules_of = {}
for _ = 1, tonumber(take()) do
  local workspace, rules = take(), {}
  for i = 1, tonumber(take()) do rules[i] = { pattern = take(), kind = take(), limit = tonumber(take()) } end
  rules_of[workspace] = rules
end

local function claimed_before() -- whether this claim was made already; then `taken` holds what it took
  local known = redis.call('GET', claimed_key)
  if not known then return false end
  local list = words(known)
  if list[1] ~= claim_id then return false end
  for i = 2, #list, 2 do
    local job = load_job(list[i], list[i + 1])
    if job and job.status == 'running' and job.worker_id == worker then taken[#taken + 1] = job end
  end
  return true
end

local function promote_due() -- some of every workspace, so that one's flood that falls due hides nobody's single job
  local workspaces = redis.call('ZRANGEBYSCORE', K.due, '-inf', now, 'LIMIT', 0, 100)
  local share = math.ceil(DUE_AT_ONCE / math.max(#workspaces, 1))
  for _, workspace in ipairs(workspaces) do
    local key = K.scheduled:format(workspace)
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, share)) do
      local job = load_job(workspace, id)
      if job and job.status == 'scheduled' then move(job, 'pending', 'job.released') else zrem(key, id) end
    end
    due[workspace] = true
  end
  expect(K.due, 'zset')
  flush()
end

local function stand_in_line(places) -- workspaces with ready jobs, as many as there are places, and how many jobs each has
  local line, left, first = {}, {}, 0
  while true do
    local some = redis.call('LRANGE', K.ring, first, first + AT_A_GLANCE - 1)
    for _, workspace in ipairs(some) do
      if #line >= places then return line, left end
      local ready = depth_of(workspace)
      if ready == 0 then
        depths[workspace] = 0 -- it stands there in error: flush takes it out
      elseif not capped[workspace] then
        line[#line + 1], left[workspace] = workspace, ready
      end
    end
    if #some < AT_A_GLANCE then return line, left end
    first = first + AT_A_GLANCE
  end
end

local function deal(places) -- one by one round the line; the shares, in the order in which the next round begins
  local waiting, left = stand_in_line(places)
  local served_out, share, head = {}, {}, 1
  for _ = 1, places do
    local workspace = waiting[head]
    if not workspace then break end
    head = head + 1
    share[workspace], left[workspace] = (share[workspace] or 0) + 1, left[workspace] - 1
    local line = left[workspace] > 0 and waiting or served_out
    line[#line + 1] = workspace
  end
  local order = {}
  for i = head, #waiting do order[#order + 1] = waiting[i] end
  for _, workspace in ipairs(served_out) do order[#order + 1] = workspace end
  return order, share
end

local function keep_flag(workspace) -- whether an end of one of its jobs has to wake somebody
  local home = K.workspace:format(workspace)
  local was = redis.call('HGET', home, 'capped')
  if capped[workspace] and not was then later('hash', home, 'HSET', home, 'capped', '1') end
  if was and not capped[workspace] then later('hash', home, 'HDEL', home, 'capped') end
end

local function capped_jobs(workspace, share)
  local ids, kept, upto, started, gone = within_caps(workspace, share, rules_of[workspace], counts_until)
  if kept then capped[workspace] = upto or true end
  local key = K.starts:format(workspace)
  for _, start in ipairs(gone) do later('hash', key, 'HDEL', key, start) end
  local counts = false
  for _, rule in ipairs(rules_of[workspace]) do counts = counts or rule.kind == 'starting' end
  for action, number in pairs(counts and started or {}) do
    later('hash', key, 'HINCRBY', key, whole(counts_until) .. ' ' .. action, number)
    later('hash', key, 'PEXPIRE', key, STARTS_KEPT_MS)
  end
  return ids
end

local function count_of(text) -- nil: it is no number
  return text == '' and 0 or number_of(text)
end

local function take_jobs(workspace, share) -- a workspace's oldest ready jobs that its caps allow
  local key = K.jobs_in:format(workspace, 'pending')
  local ids = rules_of[workspace] and capped_jobs(workspace, share) or redis.call('ZRANGE', key, 0, share - 1)
  for _, id in ipairs(ids) do
    local job = load_job(workspace, id)
    local fence, attempts = count_of(job and job.fence), count_of(job and job.attempts)
    if job and job.status == 'pending' and not (fence and attempts) then
      set_aside(job)
    elseif job and job.status == 'pending' then
      job.fence, job.attempts = fence + 1, attempts + 1
      move(job, 'running', 'job.started')
      job.worker_id, job.claimed_at, job.lease_until, job.not_before = worker, claimed_at, lease_until, ''
      if job.started_at == '' then job.started_at = now_text end
      taken[#taken + 1] = job
    else
      zrem(key, id) -- it stands there in error
      for _, action in ipairs(redis.call('ZRANGE', K.ready_actions:format(workspace), 0, -1)) do
        zrem(K.ready:format(workspace, action), id)
      end
      depths[workspace] = (depths[workspace] or 0) - 1
    end
  end
  turns[#turns + 1] = workspace
  keep_flag(workspace)
end

local function inputs_of(job) -- step, sealed result and labels of each step that it needs
  local list = {}
  local steps = words(job.depends_on)
  for i, id in ipairs(words(job.needs)) do
    local result = redis.pcall('HMGET', K.job:format(job.workspace_id, id), 'result_sealed', 'result_labels')
    list[#list + 1], list[#list + 2], list[#list + 3] = steps[i], result[1] or '', result[2] or ''
  end
  return list
end

if not claimed_before() then
  promote_due()
  while #taken < limit do
    local order, share = deal(limit - #taken)
    if #order == 0 then break end
    for _, workspace in ipairs(order) do take_jobs(workspace, share[workspace]) end
    flush()
  end
  if #taken > 0 then
    local list = { claim_id }
    for _, job in ipairs(taken) do list[#list + 1] = job.workspace_id .. ' ' .. job.job_id end
    later('string', claimed_key, 'SET', claimed_key, table.concat(list, ' '), 'PX', REMEMBERED_MS)
  end
  flush()
end

local next_at -- when something becomes ready by itself
local function happens(at)
  if at and (not next_at or at < next_at) then next_at = at end
end
for _, key in ipairs({ K.due, K.leases }) do
  happens(tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]))
end
for _, upto in pairs(capped) do
  if upto ~= true then happens(upto) end
end
local answer = { next_at and whole(next_at) or '' }
for _, job in ipairs(taken) do answer[#answer + 1] = { shown(job, JOB_FIELDS), inputs_of(job), job.params_sealed } end
return answer
