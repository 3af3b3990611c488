-- list_approvals: a page of a workspace's approvals of one status, newest first.
-- uses: rows flush older

local workspace, after, limit, status = take(), take(), tonumber(take()), take()
local answer = {}
each_older({ K.approvals_in:format(workspace, status) }, after, limit, function(id)
  local values = redis.call('HMGET', K.approval:format(workspace, id), unpack(APPROVAL_FIELDS))
  if values[1] then answer[#answer + 1] = values end
  return #answer >= limit
end)
return answer
