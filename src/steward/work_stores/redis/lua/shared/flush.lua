-- flush: writes what a script has changed, with everything that follows from it: indexes, queue, leases, events, bells.
--
-- Redis does not roll back. So all is worked out first, then the type of every key is checked, and only then the first
-- byte is written. Every derived structure is kept here and nowhere else, from the difference between a row as it was
-- stored and as it is now.

local expected, adds, removes, lists = {}, {}, {}, {} -- key to type; key to members; what else is to be done
local depths, due = {}, {} -- by workspace: change of the ready jobs, and whether the schedule changed
local actions = {} -- by workspace and action: change of the ready jobs and of the running ones
local turns = {} -- workspaces that were served, in the order in which they go to the end of the line
local read = {} -- keys that a command of their type has read: that it did not fail says what they are
local ready_now = {} -- by workspace: ready jobs once everything is written

local function expect(key, kind)
  expected[key] = kind
  return key
end

local function look(command, key, ...) -- read a key that may be written later
  read[key] = true
  return redis.call(command, key, ...)
end

local function zadd(key, score, member)
  local list = adds[expect(key, 'zset')] or {}
  list[#list + 1], list[#list + 2] = score, member
  adds[key] = list
end

local function zrem(key, member)
  local list = removes[expect(key, 'zset')] or {}
  list[#list + 1] = member
  removes[key] = list
end

local function later(kind, key, ...) -- a command on a key of this type, to be sent with the rest
  expect(key, kind)
  lists[#lists + 1] = { ... }
end

local function write_row(kind, key, set, gone) -- every change of a record passes here: command, key and pairs; and fields that go
  expect(key, 'hash')
  if #set > 2 then lists[#lists + 1] = set end
  if #gone > 2 then lists[#lists + 1] = gone end
end

local function place(key, member, was, is) -- where a member with a time stands in a sorted set; '' is nowhere
  if was == is then return end
  if is == '' then zrem(key, member) else zadd(key, is, member) end
end

local function span(from, to) -- numbers of events as they are kept: one, or a range
  return from == to and whole(from) or whole(from) .. '-' .. whole(to)
end

local function each_number(text, last, visit) -- of numbers that are kept like this, up to the last there is, until `visit` says true
  for from, to in text:gmatch('(%d+)%-?(%d*)') do
    from, to = tonumber(from), tonumber(to) or tonumber(from)
    for number = from, math.min(to, last) do
      if visit(number) then return end
    end
  end
end

local derive = {}
local mirror, place_old, is_old_id, is_lean -- of legacy: keeps the old copy of a job, and the index of ids of the older software

local function count_action(workspace, action, ready, running)
  local of_workspace = actions[workspace] or {}
  local counts = of_workspace[action] or { 0, 0 }
  counts[1], counts[2] = counts[1] + ready, counts[2] + running
  of_workspace[action], actions[workspace] = counts, of_workspace
end

local function ids_of(row, old, name) -- a row's workspace and id, also when all its fields are about to go
  local known = old.workspace_id ~= '' and old or row
  return known.workspace_id, known[name]
end

function derive.job(job, old)
  local workspace, id = ids_of(job, old, 'job_id')
  local was, is = old.status, job.status
  if was ~= is then
    local ours = not is_old_id(id)
    local listed = ours and (was == '' or is == '') and not is_lean()
    if was ~= '' then zrem(K.jobs_in:format(workspace, was), id) elseif listed then zadd(K.jobs:format(workspace), 0, id) end
    if is ~= '' then zadd(K.jobs_in:format(workspace, is), 0, id) elseif listed then zrem(K.jobs:format(workspace), id) end
    if not ours then place_old(workspace, id, is, job.enqueued_at) end
    local action = old.action_id ~= '' and old.action_id or job.action_id
    local ready = (is == 'pending' and 1 or 0) - (was == 'pending' and 1 or 0)
    local running = (is == 'running' and 1 or 0) - (was == 'running' and 1 or 0)
    if ready ~= 0 then depths[workspace] = (depths[workspace] or 0) + ready end
    if ready ~= 0 or running ~= 0 then count_action(workspace, action, ready, running) end
    if ready > 0 then zadd(K.ready:format(workspace, action), 0, id) end
    if ready < 0 then zrem(K.ready:format(workspace, action), id) end
  end
  place(K.leases, workspace .. ' ' .. id, old.lease_until, job.lease_until)
  local due_was = was == 'scheduled' and old.not_before or ''
  local due_is = is == 'scheduled' and job.not_before or ''
  if due_was ~= due_is then
    place(K.scheduled:format(workspace), id, due_was, due_is)
    expect(K.due, 'zset')
    due[workspace] = true
  end
end

local UNUSED = { draft = true, needs_input = true }

local function plan_times(plan) -- when a draft expires; when an ended plan ended; when an unused draft did
  local expires = UNUSED[plan.status] and plan.expires_at or ''
  local over = plan.finished_at ~= '' and (tonumber(plan.open_jobs) or 0) == 0
  local stale = over and plan.status == 'expired' and plan.job_ids == ''
  return expires, over and not stale and plan.finished_at or '', stale and plan.finished_at or ''
end

function derive.plan(plan, old)
  local workspace, id = ids_of(plan, old, 'plan_id')
  local was, is = old.status, plan.status
  if was ~= is then
    if was ~= '' then zrem(K.plans_in:format(workspace, was), id) end
    if is ~= '' then zadd(K.plans_in:format(workspace, is), 0, id) end
    if was == '' and not is_lean() then
      zadd(K.plans:format(workspace), 0, id)
      later('hash', K.home, 'HSET', K.home, id, workspace)
    elseif is == '' and not is_lean() then
      zrem(K.plans:format(workspace), id)
      later('hash', K.home, 'HDEL', K.home, id)
    end
  end
  local member = workspace .. ' ' .. id
  local expired_was, ended_was, stale_was = plan_times(old)
  local expired_is, ended_is, stale_is = plan_times(plan)
  place(K.drafts, member, expired_was, expired_is)
  place(K.ended, member, ended_was, ended_is)
  place(K.stale, member, stale_was, stale_is)
end

function derive.approval(approval, old)
  local workspace, id = ids_of(approval, old, 'approval_id')
  local was, is = old.status, approval.status
  if was ~= is then
    if was ~= '' then zrem(K.approvals_in:format(workspace, was), id) end
    if is ~= '' then zadd(K.approvals_in:format(workspace, is), 0, id) end
  end
  local until_was = was == 'pending' and old.expires_at or ''
  local until_is = is == 'pending' and approval.expires_at or ''
  place(K.undecided, workspace .. ' ' .. id, until_was, until_is)
end

local function put_apart(plan) -- give a plan that its job carries, and that changes, a hash of its own
  local old = stored(plan)
  local job = old[CARRIER]
  old[CARRIER] = nil
  if plan.status == '' then return end -- both go
  for name, value in pairs(old) do
    if type(name) == 'string' and rawget(plan, name) == nil then plan[name] = value end
  end
  for name in pairs(stored(job)) do
    if name == 'carried' or name == 'events' or name == 'body_armoured' or tostring(name):find('^request:') then job[name] = '' end
  end
end

local function collect(row) -- the commands that write a row's changes
  local old = stored(row)
  local kind, key = old[KIND], old[KEY]
  derive[kind](row, old)
  local set, gone = { 'HSET', key }, { 'HDEL', key }
  if kind == 'job' then mirror(row, old) end
  for name, value in pairs(row) do
    if value ~= '' then
      local n = #set
      set[n + 1], set[n + 2] = name, value
    elseif old[name] ~= '' then
      gone[#gone + 1] = name
    end
    old[name], row[name] = value, nil
  end
  write_row(kind, key, set, gone)
end

local function check_types()
  for key, kind in pairs(expected) do
    local found = (rows[key] or read[key]) and kind or redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      error({ err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. ' and should be a ' .. kind })
    end
  end
end

local MOST = 500 -- arguments of one command

local function in_pieces(command, key, list)
  for first = 1, #list, MOST do
    redis.call(command, key, unpack(list, first, math.min(first + MOST - 1, #list)))
  end
end

local function queue_actions() -- which actions have ready jobs, and how many run; returns where one less runs
  local made_room = {}
  for workspace, counts_of in pairs(actions) do
    local running, ready = K.running:format(workspace), K.ready_actions:format(workspace)
    for action, counts in pairs(counts_of) do
      if counts[2] ~= 0 then
        local left = tonumber(look('HGET', running, action) or '0') + counts[2]
        if left > 0 then later('hash', running, 'HSET', running, action, left) else later('hash', running, 'HDEL', running, action) end
      end
      if counts[2] < 0 then made_room[workspace] = true end
      if counts[1] ~= 0 then
        local before = look('ZCARD', K.ready:format(workspace, action))
        if before == 0 and counts[1] > 0 then zadd(ready, 0, action) end
        if before + counts[1] == 0 then zrem(ready, action) end
      end
    end
  end
  return made_room
end

local function queue_workspaces(made_room) -- the line of workspaces; returns whether some job may start that could not
  local more = false
  for workspace, change in pairs(depths) do
    local before = look('ZCARD', K.jobs_in:format(workspace, 'pending'))
    local after = before + change
    ready_now[workspace] = after
    if after == 0 then
      later('list', K.ring, 'LREM', K.ring, 0, workspace)
    elseif before == 0 then
      later('list', K.ring, 'RPUSH', K.ring, workspace)
    end
    more = more or (change > 0 and after > 0)
  end
  for workspace in pairs(made_room) do -- a job that a cap kept may go now
    local kept = look('HGET', K.workspace:format(workspace), 'capped')
    if kept and not ready_now[workspace] then
      ready_now[workspace] = look('ZCARD', K.jobs_in:format(workspace, 'pending'))
    end
    more = more or (kept and ready_now[workspace] > 0)
  end
  if #turns > 0 then expect(K.ring, 'list') end
  return more
end

local function write_line(more) -- who was served goes to the end; when the next schedule comes due
  for _, workspace in ipairs(turns) do
    if redis.call('LREM', K.ring, 1, workspace) > 0 then redis.call('RPUSH', K.ring, workspace) end
  end
  for workspace in pairs(due) do
    local first = redis.call('ZRANGE', K.scheduled:format(workspace), 0, 0, 'WITHSCORES')
    if first[1] then redis.call('ZADD', K.due, first[2], workspace) else redis.call('ZREM', K.due, workspace) end
  end
  if more then ring_bell(K.work_bell) end
end

local function number_events() -- in the workspace's log and over all; each plan remembers which are its own
  local runs, of_workspace, plans = {}, {}, {}
  for _, event in ipairs(events) do -- a workspace's events go together: they are one entry of the order over all
    local run = of_workspace[event.workspace]
    if not run then
      local home = K.workspace:format(event.workspace)
      run = { workspace = event.workspace, home = home, last = tonumber(look('HGET', home, 'event_sequence') or '0') }
      runs[#runs + 1], of_workspace[event.workspace] = run, run
    end
    run.last = run.last + 1
    event.number = run.last
    run[#run + 1] = event
    local key = K.plan:format(event.workspace, event.plan_id)
    local own = plans[key] or { workspace = event.workspace, plan_id = event.plan_id }
    if own.to == event.number - 1 then
      own.to = event.number
    else
      own.text = own.to and append(own.text or '', span(own.from, own.to)) or own.text
      own.from, own.to = event.number, event.number
    end
    plans[key] = own
  end
  for key, own in pairs(plans) do
    local more = append(own.text or '', span(own.from, own.to))
    local plan = rows[key]
    local carrier = (not plan or next(plan) == nil) and carrier_of(own.workspace, own.plan_id)
    if carrier then
      carrier.events = append(carrier.events, more)
      if plan then stored(plan).events = carrier.events end
    elseif plan then
      plan.events = append(plan.events, more)
    else
      local before = redis.pcall('HGET', key, 'events')
      if type(before) ~= 'table' then -- else it is no record, and remembers nothing
        later('hash', key, 'HSET', key, 'events', append(before or '', more))
        read[key] = true
      end
    end
  end
  local position = last_position()
  read[K.installation] = true
  for _, run in ipairs(runs) do
    run.position, position = position, position + #run
    later('hash', run.home, 'HSET', run.home, 'event_sequence', run.last)
    expect(K.events:format(run.workspace), 'stream')
  end
  later('hash', K.installation, 'HSET', K.installation, 'position', whole(position))
  expect(K.all_events, 'stream')
  return runs
end

local function append_events(runs)
  for _, run in ipairs(runs) do
    for i, event in ipairs(run) do append_event(run.workspace, whole(event.number), whole(run.position + i), event) end
    append_run(run.workspace, whole(run.last), whole(run.position + #run), #run)
  end
end

local close_plans -- of transitions: ends the plans whose last job has ended
local write_ledgers, give_back -- of budgets: leaves what was spent to be written; takes back what one attempt spent

local function flush() -- may be called more than once; each time what was collected is written whole
  if close_plans then close_plans() end
  if write_ledgers then write_ledgers() end
  local runs = #events > 0 and number_events()
  for _, row in ipairs(loaded) do
    if stored(row)[CARRIER] and next(row) ~= nil then put_apart(row) end
  end
  for _, row in ipairs(loaded) do
    if next(row) ~= nil then collect(row) end
  end
  local more = queue_workspaces(queue_actions())
  check_types()
  for _, command in ipairs(lists) do redis.call(unpack(command)) end
  for key, list in pairs(removes) do in_pieces('ZREM', key, list) end
  for key, list in pairs(adds) do in_pieces('ZADD', key, list) end
  write_line(more)
  if runs then append_events(runs) end
  expected, adds, removes, lists = {}, {}, {}, {}
  depths, due, actions, turns, events = {}, {}, {}, {}, {}
end

local function depth_of(workspace) -- ready jobs, once everything is written
  return ready_now[workspace] or redis.call('ZCARD', K.jobs_in:format(workspace, 'pending'))
end

local function answered(answers) -- write, and answer each lease with its job's record or with why it is refused
  flush()
  for i, answer in ipairs(answers) do
    if getmetatable(answer) then answers[i] = shown(answer, JOB_FIELDS) end
  end
  return answers
end
