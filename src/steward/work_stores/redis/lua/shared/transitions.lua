-- transitions: what each outcome and each person's decision does to a job and to the steps that hang on it.

local opened, ends_as = {}, {} -- by plan key: change of the open jobs; how the plan ends if that closes the last one
local PLAN_EVENT = {
  completed = 'plan.completed', failed = 'plan.failed', cancelled = 'plan.cancelled', rejected = 'plan.rejected',
  expired = 'plan.expired', running = 'plan.resumed',
}
local UNMET = { failed = true, cancelled = true, skipped = true }
local CANCELLABLE = { waiting = true, held = true, scheduled = true, pending = true, running = true }
local GOES_ON = { retry = true, handed_back = true, deferred = true, expanded = true }
local DOUBT = 'An earlier attempt may have had its effect.'

local function error_json(code, detail)
  return cjson.encode({ code = code, detail = detail, retryable = false })
end

local function move(job, status, event, actor, facts) -- bring a job to another state; refuse an edge that is not drawn
  local before = job.status
  if not (TRANSITIONS[before] and TRANSITIONS[before][status]) then
    refuse('IllegalTransition', 'A job that is ' .. before .. ' cannot become ' .. status .. '.')
  end
  job.status = status
  if before == 'running' then
    job.worker_id, job.lease_until, job.claimed_at, job.dispatched_at = '', '', '', ''
    job.cancel_requested, job.spent = '', ''
  end
  if status ~= 'held' then job.held_for = '' end
  local change = (FINAL[before] and 1 or 0) - (FINAL[status] and 1 or 0)
  if change ~= 0 then
    local plan = plan_of(job) -- none: the job no longer says which
    local key = plan and stored(plan)[KEY]
    if key then opened[key] = (opened[key] or 0) + change end
  end
  facts = facts or {}
  job.finished_at = ''
  if FINAL[status] then
    job.finished_at = now_text
    local started, enqueued = number_of(job.started_at), number_of(job.enqueued_at)
    facts.duration_ms, facts.latency_ms = started and now - started, enqueued and now - enqueued
  end
  note_job(event, job, actor, facts)
end

local function end_attempt(job, outcome, error_text, differences) -- write the attempt under way into the job's history
  local history = job.history == '' and {} or decoded(job.history)
  if not history then return end -- what cannot be read is left as it is
  history[#history + 1] = {
    number = number_of(job.attempts) or 0, fence = number_of(job.fence) or 0, worker_id = job.worker_id, outcome = outcome,
    started_at = number_of(job.claimed_at) or now, finished_at = now,
    dispatched_at = number_of(job.dispatched_at) or cjson.null,
    error = error_text and error_text ~= '' and cjson.decode(error_text) or cjson.null,
    differences = differences ~= '' and differences or nil,
  }
  while #history > MAX_HISTORY do table.remove(history, 1) end
  job.history = cjson.encode(history)
end

local function may_have_happened(job, provably_not_done)
  if job.effect == 'read' then return false end
  local this = job.dispatched_at ~= '' and not provably_not_done
  return this or (job.first_dispatched_at ~= '' and job.first_dispatched_at ~= job.dispatched_at)
end

-- Plans

local function each_member(plan, visit) -- the key of each of its jobs, and the row of those that are loaded already
  for _, id in ipairs(words(plan.job_ids .. ' ' .. plan.child_ids)) do
    local key = K.job:format(plan.workspace_id, id)
    visit(key, rows[key])
  end
end

local function drop_result(key, job) -- only the hash knows whether there is one
  if job then
    job.result_sealed = ''
  elseif redis.pcall('HEXISTS', key, 'result_sealed') == 1 then
    later('hash', key, 'HDEL', key, 'result_sealed')
  end
end

