-- submit_one: put a plan of one step, carried by its job, in place with its names, ready to run; 'known' if it is not that plain.
-- uses: lone
--
-- Returns how many jobs are ready then. `submit_known` does the rest, with arguments of its own.

local schema = redis.call('HMGET', K.schema, 'phase', 'filling', 'lean')
if (schema[1] and schema[1] ~= 'new-only') or schema[2] or not schema[3] then return { 'known' } end

local workspace, actor, id, action, said, plan_id, job, keys, named = take_lone()
if redis.call('EXISTS', unpack(keys)) > 0 then return { 'known' } end

-- Reads: what is counted, and that every key is of its type; the workspace's log shows that itself, since it is written first.
local home, running, pending = K.workspace:format(workspace), K.plans_in:format(workspace, 'running'), K.jobs_in:format(workspace, 'pending')
local ready, actions = K.ready:format(workspace, action), K.ready_actions:format(workspace)
local number = whole((redis.call('HGET', home, 'event_sequence') or 0) + 1)
local position = whole(last_position() + 1)
redis.call('ZCARD', running)
redis.call('XLEN', K.all_events)
local before, alike = redis.call('ZCARD', pending), redis.call('ZCARD', ready)
if alike == 0 then redis.call('ZCARD', actions) end
if before == 0 then redis.call('LLEN', K.ring) end

-- Writes.
append_event(workspace, number, position, { type = 'plan.submitted', actor = actor, plan_id = plan_id, job_id = '', data = said })
redis.call('HSET', job, 'job_id', id, 'workspace_id', workspace, 'status', 'pending', 'spec', take(), 'carried', take(),
  'events', number, unpack(ARGV, argument + 1))
for i = 3, #keys do redis.call('SET', keys[i], named[i]) end
redis.call('ZADD', running, 0, plan_id)
redis.call('ZADD', pending, 0, id)
redis.call('ZADD', ready, 0, id)
if alike == 0 then redis.call('ZADD', actions, 0, action) end
if before == 0 then redis.call('RPUSH', K.ring, workspace) end
redis.call('HSET', home, 'event_sequence', number)
redis.call('HSET', K.installation, 'position', position)
ring_bell(K.work_bell) -- before the events', so that whoever does both begins with the work
append_run(workspace, number, position, 1)
return before + 1
