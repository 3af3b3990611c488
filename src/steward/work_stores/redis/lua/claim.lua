-- claim: take ready jobs, a fair share from each workspace that has some; 'known' where a cap, a schedule or an error matters.
-- uses: plain
--
-- `claim_fully` takes the same arguments and does the rest. A job's parameters are among its fields here.

if old_copies() then return KNOWN end
local worker, claim_id, limit, lease_until = take(), take(), tonumber(take()), take()
local REMEMBERED_MS = 60000
local claimed_key = K.claimed:format(worker)
take() -- until when starts count
local has_caps = {}
for _ = 1, tonumber(take()) do
  has_caps[take()] = true
  local rules = tonumber(take())
  argument = argument + 3 * rules
end

local before = redis.call('GET', claimed_key)
if before and before:match('^%S+') == claim_id then return KNOWN end
if redis.call('ZRANGEBYSCORE', K.due, '-inf', now, 'LIMIT', 0, 1)[1] then return KNOWN end

local waiting, left, share, served = {}, {}, {}, {}
for _, workspace in ipairs(redis.call('LRANGE', K.ring, 0, limit - 1)) do
  local ready = redis.call('ZCARD', K.jobs_in:format(workspace, 'pending'))
  if ready == 0 or left[workspace] or has_caps[workspace] or home(workspace).capped then return KNOWN end
  waiting[#waiting + 1], left[workspace] = workspace, ready
end
local head = 1
for _ = 1, limit do -- one by one round the line; who still has some goes to its end
  local workspace = waiting[head]
  if not workspace then break end
  head = head + 1
  share[workspace], left[workspace] = (share[workspace] or 0) + 1, left[workspace] - 1
  local line = left[workspace] > 0 and waiting or served
  line[#line + 1] = workspace
end

local taken, claimed, ready = {}, { claim_id }, {}
local function change(job, name, value) -- nil: it goes. Whoever reads names and values in turn keeps the last
  local flat = job[FLAT]
  local n = #flat
  job[name], flat[n + 1], flat[n + 2] = value, name, value or ''
end

local function take_job(workspace, id)
  local key = K.job:format(workspace, id)
  local job = read_job(key)
  if not job or job.status ~= 'pending' then return false end
  local of, action, started = home(workspace), job.action, job.started_at or now_text
  local fence, attempts = whole((job.fence or 0) + 1), whole((job.attempts or 0) + 1)
  if job.not_before then
    later('HDEL', key, 'not_before')
    change(job, 'not_before')
  end
  change(job, 'fence', fence)
  change(job, 'attempts', attempts)
  change(job, 'status', 'running')
  change(job, 'started_at', started)
  change(job, 'worker_id', worker)
  change(job, 'lease_until', lease_until)
  later('HSET', key, 'fence', fence, 'attempts', attempts, 'status', 'running', 'worker_id', worker,
    'claimed_at', now_text, 'lease_until', lease_until, 'started_at', started)
  lease(workspace, id, lease_until)
  move_to(of, 'running', id, 'pending')
  count_running(of, action, 1)
  local of_action = group(group(ready, workspace), action)
  of_action[#of_action + 1] = id
  tell_of(job, 'job.started')
  taken[#taken + 1] = job
  claimed[#claimed + 1] = workspace .. ' ' .. id
  return true
end

local order = {}
for i = head, #waiting do order[#order + 1] = waiting[i] end
for _, workspace in ipairs(served) do order[#order + 1] = workspace end
for _, workspace in ipairs(order) do
  for _, id in ipairs(redis.call('ZRANGE', K.jobs_in:format(workspace, 'pending'), 0, (share[workspace] or 0) - 1)) do
    if not take_job(workspace, id) then return KNOWN end
  end
end
local emptied = {} -- keys of the ready jobs of an action of which none is left
for workspace, actions in pairs(ready) do
  for action, ids in pairs(actions) do
    local key = K.ready:format(workspace, action)
    if redis.call('ZCARD', key) <= #ids then emptied[key] = true end
  end
  redis.call('ZCARD', K.ready_actions:format(workspace))
end

local function inputs_of(job) -- step, sealed result and labels of each step that it needs
  local list, steps = {}, {}
  if not job.needs then return list end
  for step in (job.depends_on or ''):gmatch('%S+') do steps[#steps + 1] = step end
  for id in job.needs:gmatch('%S+') do
    local result = redis.call('HMGET', K.job:format(job.workspace_id, id), 'result_sealed', 'result_labels')
    local n = #list
    list[n + 1], list[n + 2], list[n + 3] = steps[n / 3 + 1], result[1] or '', result[2] or ''
  end
  return list
end

local answer = { '' }
for i, job in ipairs(taken) do
  answer[i + 1] = { { '', job[FLAT] }, inputs_of(job) }
end
if #taken > 0 then
  check_plain()
  write_plain()
  for workspace, actions in pairs(ready) do
    for action, ids in pairs(actions) do
      local key = K.ready:format(workspace, action)
      in_pieces('ZREM', key, ids)
      if emptied[key] then redis.call('ZREM', K.ready_actions:format(workspace), action) end
    end
  end
  for _, workspace in ipairs(order) do
    if share[workspace] then
      redis.call('LREM', K.ring, 1, workspace)
      if left[workspace] > 0 then redis.call('RPUSH', K.ring, workspace) end
    end
  end
  redis.call('SET', claimed_key, table.concat(claimed, ' '), 'PX', REMEMBERED_MS)
end
for _, key in ipairs({ K.due, K.leases }) do -- when something becomes ready by itself
  local at = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
  if at and (answer[1] == '' or at < tonumber(answer[1])) then answer[1] = whole(at) end
end
return answer
