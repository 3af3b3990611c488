-- list_jobs: a page of a workspace's jobs, newest first, perhaps of one status or one plan; and how many are ready.
-- uses: rows flush

local workspace, after, limit, status, plan_id = take(), take(), tonumber(take()), take(), take()
local answer = { depth_of(workspace) }

local function add(id)
  local values = redis.call('HMGET', K.job:format(workspace, id), unpack(JOB_FIELDS))
  if values[1] and (status == '' or values[STATUS_FIELD] == status) then answer[#answer + 1] = values end
  return #answer > limit
end

if plan_id ~= '' then
  local plan = redis.call('HMGET', K.plan:format(workspace, plan_id), 'job_ids', 'child_ids')
  local ids = words((plan[1] or '') .. ' ' .. (plan[2] or ''))
  table.sort(ids, function(one, two) return one > two end)
  for _, id in ipairs(ids) do
    if (after == '' or id < after) and add(id) then break end
  end
else
  local key = status == '' and K.jobs:format(workspace) or K.jobs_in:format(workspace, status)
  each_older(key, after, limit, add)
end
return answer
