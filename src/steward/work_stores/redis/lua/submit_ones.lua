-- submit_ones: the same as submit_one for plans that were submitted at the same moment, each with an answer of its own.
-- uses: lone
--
-- Answers for each how many jobs of its workspace are ready then, or -1 if it is not that plain: it goes its own way, and so
-- does one whose workspace has a key of another type, which then refuses that one alone. All are looked at before any is written.

local schema = redis.call('HMGET', K.schema, 'phase', 'filling', 'lean')
if (schema[1] and schema[1] ~= 'new-only') or schema[2] or not schema[3] then return {} end -- none is, at present

local homes, order = {}, {} -- by workspace, false if one of its keys is of another type; those that have plans, as they came

local function read_home(workspace) -- what its plans share, and that every key is of its type
  local home = {
    workspace = workspace, key = K.workspace:format(workspace), log = K.events:format(workspace), plans = {}, ready = {},
    running = K.plans_in:format(workspace, 'running'), pending = K.jobs_in:format(workspace, 'pending'),
    actions = K.ready_actions:format(workspace), plan_ids = {}, job_ids = {},
  }
  home.last = tonumber(redis.call('HGET', home.key, 'event_sequence') or '0')
  home.before = redis.call('ZCARD', home.pending)
  redis.call('ZCARD', home.running)
  redis.call('ZCARD', home.actions)
  redis.call('XLEN', home.log)
  return home
end

local function read_ready(home, action) -- the ready jobs of an action
  local key = K.ready:format(home.workspace, action)
  return { key = key, before = redis.call('ZCARD', key), ids = {} }
end

local function known_or(groups, name, read, ...) -- what is in a table under a name, or what `read` finds; false if it fails
  if groups[name] == nil then
    local fine, found = pcall(read, ...)
    groups[name] = fine and found
  end
  return groups[name]
end

local function add(members, id) -- to what a sorted set is about to have
  members[#members + 1], members[#members + 2] = 0, id
end

local taken = {} -- keys that plans before this one are about to have
local function is_free(keys)
  for _, key in ipairs(keys) do
    if taken[key] then return false end
  end
  return redis.call('EXISTS', unpack(keys)) == 0
end

local function take_plan() -- the depth that it leaves, or -1
  local last = argument + 1
  last = last + take()
  local workspace, actor, id, action, said, plan_id, job, keys, named = take_lone()
  local spec, carried, first = take(), take(), argument + 1
  argument = last
  local home = known_or(homes, workspace, read_home, workspace)
  local ready = home and known_or(home.ready, action, read_ready, home, action)
  if not ready or not is_free(keys) then return -1 end
  for _, key in ipairs(keys) do taken[key] = true end
  if #home.plans == 0 then order[#order + 1] = home end
  home.plans[#home.plans + 1] = { plan_id, actor, said, job, id, spec, carried, first, last, keys, named }
  add(home.plan_ids, plan_id)
  add(home.job_ids, id)
  add(ready.ids, id)
  return home.before + #home.plans
end

local answers = {}
for i = 1, tonumber(take()) do answers[i] = take_plan() end
if #order == 0 then return answers end
redis.call('XLEN', K.all_events)
redis.call('LLEN', K.ring)
local position = last_position()

-- Writes.
ring_bell(K.work_bell) -- before the events', so that whoever does both begins with the work
for _, home in ipairs(order) do
  local workspace = home.workspace
  for _, plan in ipairs(home.plans) do
    local plan_id, actor, said, job, id, spec, carried, first, last, keys, named = unpack(plan)
    home.last, position = home.last + 1, position + 1
    local number = whole(home.last)
    append_fields(workspace, home.log, number, whole(position), 'plan.submitted', actor, plan_id, '', said)
    redis.call('HSET', job, 'job_id', id, 'workspace_id', workspace, 'status', 'pending', 'spec', spec, 'carried', carried,
      'events', number, unpack(ARGV, first, last))
    for i = 3, #keys do redis.call('SET', keys[i], named[i]) end
  end
  redis.call('ZADD', home.running, unpack(home.plan_ids))
  redis.call('ZADD', home.pending, unpack(home.job_ids))
  for action, ready in pairs(home.ready) do
    if ready and #ready.ids > 0 then
      redis.call('ZADD', ready.key, unpack(ready.ids))
      if ready.before == 0 then redis.call('ZADD', home.actions, 0, action) end
    end
  end
  if home.before == 0 then redis.call('RPUSH', K.ring, workspace) end
  redis.call('HSET', home.key, 'event_sequence', whole(home.last))
  append_run(workspace, whole(home.last), whole(position), #home.plans)
end
redis.call('HSET', K.installation, 'position', whole(position))
return answers
