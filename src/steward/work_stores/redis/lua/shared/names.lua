-- names: what a client calls its own requests and actions, and what they stand for.
--
-- The key of a name holds the id of what it names: a plan for a request, a job for an action. The digest of the payload
-- stands in what is named, under the name, so that the names of a plan are known when it goes.

local NAME_KEY = { request = K.request_name, action = K.action_name }

local function take_names(count) -- claims as they were sent
  local names = {}
  for i = 1, count do
    names[i] = { namespace = take(), key = take(), digests = take(), index = tonumber(take()) }
  end
  return names
end

local function look_up(workspace, name) -- fill in what it stands for, if it is known; refuse another payload
  local id = redis.call('GET', NAME_KEY[name.namespace]:format(workspace, name.key))
  if not id then return end
  local job = name.namespace == 'action' and load_job(workspace, id)
  local plan = load_plan(workspace, job and job.plan_id or id)
  if not plan then return end
  local kept = (job or plan)[name.namespace .. ':' .. name.key] or ''
  if not (' ' .. name.digests .. ' '):find(' ' .. kept .. ' ', 1, true) then
    refuse('IdempotencyKeyReused', '', { key = name.key })
  end
  name.plan, name.id = plan, id
end

local function original(plan, job_ids) -- how a plan that was executed is answered
  return { plan.plan_id, plan.status, job_ids or plan.job_ids, '1', plan.approval_id, depth_of(plan.workspace_id) }
end

local function find_original(workspace, names, jobs) -- the answer, if all names of a request of so many jobs are known
  for _, name in ipairs(names) do look_up(workspace, name) end
  local named, known, plan = {}, 0, nil
  for _, name in ipairs(names) do
    if name.namespace == 'request' and name.plan then return original(name.plan) end
    if name.namespace == 'action' then
      named[#named + 1] = name
      if name.plan then known, plan = known + 1, plan or name.plan end
    end
  end
  if known == 0 then return end
  if known ~= (jobs or #named) then refuse('IdempotencyMixed') end
  table.sort(named, function(one, two) return one.index < two.index end)
  local ids = ''
  for _, name in ipairs(named) do ids = append(ids, name.id) end
  return original(plan, ids)
end

local function keep_names(workspace, names, plan, job_ids) -- remember what each stands for; they go with their plan
  for _, name in ipairs(names) do
    local id = name.namespace == 'request' and plan.plan_id or job_ids[name.index + 1]
    local key = NAME_KEY[name.namespace]:format(workspace, name.key)
    later('string', key, 'SET', key, id)
    local named = name.namespace == 'request' and plan or load_job(workspace, id)
    named[name.namespace .. ':' .. name.key] = name.digests:match('^%S+')
  end
end
