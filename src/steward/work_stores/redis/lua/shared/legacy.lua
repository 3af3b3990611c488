-- legacy: the copy of a job under the key of the older software, written with the job itself while both are; and what is read.
--
-- `TO_OLD` says which of its few statuses stands for each of ours. Parameters are never in the copy.

local recorded, filling, lean -- the phase, once it was looked up; whether the old copies are written again; how records are kept
local leave = {} -- by key of the old copy: it says the same already and is left as it is

local function phase()
  if not recorded then
    local known = redis.call('HMGET', K.schema, 'phase', 'filling', 'lean')
    recorded, filling, lean = known[1] or 'new-only', known[2], known[3]
  end
  return recorded
end

function is_lean() -- whether no process is left that needs the lists of all jobs and plans, and whose each plan is
  phase()
  return lean
end

function is_old_id(id) -- whether the older software made it
  return not (#id == 28 and id:find('^job_%w+$'))
end

function place_old(workspace, id, status, enqueued_at) -- where such an id stands in the lists; status '' is nowhere
  for _, other in ipairs(JOB_STATUSES) do
    if other ~= status then zrem(K.old_jobs_in:format(workspace, other), id) end
  end
  local at = tonumber(enqueued_at) or 0
  if status == '' then return zrem(K.old_jobs:format(workspace), id) end
  zadd(K.old_jobs:format(workspace), at, id)
  zadd(K.old_jobs_in:format(workspace, status), at, id)
end

local function iso(text) -- milliseconds as ISO 8601 with an offset; days to a date as in the proleptic Gregorian calendar
  local ms = tonumber(text)
  if not ms then return '' end
  local day, rest = math.floor(ms / 86400000), ms % 86400000
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return ('%04d-%02d-%02dT%02d:%02d:%02d.%03d+00:00'):format(year, month, doy - math.floor((153 * mp + 2) / 5) + 1,
    math.floor(rest / 3600000), math.floor(rest / 60000) % 60, math.floor(rest / 1000) % 60, rest % 1000)
end

local function old_fields(job)
  local provider, name = job.action_id:match('^(.*)%.([^.]*)$')
  return {
    'job_id', job.job_id, 'status', TO_OLD[job.status], 'action_provider', provider or job.action_id,
    'action_name', name or '', 'workspace_id', job.workspace_id, 'actor_id', job.actor_id, 'result', job.result,
    'enqueued_at', iso(job.enqueued_at), 'started_at', iso(job.started_at), 'finished_at', iso(job.finished_at),
    'params', '{}',
  }
end

local function count(field, change) -- of the record of the migration
  if change ~= 0 then later('hash', K.schema, 'HINCRBY', K.schema, field, change) end
end

local function forget_old(id)
  local key = K.old_job:format(id)
  count('old', -redis.call('EXISTS', key))
  later('hash', key, 'DEL', key)
  local older = K.older_job:format(id)
  if not id:find(':') and redis.pcall('HGET', older, 'job_id') == id then later('hash', older, 'DEL', older) end
end

local WATCHED = { 'status', 'result', 'started_at', 'finished_at', 'enqueued_at', 'actor_id' }

local function copy_old(job) -- write the whole copy
  local key = K.old_job:format(job.job_id)
  if leave[key] then return end
  count('old', 1 - look('EXISTS', key))
  read[key] = nil -- that it is there does not say what it is
  later('hash', key, 'HSET', key, unpack(old_fields(job)))
end

function mirror(job, old) -- what follows for the old copy from a change
  if phase() == 'new-only' and not filling then
    if job.status == '' and redis.call('HGET', K.schema, 'left') then forget_old(old.job_id) end
    return
  end
  if job.status == '' then
    count('current', -1)
    return forget_old(old.job_id)
  end
  if old.status == '' then count('current', 1) end
  for _, name in ipairs(WATCHED) do
    if job[name] ~= old[name] then return copy_old(job) end
  end
end

local function old_record(workspace, id) -- the old record's fields, flat, if it is this workspace's; and its key
  for i, key in ipairs({ K.old_job:format(id), K.older_job:format(id) }) do
    local flat = (i == 1 or not id:find(':')) and redis.pcall('HGETALL', key) or {}
    for n = 1, flat.err and 0 or #flat, 2 do
      if flat[n] == 'workspace_id' and flat[n + 1] == workspace then return flat, key end
    end
  end
end

local function record(workspace, id) -- a job as the phase reads it: its own fields, or those and the old record's
  local key = K.job:format(workspace, id)
  local values = redis.pcall('HMGET', key, unpack(JOB_FIELDS)) -- a key of another type holds no job
  local fields = values[1] and values
  if phase() == 'new-only' or (phase() == 'new-read' and fields) then return fields end
  local old = old_record(workspace, id)
  if old then return { fields or {}, old } end
  return fields
end
