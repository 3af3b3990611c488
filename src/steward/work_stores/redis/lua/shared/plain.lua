-- plain: for verbs that are written out. Many jobs, each read once, and written by workspace and plan.
--
-- A verb first reads whatever it will write, which shows each key's type, and declines what is not plain; `write_plain` is
-- the first that writes. What is done for each job is done with lists and without names where that is as plain: a busy
-- server spends half of its time in here.

local KNOWN = { 'known' } -- what is answered where somebody else has to do it

local homes, home_of = {}, {} -- workspaces with what changes in each
local plans = {} -- by key: where the numbers of a plan's events are kept, these numbers, and in a list what else is to be set of it
local told_events = {} -- each is a list: home, number, type, plan, job and what it says
local begun, over = {}, {} -- leases: times and members of those that begin or go on; members of those that end
local position

local function old_copies() -- whether each job has a copy that is to be written too
  local schema = redis.call('HMGET', K.schema, 'phase', 'filling')
  return (schema[1] and schema[1] ~= 'new-only') or schema[2]
end

local function is_current(id) -- whether it is one of ours, and not of the older software
  return #id == 28 and id:find('^job_%w+$')
end

local function specified(spec, id, key) -- plan, step, action, where the rest of it begins, and whose name the plan has; or nil
  local plan_id, step, action, rest = spec:match('^2 (%S+) (%S+) (%S+) ()') -- each letter that is looked at costs time
  if plan_id ~= '-' then return plan_id, step, action, rest end
  return 'plan_' .. id:sub(5), step, action, rest, key
end

local function home(workspace)
  local known = home_of[workspace]
  if not known then
    local key = K.workspace:format(workspace)
    local values = redis.call('HMGET', key, 'event_sequence', 'capped')
    known = {
      workspace = workspace, key = key, log = K.events:format(workspace), last = tonumber(values[1] or '0'),
      capped = values[2], moved = {}, running = {},
    }
    known.first = known.last
    homes[#homes + 1], home_of[workspace] = known, known
  end
  return known
end

local function span(from, to)
  return from == to and whole(from) or whole(from) .. '-' .. whole(to)
end

local function numbers_of(of, plan_id, carrier, text) -- of a plan's events: in its own hash, or those that its carrier says
  local key = K.plan:format(of.workspace, plan_id)
  local known = plans[key]
  if not known then
    if not carrier or not text then
      carrier, text = key, redis.pcall('HGET', key, 'events') or ''
      if type(text) == 'table' then error({ instead = KNOWN }) end -- it is no record
    end
    known = { key = carrier, text = text }
    plans[key] = known
  end
  return known
end

local function remember(of, plan_id, number, carrier, text) -- that the event with this number is the plan's
  if of.plan_id ~= plan_id then -- not the one that was spoken of last
    of.plan_id, of.plan = plan_id, numbers_of(of, plan_id, carrier, text)
  end
  local own = of.plan
  if own.to ~= number - 1 then
    if own.to then own.text = own.text == '' and span(own.from, own.to) or own.text .. ' ' .. span(own.from, own.to) end
    own.from = number
  end
  own.to = number
end

local function tell(of, event, plan_id, job_id, data, carrier, text) -- an event, whose number its plan remembers
  local number = of.last + 1
  of.last = number
  told_events[#told_events + 1] = { of, number, event, plan_id, job_id, data }
  remember(of, plan_id, number, carrier, text)
end

local as_json = {} -- words that were said before
local function said(step, action, status, attempts, more) -- what an event says of a job, as JSON
  local known = as_json[action]
  if not known then
    known = ',"action_id":' .. cjson.encode(action) .. ',"status":"' .. status .. '","attempt":'
    as_json[action] = known
  end
  return '{"step_id":' .. cjson.encode(step) .. known .. attempts .. more .. '}'
end

local function group(groups, name) -- a list in a table of lists
  local list = groups[name]
  if not list then
    list = {}
    groups[name] = list
  end
  return list
end

local function count_running(of, action, change)
  of.running[action] = (of.running[action] or 0) + change
end

local MOST = 500 -- arguments of one command
local function in_pieces(command, key, list)
  for first = 1, #list, MOST do
    redis.call(command, key, unpack(list, first, math.min(first + MOST - 1, #list)))
  end
end

local function check_plain(from, to) -- read what the derived structures are, so that none is of another type
  position = last_position()
  redis.call('XLEN', K.all_events)
  redis.call('ZCARD', K.leases)
  for _, of in ipairs(homes) do
    redis.call('XLEN', of.log)
    if #of.moved > 0 then
      redis.call('ZCARD', K.jobs_in:format(of.workspace, from))
      redis.call('ZCARD', K.jobs_in:format(of.workspace, to))
    end
    local key = K.running:format(of.workspace)
    for action, change in pairs(of.running) do
      of.running[action] = tonumber(redis.call('HGET', key, action) or '0') + change
    end
  end
end

local function move_all(of, from, to) -- jobs of a workspace from the index of one status to that of another
  local ids, come = of.moved, {}
  for i, id in ipairs(ids) do come[2 * i - 1], come[2 * i] = 0, id end
  in_pieces('ZREM', K.jobs_in:format(of.workspace, from), ids)
  in_pieces('ZADD', K.jobs_in:format(of.workspace, to), come)
end

local function write_plain(from, to) -- all but records of jobs; `from` and `to`: the statuses of those that moved
  for _, own in pairs(plans) do
    local text = span(own.from, own.to)
    redis.call('HSET', own.key, 'events', own.text == '' and text or own.text .. ' ' .. text, unpack(own))
  end
  in_pieces('ZREM', K.leases, over)
  in_pieces('ZADD', K.leases, begun)
  for _, of in ipairs(homes) do
    if #of.moved > 0 then move_all(of, from, to) end
    local key = K.running:format(of.workspace)
    for action, number in pairs(of.running) do
      if number > 0 then redis.call('HSET', key, action, number) else redis.call('HDEL', key, action) end
    end
    of.position = position - of.first -- with an event's number, its position
    position = position + of.last - of.first
    if of.last > of.first then redis.call('HSET', of.key, 'event_sequence', whole(of.last)) end
  end
  for _, event in ipairs(told_events) do
    local of, number = event[1], event[2]
    append_fields(of.workspace, of.log, whole(number), whole(of.position + number), event[3], '', event[4], event[5], event[6])
  end
  for _, of in ipairs(homes) do
    if of.last > of.first then append_run(of.workspace, whole(of.last), whole(of.position + of.last), of.last - of.first) end
  end
  if #told_events > 0 then redis.call('HSET', K.installation, 'position', whole(position)) end
end
