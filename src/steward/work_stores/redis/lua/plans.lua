-- plans: some plans, of whatever workspace, for the installation's own readers.
-- uses: rows flush

local answer = {}
for _ = 1, tonumber(take()) do
  local id = take()
  local workspace = redis.call('HGET', K.home, id)
  local values = workspace and redis.call('HMGET', K.plan:format(workspace, id), unpack(PLAN_FIELDS))
  if values and values[1] then answer[#answer + 1] = values end
end
return answer
