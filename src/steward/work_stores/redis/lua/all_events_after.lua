-- all_events_after: every workspace's events after a position, in the order in which they were committed.
-- uses: rows flush

local after, limit = tonumber(take()), tonumber(take())
local answer = {}
for _, entry in ipairs(redis.call('XRANGE', K.all_events, whole(after + 1) .. '-0', '+', 'COUNT', limit)) do
  local position, workspace, last, events = tonumber(entry[1]:match('%d+')), entry[2][2], entry[2][4], entry[2][6]
  local first = last - math.min(tonumber(events), position - after) + 1
  local key, room = K.events:format(workspace), limit - #answer
  for _, event in ipairs(redis.call('XRANGE', key, whole(first) .. '-0', last .. '-0', 'COUNT', room)) do
    answer[#answer + 1] = { workspace, event, position - (last - tonumber(event[1]:match('%d+'))) }
  end
  if #answer >= limit then break end
end
return answer
