-- submit: put a plan that nobody has seen before in place, with its jobs and names; 'known' if it is not that plain.
-- uses:
--
-- The plain case is the common one, so it is written out: one pass over the arguments, every key read once, which also
-- shows that it is of its type, and then the commands. `submit_known` takes the same arguments and does the rest.

local schema = redis.call('HMGET', K.schema, 'phase', 'filling', 'lean')
if (schema[1] and schema[1] ~= 'new-only') or schema[2] then return { 'known' } end -- each job has a copy to be written too
if not schema[3] then return { 'known' } end -- an older process needs more

local workspace, actor = take(), take()
local names, keys = {}, {} -- key and index of each name; what must not be there yet
local NAME_KEY = { request = K.request_name, action = K.action_name }
for i = 1, tonumber(take()) do
  local namespace = take()
  names[i] = { NAME_KEY[namespace]:format(workspace, take()), take() and tonumber(take()), namespace }
  keys[i] = names[i][1]
end

local function skip_fields() -- where pairs begin and end; the value of the first
  local pairs_in = tonumber(take())
  local first, last = argument + 1, argument + 2 * pairs_in
  argument = last
  return first, last, ARGV[first + 1]
end

local plan_first, plan_last, plan_id = skip_fields()
local plan_key, said = K.plan:format(workspace, plan_id), take()
keys[#keys + 1] = plan_key
if take() ~= '0' then return { 'known' } end -- it waits for an approval

local ids, by_status, by_action, job_fields = {}, {}, {}, {}
local function add(groups, name, id) -- to the members that a sorted set is about to have
  local group = groups[name] or {}
  group[#group + 1], group[#group + 2] = 0, id
  groups[name] = group
end
for i = 1, tonumber(take()) do
  local first, last, id = skip_fields()
  local status, action = ARGV[first + 3], ARGV[first + 4] == 'spec' and ARGV[first + 5]:match('^2 %S+ %S+ (%S+) ')
  if status == 'scheduled' or not action then return { 'known' } end
  ids[i], job_fields[i] = id, { K.job:format(workspace, id), first, last }
  keys[#keys + 1] = job_fields[i][1]
  add(by_status, status, id)
  if status == 'pending' then add(by_action, action, id) end
end
if redis.call('EXISTS', unpack(keys)) > 0 then return { 'known' } end

-- Reads: what is counted, and that every key is of its type; the workspace's log shows that itself, since it is written first.
local home, ring, ready = K.workspace:format(workspace), K.ring, K.ready_actions:format(workspace)
local number = tonumber(redis.call('HGET', home, 'event_sequence') or '0') + 1
local position = last_position() + 1
local running = K.plans_in:format(workspace, 'running')
redis.call('ZCARD', running)
redis.call('XLEN', K.all_events)
local waits_for = {}
for action in pairs(by_action) do
  waits_for[action] = redis.call('ZCARD', K.ready:format(workspace, action))
  if waits_for[action] == 0 then redis.call('ZCARD', ready) end
end
for status in pairs(by_status) do
  if status ~= 'pending' then redis.call('ZCARD', K.jobs_in:format(workspace, status)) end
end
local before, more = redis.call('ZCARD', K.jobs_in:format(workspace, 'pending')), by_status.pending
if before == 0 then redis.call('LLEN', ring) end

-- Writes.
local event = { type = 'plan.submitted', actor = actor, plan_id = plan_id, job_id = '', data = said }
local number_text, position_text = whole(number), whole(position)
append_event(workspace, number_text, position_text, event)
redis.call('HSET', plan_key, 'events', number_text, unpack(ARGV, plan_first, plan_last))
for _, job in ipairs(job_fields) do redis.call('HSET', job[1], unpack(ARGV, job[2], job[3])) end
redis.call('ZADD', running, 0, plan_id)
for _, name in ipairs(names) do redis.call('SET', name[1], name[3] == 'request' and plan_id or ids[name[2] + 1]) end
for status, group in pairs(by_status) do redis.call('ZADD', K.jobs_in:format(workspace, status), unpack(group)) end
for action, group in pairs(by_action) do
  redis.call('ZADD', K.ready:format(workspace, action), unpack(group))
  if waits_for[action] == 0 then redis.call('ZADD', ready, 0, action) end
end
if more and before == 0 then redis.call('RPUSH', ring, workspace) end
redis.call('HSET', home, 'event_sequence', number_text)
redis.call('HSET', K.installation, 'position', position_text)
if more then ring_bell(K.work_bell) end -- before the events', so that whoever does both begins with the work
append_run(workspace, number_text, position_text, 1)
return { plan_id, 'running', table.concat(ids, ' '), '0', '', before + (more and #more / 2 or 0) }
