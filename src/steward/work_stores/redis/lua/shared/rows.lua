-- rows: what a script works on. Hashes are loaded once and changed in memory; nothing is written before `flush`.
--
-- A row reads like a table of strings; a field that is not there reads as ''. What a script assigns is kept apart from
-- what is stored, so a row's own keys are exactly its changes, and assigning '' removes a field.

local ABSENT = { __index = function() return '' end }
local KEY, KIND, CARRIER = 1, 2, 3
local rows, loaded = {}, {} -- by key, and in the order in which they came

local function stored(row)
  return getmetatable(row).__index
end

local function remember(kind, key, fields)
  fields[KEY], fields[KIND] = key, kind
  local row = setmetatable({}, { __index = setmetatable(fields, ABSENT) })
  rows[key] = row
  loaded[#loaded + 1] = row
  return row
end

local SPEC = '^2' .. (' (%S+)'):rep(#SPEC_FIELDS) .. '$'

local function namesake(id, prefix) -- the id of what has the same name: a plan's job, or a job's plan
  if prefix == 'job_' and id:sub(1, 5) ~= 'plan_' then return '' end -- it is no plan's, so no job has its name
  return prefix .. id:sub(prefix == 'job_' and 6 or 5)
end

local function specify(fields, spec) -- what a job's spec says in words, but for what has a field of its own
  local values = { (spec or ''):match(SPEC) }
  if not values[1] then return fields end
  for i, name in ipairs(SPEC_FIELDS) do
    if i <= #SPEC_FIELDS - 2 then fields[name] = fields[name] or values[i] end
  end
  if fields.plan_id == '-' and fields.job_id then fields.plan_id = namesake(fields.job_id, 'plan_') end
  return fields
end

local function load(kind, key) -- the row, or nil; what is no hash is no record
  if rows[key] then return rows[key] end
  local flat = redis.pcall('HGETALL', key)
  if #flat == 0 then return nil end
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return remember(kind, key, specify(fields, fields.spec))
end

local function create(kind, key, fields) -- a row that is not there yet
  if rows[key] or redis.call('EXISTS', key) == 1 then refuse('Conflict', 'Something with this id exists.') end
  local row = remember(kind, key, specify({}, fields.spec))
  for name, value in pairs(fields) do row[name] = value end
  return row
end

local function load_named(kind, key, workspace, id_field, id) -- the row; whose it is and which, its key says, and not its fields
  local row = load(kind, key)
  if row then
    local fields = stored(row)
    fields.workspace_id, fields[id_field] = workspace, id
  end
  return row
end

local function load_job(workspace, id) return load_named('job', K.job:format(workspace, id), workspace, 'job_id', id) end

local FINAL_OF_CARRIED = 'completed' -- whoever ends a carried plan otherwise gives it a hash of its own

local function carried_plan(job) -- the fields that a plan would have whose job carries it
  local created_at, digest, document = job.carried:match('^1 (%d+) (%S+) (.*)$')
  local ended = job.status == FINAL_OF_CARRIED
  local fields = {
    plan_id = job.plan_id, workspace_id = job.workspace_id, actor_id = job.actor_id, request_id = job.request_id,
    status = ended and job.status or 'running', finished_at = ended and job.finished_at or nil,
    open_jobs = ended and '0' or '1', job_ids = job.job_id, events = job.events, created_at = created_at,
    digest = digest, document = document, body_armoured = job.body_armoured ~= '' and job.body_armoured or nil,
  }
  for name, value in pairs(job) do
    if tostring(name):find('^request:') then fields[name] = value end
  end
  return fields
end

local function load_plan(workspace, id) -- from its own hash, or from that of the job that carries it
  if id == '' then return nil end -- of a job that no longer says which
  local key = K.plan:format(workspace, id)
  local plan = load_named('plan', key, workspace, 'plan_id', id)
  if plan then return plan end
  local job = load_job(workspace, namesake(id, 'job_'))
  if not job or stored(job).carried == '' then return nil end
  local fields = carried_plan(stored(job))
  fields[CARRIER] = job
  return remember('plan', key, fields)
end

local function carrier_of(workspace, plan_id) -- the loaded job that carries a plan
  local job = rows[K.job:format(workspace, namesake(plan_id, 'job_'))]
  return job and stored(job).carried ~= '' and job
end

local function plan_values(workspace, id) -- what is answered of a plan; false: there is none
  local values = redis.pcall('HMGET', K.plan:format(workspace, id), unpack(PLAN_FIELDS))
  if values[1] or values[STATUS_OF_PLAN] then
    values[1], values[2] = id, workspace -- as its key says
    return values
  end
  values = redis.pcall('HMGET', K.job:format(workspace, namesake(id, 'job_')), unpack(CARRIED_FIELDS))
  if not values[1] then return false end
  values[2], values[3] = namesake(id, 'job_'), workspace
  return values
end

local function load_approval(workspace, id)
  return load_named('approval', K.approval:format(workspace, id), workspace, 'approval_id', id)
end

local function decoded(text) -- what JSON says, if that is a list or an object
  local fine, value = pcall(cjson.decode, text)
  return fine and type(value) == 'table' and value or nil
end

local function words(text) -- a list kept as words
  local list = {}
  for word in text:gmatch('%S+') do list[#list + 1] = word end
  return list
end

local function append(text, word)
  return text == '' and word or text .. ' ' .. word
end

local function shown(row, names) -- what is answered of a row: its fields in the order that the caller knows
  local values, old = {}, stored(row)
  for i = 1, #names do
    local name = names[i]
    values[i] = rawget(row, name) or rawget(old, name) or ''
  end
  return values
end

local function dependents(job) -- the jobs that need this one
  local list = {}
  for _, id in ipairs(words(job.dependents)) do list[#list + 1] = load_job(job.workspace_id, id) end
  return list
end

local function plan_of(job)
  return load_plan(job.workspace_id, job.plan_id)
end

local function jobs_of(plan) -- all jobs of a plan, in step order
  local list = {}
  for _, id in ipairs(words(plan.job_ids .. ' ' .. plan.child_ids)) do
    list[#list + 1] = load_job(plan.workspace_id, id)
  end
  table.sort(list, function(one, two) return (number_of(one.position) or 0) < (number_of(two.position) or 0) end)
  return list
end

local events = {}

local function note(event, workspace, plan_id, job_id, actor, facts) -- leave an event to be appended; JSON, or a table
  if type(facts) == 'table' then
    if actor and request_id ~= '' then facts.request_id = request_id end
    facts = cjson.encode(facts)
  end
  events[#events + 1] = {
    type = event, workspace = workspace, plan_id = plan_id, job_id = job_id or '', actor = actor or '', data = facts,
  }
end

local function note_job(event, job, actor, facts)
  facts = facts or {}
  facts.step_id, facts.action_id, facts.status = job.step_id, job.action_id, job.status
  facts.attempt = number_of(job.attempts) or 0
  note(event, job.workspace_id, job.plan_id, job.job_id, actor, facts)
end
