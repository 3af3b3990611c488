-- settle: end first attempts that completed, on whose jobs no other hangs; 'known' if one of them is not that plain.
-- uses: plain
--
-- What is answered of a job is what whoever asks cannot know from its claim and from what it says itself. `settle_fully` takes
-- the same arguments, answers whole records, and does the rest.

if take() == '1' or old_copies() then return KNOWN end
local answers, seen, order, of_plan = {}, {}, {}, {}

local OVER = { 'worker_id', 'lease_until', 'claimed_at', 'dispatched_at', 'spent', 'error', 'params_sealed', 'not_before' }

local function ended(job, key, result, sealed, labels) -- the changes of its record
  local history = '[{"number":' .. job.attempts .. ',"fence":' .. job.fence .. ',"worker_id":'
    .. cjson.encode(job.worker_id or '') .. ',"outcome":"completed","started_at":' .. (job.claimed_at or now_text)
    .. ',"finished_at":' .. now_text .. ',"dispatched_at":' .. (job.dispatched_at or 'null') .. ',"error":null}]'
  local set = { 'HSET', key, 'status', 'completed', 'finished_at', now_text, 'history', history, 'result', result }
  if sealed ~= '' then set[#set + 1], set[#set + 2] = 'result_sealed', sealed end
  if labels ~= '' then set[#set + 1], set[#set + 2] = 'result_labels', labels end
  commands[#commands + 1] = set
  local gone = { 'HDEL', key }
  for _, name in ipairs(OVER) do
    if job[name] then gone[#gone + 1] = name end
  end
  commands[#commands + 1] = gone
  job.status, job.history = 'completed', history
end

for i = 1, tonumber(take()) do
  local workspace, id, fence = take(), take(), take()
  local word, result, sealed, labels = take(), take(), take(), take()
  argument = argument + 4 -- error, when again, whether in doubt, why: of other ends
  local key = K.job:format(workspace, id)
  local job = word == 'completed' and not seen[key] and read_job(key)
  if not job or job.fence ~= fence or job.status ~= 'running' then return KNOWN end
  if job.cancel_requested or job.dependents or job.history or job.expanded then return KNOWN end
  if job.held_for or job.not_before or home(workspace).capped then return KNOWN end
  seen[key] = true
  local plan_key = K.plan:format(workspace, job.plan)
  if not of_plan[plan_key] then
    order[#order + 1] = plan_key
    of_plan[plan_key] = { workspace = workspace, id = job.plan, ended = 0 }
  end
  of_plan[plan_key].ended = of_plan[plan_key].ended + 1
  local duration = job.started_at and ',"duration_ms":' .. whole(now - job.started_at) or ''
  ended(job, key, result, sealed, labels)
  lease(workspace, id)
  move_to(home(workspace), 'completed', id, 'running')
  count_running(home(workspace), job.action, -1)
  tell_of(job, 'job.completed', duration .. ',"latency_ms":' .. whole(now - job.enqueued_at))
  answers[i] = (job.first_dispatched_at or '') .. ' ' .. now_text .. ' ' .. job.history
end

local function close(plan, key, members) -- its last job has ended; results that nobody can need again are dropped
  local worst = 'completed'
  local rank = { completed = 1, cancelled = 2, failed = 3 }
  local keys = {}
  for id in members:gmatch('%S+') do
    local member = K.job:format(plan.workspace, id)
    local status = not seen[member] and redis.call('HGET', member, 'status')
    if status and rank[status] and rank[status] > rank[worst] then worst = status end
    keys[#keys + 1] = member
  end
  later('HSET', key, 'status', worst, 'finished_at', now_text)
  if worst ~= 'failed' then
    later('HDEL', key, 'body_sealed')
    for _, member in ipairs(keys) do later('HDEL', member, 'result_sealed') end
  end
  for _, name in ipairs({ 'running', worst }) do redis.call('ZCARD', K.plans_in:format(plan.workspace, name)) end
  redis.call('ZCARD', K.ended)
  later('ZREM', K.plans_in:format(plan.workspace, 'running'), plan.id)
  later('ZADD', K.plans_in:format(plan.workspace, worst), 0, plan.id)
  later('ZADD', K.ended, now_text, plan.workspace .. ' ' .. plan.id)
  tell(plan.workspace, plan.id, '', 'plan.' .. worst, '{"status":"' .. worst .. '"}')
end

for _, key in ipairs(order) do
  local plan = of_plan[key]
  local status, open, ids, children = unpack(redis.call('HMGET', key, 'status', 'open_jobs', 'job_ids', 'child_ids'))
  local left = tonumber(open or '0') - plan.ended
  if status ~= 'running' or left < 0 then return KNOWN end
  later('HSET', key, 'open_jobs', whole(left))
  if left == 0 then close(plan, key, (ids or '') .. ' ' .. (children or '')) end
end
check_plain()
write_plain()
return answers
