-- mend_queue: count a workspace's ready and running jobs anew, and put it into the line, and among those due, or out.
-- uses: rows flush

local workspace = take()
local running, ready = K.running:format(workspace), K.ready_actions:format(workspace)
local pending = K.jobs_in:format(workspace, 'pending')

later('hash', running, 'DEL', running)
local counts = {}
for _, id in ipairs(redis.call('ZRANGE', K.jobs_in:format(workspace, 'running'), 0, -1)) do
  local action = redis.call('HGET', K.job:format(workspace, id), 'action_id')
  if action then counts[action] = (counts[action] or 0) + 1 end
end
for action, number in pairs(counts) do later('hash', running, 'HSET', running, action, number) end

later('zset', ready, 'DEL', ready)
for _ = 1, tonumber(take()) do
  local action = take()
  local key = K.ready:format(workspace, action)
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local job = redis.call('HMGET', K.job:format(workspace, id), 'status', 'action_id')
    if job[1] ~= 'pending' or job[2] ~= action then
      zrem(key, id)
    else
      later('zset', ready, 'ZADD', ready, 0, action)
    end
  end
end

local in_line = #redis.call('LPOS', K.ring, workspace, 'COUNT', 0)
local wanted = redis.call('ZCARD', pending) > 0 and 1 or 0
if in_line ~= wanted then
  later('list', K.ring, 'LREM', K.ring, 0, workspace)
  if wanted == 1 then later('list', K.ring, 'RPUSH', K.ring, workspace) end
end
due[workspace] = true
expect(K.due, 'zset')
flush()
