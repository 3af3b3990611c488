-- purge: delete plans that ended long enough ago, and drafts a day after they expired, with all that belongs to them.
-- uses: rows flush budgets transitions names

local ended_before, stale_before, limit, archived = take(), take(), take(), tonumber(take())
local spent_before = take()

local function erase(row)
  for name in pairs(stored(row)) do
    if type(name) == 'string' then row[name] = '' end
  end
end

local touched = {} -- entries of the order over all of which an event is gone

local function event_of(plan, number) -- where it stands in the order over all, if it is still there, and not another plan's
  local at = whole(number) .. '-0'
  local found = redis.call('XRANGE', K.events:format(plan.workspace_id), at, at)[1]
  if not found then return end
  local fields = found[2]
  local position
  for i = 1, #fields, 2 do
    if fields[i] == 'plan_id' and fields[i + 1] ~= plan.plan_id and fields[i + 1] ~= '' then return end
    if fields[i] == 'position' then position = fields[i + 1] end
  end
  return position
end

local function is_read(plan) -- whether the archiver has come past all its events
  if not archived then return true end
  local position = event_of(plan, number_of(plan.events:match('%d+$') or '') or 0)
  return not position or tonumber(position) <= archived
end

local function forget_events(plan)
  local workspace, last = plan.workspace_id, 0
  local key, home = K.events:format(workspace), K.workspace:format(workspace)
  local newest, floor = unpack(redis.call('HMGET', home, 'event_sequence', 'event_floor'))
  each_number(plan.events, tonumber(newest or '0'), function(number)
    local position = event_of(plan, number)
    if position then
      last = number
      later('stream', key, 'XDEL', key, whole(number) .. '-0')
      local entry = redis.call('XRANGE', K.all_events, position .. '-0', '+', 'COUNT', 1)[1]
      if entry then touched[entry[1]] = entry[2] end
    end
  end)
  if last > tonumber(floor or '0') then later('hash', home, 'HSET', home, 'event_floor', last) end
end

local function forget_entries() -- those whose last event has gone
  for id, fields in pairs(touched) do
    local key, last, events = K.events:format(fields[2]), tonumber(fields[4]), tonumber(fields[6])
    local left = redis.call('XRANGE', key, whole(last - events + 1) .. '-0', whole(last) .. '-0', 'COUNT', 1)
    if #left == 0 then redis.call('XDEL', K.all_events, id) end
  end
  touched = {}
end

local function forget_names(row)
  for name in pairs(stored(row)) do
    local namespace, key = tostring(name):match('^(%l+):(.*)$')
    if NAME_KEY[namespace] then
      local name_key = NAME_KEY[namespace]:format(row.workspace_id, key)
      later('string', name_key, 'DEL', name_key)
    end
  end
end

local function forget(plan)
  local workspace = plan.workspace_id
  forget_names(plan)
  forget_events(plan)
  for _, job in ipairs(jobs_of(plan)) do
    forget_names(job)
    erase(job)
  end
  for _, id in ipairs(words(plan.approval_ids)) do
    local approval = load_approval(workspace, id)
    if approval then erase(approval) end
  end
  erase(plan)
end

for _, member in ipairs(redis.call('ZRANGE', K.budgets, 0, -1)) do -- also where nothing is spent any more
  forget_spent(open_ledger(unpack(words(member))), spent_before)
end

local gone = 0
local function forget_until(key, before)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', before, 'LIMIT', 0, limit)) do
    local plan = load_plan(unpack(words(member)))
    if not plan then
      zrem(key, member) -- it stands there in error
    elseif is_read(plan) then
      gone = gone + 1
      forget(plan)
    end
  end
  if next(touched) then expect(K.all_events, 'stream') end
  flush()
  forget_entries()
end
forget_until(K.ended, ended_before)
forget_until(K.stale, stale_before)
return gone
