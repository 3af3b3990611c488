-- list_jobs: the same as list_jobs_fully for a plain page, each job a line, its id and JSON; of any other it says nothing.
-- uses: older

local workspace, after, limit, status = take(), take(), tonumber(take()), take()
local known = redis.call('HGET', K.schema, 'phase')
if known and known ~= 'new-only' or redis.call('EXISTS', K.old_jobs:format(workspace)) == 1 then return {} end

local every, ids = {}, {}
for i, any in ipairs(status == '' and JOB_STATUSES or { status }) do every[i] = K.jobs_in:format(workspace, any) end
each_older(every, after, limit, function(id)
  ids[#ids + 1] = id
  return #ids >= limit
end)
local lines = {}
for i, id in ipairs(ids) do
  local values = redis.pcall('HMGET', K.job:format(workspace, id), unpack(LINE_FIELDS))
  if not values[1] or not values[2] or status ~= '' and values[1] ~= status then return {} end
  lines[i] = id .. ' ' .. cjson.encode(values)
end
return { redis.call('ZCARD', K.jobs_in:format(workspace, 'pending')), ids[limit - 1] or '', table.concat(lines, '\n') }
