-- list_jobs_fully: a page of a workspace's jobs, newest first, perhaps of one status or one plan; and how many are ready.
-- uses: rows flush older

local workspace, after, limit, status, plan_id = take(), take(), tonumber(take()), take(), take()
local answer, places = { depth_of(workspace), phase(), '' }, {}
local HEAD = #answer

local function listed(id) -- so much of a job as a list shows, and its status; or all of one without a spec or with an old record
  local values = phase() == 'new-only' and redis.pcall('HMGET', K.job:format(workspace, id), unpack(LISTED_FIELDS)) or {}
  if values[1] and values[2] then return values, values[1] end
  local found = record(workspace, id)
  return found, found and (type(found[1]) == 'table' and found[1] or found)[STATUS_FIELD]
end

local function add(id, place)
  local found, is = listed(id)
  if found and (status == '' or not is or is == status) then
    answer[#answer + 1] = found
    places[#places + 1] = place or id
  end
  return #places > limit - 1
end

local function each_old(key, step, visit) -- ids of the older software, by when they were enqueued; newest first
  local at, last = after:match('^(%S+) (%S+)$')
  local first = 0
  if last and redis.call('ZSCORE', key, last) == at then
    first = redis.call('ZREVRANK', key, last) + 1
  elseif last then
    first = redis.call('ZCOUNT', key, '(' .. at, '+inf')
  end
  while true do
    local flat = redis.call('ZREVRANGE', key, first, first + step - 1, 'WITHSCORES')
    for i = 1, #flat, 2 do
      local id, score = flat[i], flat[i + 1]
      local seen = last and score == at and id >= last
      if not seen and visit(id, score .. ' ' .. id) then return end
    end
    if #flat < 2 * step then return end
    first = first + step
  end
end

if plan_id ~= '' then
  local plan = redis.call('HMGET', K.plan:format(workspace, plan_id), 'job_ids', 'child_ids')
  local ids = words((plan[1] or '') .. ' ' .. (plan[2] or ''))
  local only = namesake(plan_id, 'job_')
  if not plan[1] and redis.call('HEXISTS', K.job:format(workspace, only), 'carried') == 1 then ids = { only } end
  table.sort(ids, function(one, two) return one > two end)
  for _, id in ipairs(ids) do
    if (after == '' or id < after) and add(id) then break end
  end
else
  local every, old = {}, K.old_jobs:format(workspace)
  for i, any in ipairs(status == '' and JOB_STATUSES or { status }) do every[i] = K.jobs_in:format(workspace, any) end
  if status ~= '' then old = K.old_jobs_in:format(workspace, status) end
  if not after:find(' ') then
    each_older(every, after, limit, function(id) return id < 'job_' or (not is_old_id(id) and add(id)) end)
  end
  if #places < limit then each_old(old, limit, add) end
end
answer[HEAD] = places[limit - 1] or ''
return answer
