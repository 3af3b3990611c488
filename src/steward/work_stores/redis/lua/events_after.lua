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
local events = redis.call('HGET', K.plan:format(workspace, plan_id), 'events')
  or redis.call('HGET', K.job:format(workspace, namesake(plan_id, 'job_')), 'events')
each_number(events or '', tonumber(answer[1]), function(number)
  if number > after then
    local at = whole(number) .. '-0'
    found[#found + 1] = redis.call('XRANGE', key, at, at)[1]
  end
  return #found >= limit
end)
answer[3] = found
return answer