local function set_plan_status(plan, status, actor) -- what nobody can need again is dropped, unless it failed
  local ended = status ~= 'running'
  plan.status, plan.finished_at = status, ended and now_text or ''
  if ended and status ~= 'failed' then
    plan.body_sealed, plan.body_armoured = '', ''
    each_member(plan, drop_result)
  end
  note(PLAN_EVENT[status], plan.workspace_id, plan.plan_id, nil, actor, { status = status })
end

close_plans = function() -- count jobs that ended or came back; a plan without an open one ends
  for key, change in pairs(opened) do
    local plan = load('plan', key)
    local open = number_of(plan.open_jobs)
    if open then plan.open_jobs = open + change end -- else it is open until it is counted anew
    if open and plan.open_jobs == 0 and (plan.status == 'running' or plan.status == 'awaiting_approval') then
      local states = {}
      each_member(plan, function(job_key, job) states[job and job.status or redis.pcall('HGET', job_key, 'status') or ''] = true end)
      local worst = states.failed and 'failed' or states.cancelled and 'cancelled' or 'completed'
      set_plan_status(plan, ends_as[key] or worst)
    end
  end
  opened, ends_as = {}, {}
end

-- Dependents

local function release_dependents(job) -- count a completed step, and make ready whose needs are all met
  for _, other in ipairs(dependents(job)) do
    local needs = number_of(other.waiting_on) -- nil: it waits until a person has looked
    if needs then
      other.waiting_on = needs - 1
      if needs == 1 and other.status == 'waiting' then move(other, 'pending', 'job.released') end
    end
  end
end

