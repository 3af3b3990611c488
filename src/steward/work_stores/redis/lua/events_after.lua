-- events_after: a workspace's events after one of them, perhaps of one plan; with where the log begins and ends.
-- uses: rows flush

local workspace, after, limit, plan_id = take(), tonumber(take()), tonumber(take()), take()
local home = redis.call('HMGET', K.workspace:format(workspace), 'event_sequence', 'event_floor')
local answer = { home[1] or '0', home[2] or '0' }
local key = K.events:format(workspace)
if not after then
  return answer
elseif plan_id == '' then
  answer[3] = redis.call('XRANGE', key, whole(after + 1) .. '-0', '+', 'COUNT', limit)
  return answer
end
local found = {}
for _, number in ipairs(words(redis.call('HGET', K.plan:format(workspace, plan_id), 'events') or '')) do
  if #found >= limit then break end
  if tonumber(number) > after then
    found[#found + 1] = redis.call('XRANGE', key, number .. '-0', number .. '-0')[1]
  end
end
answer[3] = found
return answer
