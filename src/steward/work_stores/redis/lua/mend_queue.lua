-- mend_queue: count a workspace's ready and running jobs anew, and put it into the line, and among those due, or out; or only look.
-- uses: rows flush differences

local workspace = take()
local running, ready = K.running:format(workspace), K.ready_actions:format(workspace)
local pending, scheduled = K.jobs_in:format(workspace, 'pending'), K.scheduled:format(workspace)

local function state_of(id) -- of a job: its action and its status
  local job = redis.pcall('HMGET', K.job:format(workspace, id), 'action_id', 'status', 'spec')
  return specify({ action_id = job[1] or nil }, job[3] or nil).action_id, job[2]
end

local counts = {}
for _, id in ipairs(redis.call('ZRANGE', K.jobs_in:format(workspace, 'running'), 0, -1)) do
  local action = state_of(id)
  if action then counts[action] = (counts[action] or 0) + 1 end
end
local counted = redis.call('HGETALL', running)
for position = 1, #counted, 2 do
  local action, number = counted[position], tonumber(counted[position + 1])
  if counts[action] == number then
    counts[action] = nil
  elseif not counts[action] and differs('running') then
    later('hash', running, 'HDEL', running, action)
  end
end
for action, number in pairs(counts) do
  if differs('running') then later('hash', running, 'HSET', running, action, number) end
end

local named = {}
for _ = 1, tonumber(take()) do
  local action = take()
  local key, any = K.ready:format(workspace, action), nil
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local own, status = state_of(id)
    if status ~= 'pending' or own ~= action then keep('ready', key, id, nil) else any = 0 end
  end
  named[action] = true
  keep('ready_actions', ready, action, any)
end
for _, action in ipairs(redis.call('ZRANGE', ready, 0, -1)) do
  if not named[action] then keep('ready_actions', ready, action, nil) end
end

local in_line = #redis.call('LPOS', K.ring, workspace, 'COUNT', 0)
local wanted = redis.call('ZCARD', pending) > 0 and 1 or 0
if in_line ~= wanted and differs('ring') then
  later('list', K.ring, 'LREM', K.ring, 0, workspace)
  if wanted == 1 then later('list', K.ring, 'RPUSH', K.ring, workspace) end
end
keep('due', K.due, workspace, redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2])
flush()
return differences()
