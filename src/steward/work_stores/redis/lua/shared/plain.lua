-- plain: for verbs that are written out. Many jobs, each read once and whole, and written by workspace and plan.
--
-- A verb first reads whatever it will write, which shows each key's type, and declines what is not plain; `write_plain` is
-- the first that writes. A job is a table of its fields, and under `FLAT` as it was read.

local FLAT = 1
local KNOWN = { 'known' } -- what is answered where somebody else has to do it

local homes, home_of = {}, {} -- workspaces with what changes in each
local plans = {} -- by key: the numbers of a plan's events, and in a list what else is to be set of it
local commands = {} -- what is written of records
local told_events, leases = {}, { add = {}, gone = {} }
local position

local function old_copies() -- whether each job has a copy that is to be written too
  local schema = redis.call('HMGET', K.schema, 'phase', 'filling')
  return (schema[1] and schema[1] ~= 'new-only') or schema[2]
end

local function read_job(key) -- nil: nothing that a written-out verb can deal with, such as a job without a spec
  local flat = redis.call('HGETALL', key)
  local job = { flat }
  for i = 1, #flat, 2 do job[flat[i]] = flat[i + 1] end
  local id, spec = job.job_id, job.spec
  if not spec or not id or #id ~= 28 or not id:find('^job_%w+$') then return end
  job.plan, job.step, job.action, job.retry, job.enqueued_at =
    spec:match('^2 (%S+) (%S+) (%S+) %S+ %S+ (%S+) %S+ %S+ (%S+) ')
  return job.plan and job
end

local function home(workspace)
  local known = home_of[workspace]
  if not known then
    local key = K.workspace:format(workspace)
    local values = redis.call('HMGET', key, 'event_sequence', 'capped')
    known = { workspace = workspace, key = key, last = tonumber(values[1] or '0'), capped = values[2], moved = {}, running = {} }
    known.first = known.last
    homes[#homes + 1], home_of[workspace] = known, known
  end
  return known
end

local function span(from, to)
  return from == to and whole(from) or whole(from) .. '-' .. whole(to)
end

local function tell(workspace, plan_id, job_id, event, data) -- an event, whose number its plan remembers
  local log, key = home(workspace), K.plan:format(workspace, plan_id)
  log.last = log.last + 1
  told_events[#told_events + 1] = {
    home = log, number = log.last, type = event, actor = '', plan_id = plan_id, job_id = job_id, data = data,
  }
  local own = plans[key]
  if not own then
    own = { text = redis.call('HGET', key, 'events') or '' }
    plans[key] = own
  end
  if own.to == log.last - 1 then
    own.to = log.last
  else
    if own.to then own.text = own.text == '' and span(own.from, own.to) or own.text .. ' ' .. span(own.from, own.to) end
    own.from, own.to = log.last, log.last
  end
end

local function said(job, more) -- what an event says of a job, as JSON
  return '{"step_id":' .. cjson.encode(job.step) .. ',"action_id":' .. cjson.encode(job.action)
    .. ',"status":"' .. job.status .. '","attempt":' .. (job.attempts or '0') .. more .. '}'
end

local function tell_of(job, event, more)
  tell(job.workspace_id, job.plan, job.job_id, event, said(job, more or ''))
end

local function group(groups, name) -- a list in a table of lists
  local list = groups[name]
  if not list then
    list = {}
    groups[name] = list
  end
  return list
end

local function move_to(of, status, id, old) -- from the index of one status to that of another
  local gone, come = group(of.moved, old), group(of.moved, status)
  gone.out, come.into = gone.out or {}, come.into or {}
  gone.out[#gone.out + 1] = id
  local n = #come.into
  come.into[n + 1], come.into[n + 2] = 0, id
end

local function count_running(of, action, change)
  of.running[action] = (of.running[action] or 0) + change
end

local function later(...) commands[#commands + 1] = { ... } end

local function lease(workspace, id, until_when) -- nil: it is over
  local list, member = until_when and leases.add or leases.gone, workspace .. ' ' .. id
  if until_when then list[#list + 1] = until_when end
  list[#list + 1] = member
end

local MOST = 500 -- arguments of one command
local function in_pieces(command, key, list)
  for first = 1, list and #list or 0, MOST do
    redis.call(command, key, unpack(list, first, math.min(first + MOST - 1, #list)))
  end
end

local function check_plain() -- read what the derived structures are, so that none is of another type
  position = last_position()
  redis.call('XLEN', K.all_events)
  redis.call('ZCARD', K.leases)
  for _, of in ipairs(homes) do
    redis.call('XLEN', K.events:format(of.workspace))
    for status in pairs(of.moved) do redis.call('ZCARD', K.jobs_in:format(of.workspace, status)) end
    local key = K.running:format(of.workspace)
    for action, change in pairs(of.running) do
      of.running[action] = tonumber(redis.call('HGET', key, action) or '0') + change
    end
  end
end

local function write_plain()
  for _, command in ipairs(commands) do redis.call(unpack(command)) end
  for key, own in pairs(plans) do
    local text = span(own.from, own.to)
    redis.call('HSET', key, 'events', own.text == '' and text or own.text .. ' ' .. text, unpack(own))
  end
  in_pieces('ZREM', K.leases, leases.gone)
  in_pieces('ZADD', K.leases, leases.add)
  for _, of in ipairs(homes) do
    for status, change in pairs(of.moved) do
      local key = K.jobs_in:format(of.workspace, status)
      in_pieces('ZREM', key, change.out)
      in_pieces('ZADD', key, change.into)
    end
    local key = K.running:format(of.workspace)
    for action, number in pairs(of.running) do
      if number > 0 then redis.call('HSET', key, action, number) else redis.call('HDEL', key, action) end
    end
    of.position = position
    position = position + of.last - of.first
    if of.last > of.first then redis.call('HSET', of.key, 'event_sequence', whole(of.last)) end
  end
  for _, event in ipairs(told_events) do
    local of = event.home
    append_event(of.workspace, whole(event.number), whole(of.position + event.number - of.first), event)
  end
  for _, of in ipairs(homes) do
    if of.last > of.first then
      append_run(of.workspace, whole(of.last), whole(of.position + of.last - of.first), of.last - of.first)
    end
  end
  if #told_events > 0 then redis.call('HSET', K.installation, 'position', whole(position)) end
end
