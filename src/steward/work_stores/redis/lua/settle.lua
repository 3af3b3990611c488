-- settle: end first attempts that completed, on whose jobs no other hangs; 'known' if one of them is not that plain.
-- uses: plain
--
-- What is answered of a job is what whoever asks cannot know from its claim and from what it says itself. `settle_fully` takes
-- other ends, too, answers whole records, and does the rest.

if old_copies() then return KNOWN end
local GONE = { 'worker_id', 'lease_until', 'claimed_at', 'dispatched_at', 'params_sealed', 'spent' } -- with the end of a job
local GONE_WITH_PLAN = { 'body_armoured', unpack(GONE) } -- and of one that carries its plan
local answers, sets, seen, order, of_plan = {}, {}, {}, {}, {} -- `seen`: by key of a job, the command that ends it

local workers = {} -- by their ids: as JSON
local function history_of(attempts, fence, worker, claimed_at, dispatched_at)
  local name = workers[worker]
  if not name then
    name = ',"worker_id":' .. cjson.encode(worker) .. ',"outcome":"completed","started_at":'
    workers[worker] = name
  end
  return '[{"number":' .. attempts .. ',"fence":' .. fence .. name .. claimed_at .. ',"finished_at":' .. now_text
    .. ',"dispatched_at":' .. dispatched_at .. ',"error":null}]'
end

local function plan_of(of, plan_id, id, namesake, events) -- that a job is of; nil: it does not run
  local key = K.plan:format(of.workspace, plan_id)
  local plan = of_plan[key]
  if not plan and namesake and events then
    plan = { home = of, id = plan_id, left = 1, ids = id, children = '', carrier = namesake }
    order[#order + 1], of_plan[key], plans[key] = key, plan, { key = namesake, text = events }
  elseif not plan then
    local read = redis.pcall('HMGET', key, 'status', 'open_jobs', 'job_ids', 'child_ids', 'events')
    if read[1] ~= 'running' or not number_of(read[2] or 0) then return end
    plan = { home = of, id = plan_id, left = tonumber(read[2] or '0'), ids = read[3] or '', children = read[4] or '' }
    order[#order + 1], of_plan[key], plans[key] = key, plan, { key = key, text = read[5] or '' }
  end
  return plan
end

for i = 1, tonumber(take()) do
  local workspace, id, fence = take(), take(), take()
  local result, sealed, labels = take(), take(), take()
  local key, of = K.job:format(workspace, id), home(workspace)
  if seen[key] or of.capped or not is_current(id) then return KNOWN end
  local read = redis.pcall('HMGET', key, 'spec', 'fence', 'status', 'attempts', 'worker_id', 'claimed_at', 'started_at',
    'dispatched_at', 'first_dispatched_at', 'cancel_requested', 'dependents', 'events')
  if not read[1] or read[2] ~= fence or read[3] ~= 'running' then return KNOWN end
  if read[10] or read[11] then return KNOWN end
  local numbers = (read[4] or '0') .. ' ' .. (read[6] or '0') .. ' ' .. (read[8] or '0') .. ' ' .. (read[9] or '0')
  if #numbers > 63 or not numbers:find('^%d+ %d+ %d+ %d+$') then return KNOWN end
  local plan_id, step, action, rest, namesake = specified(read[1], id, key)
  local plan = plan_id and plan_of(of, plan_id, id, namesake, read[12])
  if not plan then return KNOWN end
  plan.left = plan.left - 1
  local attempts, started = read[4] or '0', read[7]
  local history = history_of(attempts, fence, read[5] or '', read[6] or now_text, read[8] or 'null')
  local set = { 'HSET', key, 'status', 'completed', 'finished_at', now_text, 'history', history, 'result', result }
  if labels ~= '' then set[#set + 1], set[#set + 2] = 'result_labels', labels end
  if sealed ~= '' then set[#set + 1], set[#set + 2] = 'result_sealed', sealed end
  sets[i], seen[key], set.gone = set, set, plan.carrier and GONE_WITH_PLAN or GONE
  over[i] = workspace .. ' ' .. id
  of.moved[#of.moved + 1] = id
  count_running(of, action, -1)
  started = tonumber(started or '')
  local enqueued_at = tonumber(read[1]:match('^%S+ %S+ %S+ %S+ %S+ (%S+) ', rest) or '') or now
  local took = (started and ',"duration_ms":' .. whole(now - started) or '') .. ',"latency_ms":' .. whole(now - enqueued_at)
  tell(of, 'job.completed', plan_id, id, said(step, action, 'completed', attempts, took))
  answers[i] = (read[9] or '') .. ' ' .. now_text .. ' ' .. history
end

local closed = {} -- what is written of plans that end
local left, came, ended = {}, {}, {} -- by key of a list: ids that leave it, and those that come; members of the list of what has ended

local function is_list(lists, key) -- a table for a list whose type this shows, the first time that it is named
  if not lists[key] then redis.call('ZCARD', key) end
  return group(lists, key)
end

local function end_plan(plan, status) -- it leaves the list of those that run
  local gone = is_list(left, K.plans_in:format(plan.home.workspace, 'running'))
  local list = is_list(came, K.plans_in:format(plan.home.workspace, status))
  gone[#gone + 1], list[#list + 1], list[#list + 2] = plan.id, 0, plan.id
  ended[#ended + 1], ended[#ended + 2] = now_text, plan.home.workspace .. ' ' .. plan.id
end

local function close(plan, key) -- its last job has ended; results that nobody can need again are dropped, or not even kept
  local worst = 'completed'
  local rank = { completed = 1, cancelled = 2, failed = 3 }
  local keys = {}
  local workspace = plan.home.workspace
  for id in (plan.ids .. ' ' .. plan.children):gmatch('%S+') do
    local member = K.job:format(workspace, id)
    local status = not seen[member] and redis.pcall('HGET', member, 'status')
    if status and rank[status] and rank[status] > rank[worst] then worst = status end
    if seen[member] or type(status) == 'string' then keys[#keys + 1] = member end -- else it is no record
  end
  if worst ~= 'failed' then
    if not plan.carrier then closed[#closed + 1] = { 'HDEL', key, 'body_sealed', 'body_armoured' } end
    for _, member in ipairs(keys) do
      local set = seen[member]
      if not set then
        closed[#closed + 1] = { 'HDEL', member, 'result_sealed' }
      elseif set[#set - 1] == 'result_sealed' then
        set[#set], set[#set - 1] = nil, nil
      end
    end
  end
  end_plan(plan, worst)
  tell(plan.home, 'plan.' .. worst, plan.id, '', '{"status":"' .. worst .. '"}')
  return worst
end

for _, key in ipairs(order) do
  local plan, own = of_plan[key], plans[key]
  if plan.left < 0 then return KNOWN end
  if plan.carrier then
    close(plan, key)
  else
    own[1], own[2] = 'open_jobs', whole(plan.left)
    if plan.left == 0 then own[3], own[4], own[5], own[6] = 'status', close(plan, key), 'finished_at', now_text end
  end
end
if #ended > 0 then redis.call('ZCARD', K.ended) end
check_plain('running', 'completed')
for _, set in ipairs(sets) do
  redis.call(unpack(set))
  redis.call('HDEL', set[2], unpack(set.gone))
end
for _, command in ipairs(closed) do redis.call(unpack(command)) end
for key, ids in pairs(left) do in_pieces('ZREM', key, ids) end
for key, ids in pairs(came) do in_pieces('ZADD', key, ids) end
in_pieces('ZADD', K.ended, ended)
write_plain('running', 'completed')
return answers
