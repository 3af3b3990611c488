-- claim: take ready jobs, a fair share from each workspace that has some; 'known' where a cap, a schedule or an error matters.
-- uses: plain
--
-- `claim_fully` takes the same arguments and does the rest. What is answered of a job that says no more than how it began is one
-- text of three lines: its workspace, id, fence and attempts; its spec; its parameters. Of another are answered its fields as they
-- were, its parameters among them, and what a claim makes of its fence and its attempts. The rest of what changes is what whoever
-- asks has said, and when, which is answered once.

if old_copies() then return KNOWN end
local worker, claim_id, limit, lease_until, claimed_at = take(), take(), tonumber(take()), take(), take()
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

local claimed, ready = { claim_id }, {}
local told, inputs = {}, {} -- of each job that is taken: what is answered, and what it needs
local keys, fences, attempts, starts, waited = {}, {}, {}, {}, {}

local function take_job(of, id)
  local key = K.job:format(of.workspace, id)
  local record = redis.pcall('HGETALL', key) -- empty, if it is of another type
  local own, whose, status, spec, params, fence, tries, started, events, needs, steps
  local has_more = false -- than how it began, and what only its plan is about
  for i = 1, #record, 2 do
    local name, value = record[i], record[i + 1]
    if name == 'job_id' then own = value
    elseif name == 'status' then status = value
    elseif name == 'spec' then spec = value
    elseif name == 'workspace_id' then whose = value
    elseif name == 'params_sealed' then params = value
    elseif name == 'events' then events = value
    elseif name ~= 'carried' and name ~= 'body_armoured' and not name:find(':', 1, true) then -- with one it is a client's
      has_more = true
      if name == 'fence' then fence = value
      elseif name == 'attempts' then tries = value
      elseif name == 'started_at' then started = value
      elseif name == 'not_before' then waited[#waited + 1] = key
      elseif name == 'needs' then needs = value
      elseif name == 'depends_on' then steps = value end
    end
  end
  if not spec or own ~= id or whose ~= of.workspace or status ~= 'pending' or not is_current(id) then return false end
  local plan_id, step, action, _, namesake = specified(spec, id, key)
  if not plan_id then return false end
  local n = #keys + 1
  fence, tries = number_of(fence or 0), number_of(tries or 0)
  if not fence or not tries then return false end
  fence, tries = whole(fence + 1), whole(tries + 1)
  keys[n], fences[n], attempts[n], starts[n] = key, fence, tries, started or now_text
  if has_more then
    told[n] = { record, fence .. ' ' .. tries, {} }
    inputs[n] = needs and { of.workspace, needs, steps or '' }
  else
    told[n] = whose .. ' ' .. id .. ' ' .. fence .. ' ' .. tries .. '\n' .. spec .. '\n' .. (params or '')
  end
  local member = of.workspace .. ' ' .. id
  begun[2 * n - 1], begun[2 * n], claimed[n + 1] = lease_until, member, member
  of.moved[#of.moved + 1] = id
  count_running(of, action, 1)
  local of_action = group(group(ready, of.workspace), action)
  of_action[#of_action + 1] = id
  tell(of, 'job.started', plan_id, id, said(step, action, 'running', tries, ''), namesake, events)
  return true
end

local order = {}
for i = head, #waiting do order[#order + 1] = waiting[i] end
for _, workspace in ipairs(served) do order[#order + 1] = workspace end
for _, workspace in ipairs(order) do
  for _, id in ipairs(redis.call('ZRANGE', K.jobs_in:format(workspace, 'pending'), 0, (share[workspace] or 0) - 1)) do
    if not take_job(home(workspace), id) then return KNOWN end
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

local function inputs_of(workspace, needs, depends_on) -- step, sealed result and labels of each step that it needs
  local list, steps = {}, {}
  for step in depends_on:gmatch('%S+') do steps[#steps + 1] = step end
  for id in needs:gmatch('%S+') do
    local result = redis.pcall('HMGET', K.job:format(workspace, id), 'result_sealed', 'result_labels')
    local n = #list
    list[n + 1], list[n + 2], list[n + 3] = steps[n / 3 + 1], result[1] or '', result[2] or ''
  end
  return list
end

local answer = { '', now_text }
for i, own in ipairs(told) do
  if inputs[i] then own[3] = inputs_of(unpack(inputs[i])) end
  answer[i + 2] = own
end
if #keys > 0 then
  check_plain('pending', 'running')
  for _, key in ipairs(waited) do redis.call('HDEL', key, 'not_before') end
  for i, key in ipairs(keys) do
    redis.call('HSET', key, 'fence', fences[i], 'attempts', attempts[i], 'status', 'running', 'worker_id', worker,
      'claimed_at', claimed_at, 'lease_until', lease_until, 'started_at', starts[i])
  end
  write_plain('pending', 'running')
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
