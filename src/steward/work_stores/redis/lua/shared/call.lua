-- call: who calls and when, the arguments, and what is told of the events that were appended and the bells that were rung.

local committed, rung = {}, {}
local now_text = ARGV[1]
local now = tonumber(now_text)
local wanted = ARGV[2] -- types of events, between blanks, that somebody in the calling process listens to
local caller = ARGV[3] -- the calling engine: what bells say, so that it need not hear itself
local request_id = ARGV[4] -- of the request on whose behalf this is, or ''
local argument = 4

local function take() -- the next argument
  argument = argument + 1
  return ARGV[argument]
end

local function take_fields() -- a count and that many pairs
  local fields = {}
  for _ = 1, tonumber(take()) do
    local name = take()
    fields[name] = take()
  end
  return fields
end

local function refuse(name, detail, facts) -- leave the script; nothing has been written
  error({ refused = name, detail = detail or '', facts = facts and cjson.encode(facts) or '' })
end

local function whole(number) -- as text, without an exponent; '%d' is made in half the time of '%.0f', and as exact below 2^53
  return string.format('%d', number)
end

local function number_of(value) -- that a record says; nil: it is none, or has more digits than can be reckoned with
  if type(value) ~= 'string' then return value end
  return #value < 16 and value:find('^%d+$') and tonumber(value) or nil
end

local function ring_bell(channel)
  redis.call('PUBLISH', channel, caller)
  rung[#rung + 1] = channel
end

local function last_position() -- where the order over all events stands; what comes goes on above it
  -- At least the server's own microseconds: one that came back without the last it was told has forgotten positions that
  -- the audit has read, and would give them to what comes, which the audit would then never read.
  local time = redis.call('TIME')
  local known = tonumber(redis.call('HGET', K.installation, 'position') or '0')
  return math.max(known, time[1] * 1000000 + time[2])
end

local function in_line(id) -- an id as one line of what is told, also if its record is damaged; JSON is one by itself
  return id:find('\n', 1, true) and id:gsub('\n', ' ') or id
end

local told_of = {} -- by type of event: whether somebody in the calling process listens to it

local function append_fields(workspace, key, number, position, kind, actor_id, plan_id, job_id, data) -- an event, to this log
  redis.call('XADD', key, number .. '-0', 'type', kind, 'at', now_text, 'actor_id', actor_id, 'plan_id', plan_id,
    'job_id', job_id, 'data', data, 'position', position)
  local told = told_of[kind]
  if told == nil then
    told = wanted:find(' ' .. kind .. ' ', 1, true) and true or false
    told_of[kind] = told
  end
  if told then
    committed[#committed + 1] = workspace .. '\n' .. number .. '\n' .. kind .. '\n' .. now_text .. '\n' .. in_line(plan_id) .. '\n'
      .. in_line(job_id) .. '\n' .. position .. '\n' .. data .. '\n' .. actor_id -- one text is answered sooner than nine
  end
end

local function append_event(workspace, number, position, event) -- to the workspace's log; its plan knows the number
  append_fields(workspace, K.events:format(workspace), number, position, event.type, event.actor, event.plan_id,
    event.job_id, event.data)
end

local function append_run(workspace, number, position, count) -- to the order over all: so many events, up to this one
  redis.call('XADD', K.all_events, position .. '-0', 'workspace', workspace, 'sequence', number, 'events', count)
  ring_bell(K.events_bell:format(workspace))
end
