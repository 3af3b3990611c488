-- all_events_after: every workspace's events after a position, in the order in which they were committed.
-- uses: rows flush

local after, limit = tonumber(take()), take()
local answer = {}
for _, entry in ipairs(redis.call('XRANGE', K.all_events, whole(after + 1) .. '-0', '+', 'COUNT', limit)) do
  local workspace, number = entry[2][2], entry[2][4]
  local event = redis.call('XRANGE', K.events:format(workspace), number .. '-0', number .. '-0')[1]
  if event then answer[#answer + 1] = { workspace, event } end
end
return answer
