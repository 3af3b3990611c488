-- migrate_job: give an old record its current one, with a plan of one step, unless it has one or was changed meanwhile.
-- uses: rows flush

local workspace, id, from, as_it_is, queued = take(), take(), take(), take() == '1', take() == '1'
local event, facts = take(), take()
local expected, plan_fields, job_fields = take_fields(), take_fields(), take_fields()

local function leave_queue()
  if queued then later('list', K.ring, 'LREM', K.ring, 1, id) end
end

local key = K.job:format(workspace, id)
if redis.call('HLEN', key) > 0 then
  leave_queue()
  flush()
  return 'exists'
end
local flat = redis.call('HGETALL', from)
for i = 1, #flat, 2 do
  if expected[flat[i]] ~= flat[i + 1] then return 'changed' end
  expected[flat[i]] = nil
end
if #flat == 0 or next(expected) then return 'changed' end

if as_it_is and from == K.old_job:format(id) then leave[from] = true end
local plan = create('plan', K.plan:format(workspace, plan_fields.plan_id), plan_fields)
create('job', key, job_fields)
if event ~= '' then note(event, workspace, plan.plan_id, event:find('^job') and id, nil, facts) end
leave_queue()
flush()
local left = redis.call('PTTL', from)
if left > 0 then
  redis.call('PEXPIRE', key, left)
  redis.call('PEXPIRE', K.plan:format(workspace, plan_fields.plan_id), left)
end
return 'migrated'
