-- settle: end first attempts that completed, on whose jobs no other hangs; 'known' if one of them is not that plain.
-- uses: plain
--
-- What is answered of a job is what whoever asks cannot know from its claim and from what it says itself. `settle_fully` takes
-- the same arguments, answers whole records, and does the rest.

if take() == '1' or old_copies() then return KNOWN end
local answers, seen, order, of_plan = {}, {}, {}, {} -- `seen`: by key of a job, the command that ends it

local OVER = { 'worker_id', 'lease_until', 'claimed_at', 'dispatched_at', 'spent', 'error', 'params_sealed', 'not_before' }

local function ended(job, key, result, sealed, labels) -- the changes of its record
  local history = '[{"number":' .. job.attempts .. ',"fence":' .. job.fence .. ',"worker_id":'
    .. cjson.encode(job.worker_id or '') .. ',"outcome":"completed","started_at":' .. (job.claimed_at or now_text)
    .. ',"finished_at":' .. now_text .. ',"dispatched_at":' .. (job.dispatched_at or 'null') .. ',"error":null}]'
  local set = { 'HSET', key, 'status', 'completed', 'finished_at', now_text, 'history', history, 'result', result }
  if labels ~= '' then set[#set + 1], set[#set + 2] = 'result_labels', labels end
  if sealed ~= '' then set[#set + 1], set[#set + 2] = 'result_sealed', sealed end
  commands[#commands + 1], seen[key] = set, set
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
  local plan_key = K.plan:format(workspace, job.plan)
  local plan = of_plan[plan_key]
  if not plan then
    local read = redis.call('HMGET', plan_key, 'status', 'open_jobs', 'job_ids', 'child_ids', 'events')
    if read[1] ~= 'running' then return KNOWN end
    plan = { workspace = workspace, id = job.plan, left = tonumber(read[2] or '0'), ids = read[3] or '', children = read[4] or '' }
    order[#order + 1], of_plan[plan_key], plans[plan_key] = plan_key, plan, { text = read[5] or '' }
  end
  plan.left = plan.left - 1
  local duration = job.started_at and ',"duration_ms":' .. whole(now - job.started_at) or ''
  ended(job, key, result, sealed, labels)
  lease(workspace, id)
  move_to(home(workspace), 'completed', id, 'running')
  count_running(home(workspace), job.action, -1)
  tell_of(job, 'job.completed', duration .. ',"latency_ms":' .. whole(now - job.enqueued_at))
  answers[i] = (job.first_dispatched_at or '') .. ' ' .. now_text .. ' ' .. job.history
end

local function close(plan, key) -- its last job has ended; results that nobody can need again are dropped, or not even kept
  local worst = 'completed'
  local rank = { completed = 1, cancelled = 2, failed = 3 }
  local keys = {}
  for id in (plan.ids .. ' ' .. plan.children):gmatch('%S+') do
    local member = K.job:format(plan.workspace, id)
    local status = not seen[member] and redis.call('HGET', member, 'status')
    if status and rank[status] and rank[status] > rank[worst] then worst = status end
    keys[#keys + 1] = member
  end
  if worst ~= 'failed' then
    later('HDEL', key, 'body_sealed')
    for _, member in ipairs(keys) do
      local set = seen[member]
      if not set then
        later('HDEL', member, 'result_sealed')
      elseif set[#set - 1] == 'result_sealed' then
        set[#set], set[#set - 1] = nil, nil
      end
    end
  end
  for _, name in ipairs({ 'running', worst }) do redis.call('ZCARD', K.plans_in:format(plan.workspace, name)) end
  redis.call('ZCARD', K.ended)
  later('ZREM', K.plans_in:format(plan.workspace, 'running'), plan.id)
  later('ZADD', K.plans_in:format(plan.workspace, worst), 0, plan.id)
  later('ZADD', K.ended, now_text, plan.workspace .. ' ' .. plan.id)
  tell(plan.workspace, plan.id, '', 'plan.' .. worst, '{"status":"' .. worst .. '"}')
  return worst
end

for _, key in ipairs(order) do
  local plan, own = of_plan[key], plans[key]
  if plan.left < 0 then return KNOWN end
  own[1], own[2] = 'open_jobs', whole(plan.left)
  if plan.left == 0 then own[3], own[4], own[5], own[6] = 'status', close(plan, key), 'finished_at', now_text end
end
check_plain()
write_plain()
return answers
