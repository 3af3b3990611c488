-- list_plans: a page of a workspace's plans, newest first, perhaps of one status; a draft past its time reads as expired.
-- uses: rows flush older

local workspace, after, limit, status = take(), take(), tonumber(take()), take()

local function is_overdue(id)
  local at = number_of(redis.call('HGET', K.plan:format(workspace, id), 'expires_at') or '')
  return at and at <= now
end

local ids = {}
local function gather(in_status, wanted) -- up to a page of a status, of those that are overdue or that are not
  local count = 0
  each_older({ K.plans_in:format(workspace, in_status) }, after, limit, function(id)
    if wanted == nil or (is_overdue(id) or false) == wanted then
      count = count + 1
      ids[#ids + 1] = id
    end
    return count >= limit
  end)
end

if status == '' then
  local every = {}
  for i, any in ipairs(PLAN_STATUSES) do every[i] = K.plans_in:format(workspace, any) end
  each_older(every, after, limit, function(id)
    ids[#ids + 1] = id
    return #ids >= limit
  end)
elseif status == 'expired' then
  gather('expired')
  gather('draft', true)
  gather('needs_input', true)
  table.sort(ids, function(one, two) return one > two end)
elseif UNUSED[status] then
  gather(status, false)
else
  gather(status)
end

local answer = {}
for i = 1, math.min(#ids, limit) do
  answer[i] = plan_values(workspace, ids[i]) or {}
end
return answer