local function drop_dependents(job, status) -- cancel or skip, with the reason, all that needs a step that will not be done
  local revivable = job.status == 'failed'
  local line = {}
  local function queue(needed)
    for _, other in ipairs(dependents(needed)) do line[#line + 1] = { needed, other } end
  end
  queue(job)
  local next_one = 1
  while line[next_one] do
    local needed, other = unpack(line[next_one])
    next_one = next_one + 1
    if other.status == 'waiting' or other.status == 'held' then
      other.reason = 'It needs step ' .. needed.step_id .. ', which ended as ' .. needed.status .. '.'
      other.cause = needed.step_id
      if not revivable then other.params_sealed = '' end
      move(other, status, status == 'skipped' and 'job.skipped' or 'job.cancelled', nil, { cause = needed.step_id })
      queue(other)
    end
  end
end

-- Ends

local function complete(job, event, actor)
  job.error, job.params_sealed = '', ''
  move(job, 'completed', event, actor)
  release_dependents(job)
end

local function fail(job, error_text, actor) -- for good; the parameters stay sealed for a retry
  job.error = error_text
  local event = job.status == 'unknown' and 'job.resolved' or 'job.failed'
  move(job, 'failed', event, actor, { error_code = cjson.decode(error_text).code })
  drop_dependents(job, 'cancelled')
end

local function doubt(job, error_text, actor)
  job.error = error_text
  move(job, 'unknown', 'job.unknown', actor, { error_code = cjson.decode(error_text).code })
end

local function set_aside(job) -- whose record cannot be read: it is left to a person, so that it stops nobody else's
  doubt(job, error_json('unreadable_record', "Part of this job's record cannot be read; the rest is shown."))
end

local function drop(job, status, reason, actor)
  job.reason, job.params_sealed = reason, ''
  move(job, status, status == 'skipped' and 'job.skipped' or 'job.cancelled', actor)
  drop_dependents(job, status)
end

local function start(job, actor) -- let a held job begin: wait, be scheduled, or be ready, as after a submit
  job.reason = ''
  local later_on = job.not_before ~= '' and tonumber(job.not_before) > now
  local waits = (tonumber(job.waiting_on) or 0) > 0
  move(job, waits and 'waiting' or later_on and 'scheduled' or 'pending', 'job.released', actor)
end

local function cancel(job, actor, reason) -- a job that has not ended, or ask the worker that runs it to stop
  local status = job.status
  if status == 'running' then
    if job.cancel_requested == '' then
      job.cancel_requested = '1'
      note_job('job.cancel_requested', job, actor)
    end
    return
  end
  if not CANCELLABLE[status] then refuse('IllegalTransition', 'A job that is ' .. status .. ' cannot be cancelled.') end
  if (status == 'scheduled' or status == 'pending') and may_have_happened(job) then
    return doubt(job, error_json('cancelled_in_doubt', reason .. ' ' .. DOUBT), actor)
  end
  job.cause = ''
  drop(job, 'cancelled', reason, actor)
  if job.expanded == '' then return end
  for _, child in ipairs(jobs_of(plan_of(job))) do
    if child.parent_step_id == job.step_id and CANCELLABLE[child.status] then cancel(child, actor, reason) end
  end
end

-- Outcomes of an attempt

local function heed_cancel(job, outcome) -- what a cancel that was asked for makes of an outcome that would have gone on
  local word = outcome.word
  if job.cancel_requested == '' or not GOES_ON[word] then return end
  local doubtful = outcome.doubtful == '1'
  if word ~= 'retry' then
    doubtful = may_have_happened(job, true)
    outcome.error = error_json('cancelled_in_doubt', 'It was cancelled. ' .. DOUBT)
  end
  outcome.word, outcome.reason = doubtful and 'unknown' or 'cancelled', 'It was cancelled.'
end

local function settle_doubt(job, outcome) -- forget a dispatch without effect, and what it spent, unless an earlier one is in doubt
  local word = outcome.word
  local certain = word == 'failed' or word == 'handed_back' or (word == 'retry' and outcome.doubtful ~= '1')
  if certain and job.first_dispatched_at == job.dispatched_at then
    job.first_dispatched_at = ''
    if job.dispatched_at ~= '' then give_back(job) end
  end
end

local function try_again(job, outcome)
  job.error, job.not_before = outcome.error, outcome.not_before
  local facts = { error_code = cjson.decode(outcome.error).code }
  if tonumber(job.not_before) <= now then return move(job, 'pending', 'job.released', nil, facts) end
  facts.not_before = tonumber(job.not_before)
  move(job, 'scheduled', 'job.retry_scheduled', nil, facts)
end

local function give_up_attempt(job) -- unless it cannot be read how many there were
  local attempts = number_of(job.attempts)
  if attempts then job.attempts = attempts - 1 end
end

local ENDS = {
  completed = function(job, outcome)
    job.result, job.result_sealed, job.result_labels = outcome.result, outcome.result_sealed, outcome.result_labels
    complete(job, 'job.completed')
  end,
  failed = function(job, outcome) fail(job, outcome.error) end,
  retry = try_again,
  deferred = function(job, outcome)
    give_up_attempt(job)
    try_again(job, outcome)
  end,
  unknown = function(job, outcome) doubt(job, outcome.error) end,
  skipped = function(job, outcome) drop(job, 'skipped', outcome.reason) end,
  cancelled = function(job, outcome) drop(job, 'cancelled', outcome.reason) end,
  handed_back = function(job)
    give_up_attempt(job)
    move(job, 'pending', 'job.released')
  end,
}

local function apply(job, outcome, word) -- end the attempt under way; `word` is what the history calls it
  heed_cancel(job, outcome)
  local told_error = outcome.word ~= 'cancelled' and outcome.error or ''
  end_attempt(job, word or outcome.word, told_error)
  settle_doubt(job, outcome)
  ENDS[outcome.word](job, outcome)
end

local function leased(workspace, id, fence) -- the job that a lease names, if it is still the current one
  local job = load_job(workspace, id)
  if job and job.fence == fence and job.status == 'running' then return job end
end

local function settled_before(workspace, id, fence, word) -- the job, if this very settlement ended its last attempt
  local job = load_job(workspace, id)
  if not job or job.fence ~= fence then return end
  local history = decoded(job.history) or {}
  local last = history[#history]
  if type(last) == 'table' and last.outcome == word and last.fence == number_of(fence) then return job end
end
