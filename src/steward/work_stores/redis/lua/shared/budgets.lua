-- budgets: what effects take from what their workspace allows, reserved with the dispatch record.
--
-- A unit is what counts once within a budget's window: an effect, or a recipient however often. Each spending is a member
-- of a set ordered by time ("job fence unit"), and a hash counts the spendings of each unit; so a dispatch costs the same
-- whether ten or a million are in the window. What has fallen out of it is forgotten a few at a time.

local AT_ONCE = 200
local ledgers = {} -- by key of the spendings: what this script has changed of a budget of a workspace

local function open_ledger(workspace, name)
  local key = K.spendings:format(workspace, name)
  local ledger = ledgers[key]
  if not ledger then
    local units, promises = K.units:format(workspace, name), K.promises:format(workspace, name)
    local promised = redis.call('HMGET', promises, 'at', 'number')
    ledger = {
      key = key, units = units, promises = promises, member = workspace .. ' ' .. name,
      total = redis.call('HLEN', units), counts = {}, forgotten = 0,
      at = tonumber(promised[1] or '0'), number = tonumber(promised[2] or '0'),
    }
    ledgers[key] = ledger
  end
  return ledger
end

local function count_of(ledger, unit)
  if not ledger.counts[unit] then ledger.counts[unit] = tonumber(redis.call('HGET', ledger.units, unit) or '0') end
  return ledger.counts[unit]
end

local function count(ledger, unit, change)
  local before = count_of(ledger, unit)
  local after = math.max(before + change, 0)
  ledger.counts[unit] = after
  ledger.total = ledger.total + (after > 0 and 1 or 0) - (before > 0 and 1 or 0)
end

local function spending_of(job, unit)
  return job.job_id .. ' ' .. tostring(job.fence) .. ' ' .. unit
end

local function forget_spent(ledger, before) -- some of what was reserved at this time or earlier; how much
  local old = redis.call('ZRANGEBYSCORE', ledger.key, '-inf', before, 'LIMIT', ledger.forgotten, AT_ONCE)
  for _, spending in ipairs(old) do
    zrem(ledger.key, spending)
    count(ledger, spending:match('^%S+ %S+ (.*)$'), -1)
  end
  ledger.forgotten = ledger.forgotten + #old
  return #old
end

local function new_units(ledger, units)
  local seen, number = {}, 0
  for _, unit in ipairs(units) do
    if not seen[unit] and count_of(ledger, unit) == 0 then number = number + 1 end
    seen[unit] = true
  end
  return number
end

local function promise(ledger, over, since, window) -- when to come back: each freed unit is promised to one job only
  local number = over - 1
  local from = '(' .. whole(since)
  if ledger.at > since then from, number = whole(ledger.at), ledger.number end
  local found = redis.call('ZRANGEBYSCORE', ledger.key, from, '+inf', 'WITHSCORES', 'LIMIT', number, 1)
  local at = tonumber(found[2]) or now -- none: all are promised, and by then these jobs will have spent them again
  ledger.number = ledger.at > since and at == ledger.at and number + 1 or 1
  ledger.at = at
  return at + window
end

local function units_of(ledger, budget, job, recipients) -- a recipient goes by the name it is known under, under any key
  if budget.name ~= 'outside_recipients' then return { job.job_id .. '/' .. tostring(job.fence) } end
  local units = {}
  for i, macs in ipairs(recipients) do
    units[i] = macs[1]
    for _, mac in ipairs(macs) do
      if count_of(ledger, mac) > 0 then
        units[i] = mac
        break
      end
    end
  end
  return units
end

local function refusal_of(ledger, budget, units) -- why there is no room now: a sentence, and when there may be
  local what = "the workspace's budget '" .. budget.name .. "' of " .. budget.limit .. ' in ' .. budget.window_s .. ' s'
  local limit, window = tonumber(budget.limit), budget.window_s * 1000
  if budget.amount > limit then return { 'budget', 'It takes more than ' .. what .. ' ever holds.', '' } end
  local since = now - window
  local over = ledger.total + new_units(ledger, units) - limit
  while over > 0 do
    if forget_spent(ledger, since) == 0 then
      local at = promise(ledger, over, since, window)
      return { 'budget', 'There is no room in ' .. what .. ' yet.', whole(at) }
    end
    over = ledger.total + new_units(ledger, units) - limit
  end
  forget_spent(ledger, since) -- so that what is forgotten keeps up
end

local function is_later(one, two) -- whether the first has longer to wait; '' is for ever
  if two[3] == '' then return false end
  return one[3] == '' or tonumber(one[3]) > tonumber(two[3])
end

local function reserve(job, budgets, recipients) -- what an effect takes from every budget; or why not, and nothing
  local refused
  local taken = {}
  for i, budget in ipairs(budgets) do
    local ledger = open_ledger(job.workspace_id, budget.name)
    local units = units_of(ledger, budget, job, recipients)
    taken[i] = { ledger, units, budget.name }
    local why = refusal_of(ledger, budget, units)
    if why and (not refused or is_later(why, refused)) then refused = why end
  end
  if refused then return refused end
  local spent = {}
  for _, one in ipairs(taken) do
    local ledger, units, name = unpack(one)
    for _, unit in ipairs(units) do
      zadd(ledger.key, now, spending_of(job, unit))
      count(ledger, unit, 1)
      spent[#spent + 1] = { name, unit }
    end
  end
  if #spent > 0 then job.spent = cjson.encode(spent) end
end

give_back = function(job) -- what the attempt under way has reserved: it had no effect
  if job.spent == '' then return end
  for _, one in ipairs(decoded(job.spent) or {}) do
    local name, unit = unpack(type(one) == 'table' and one or {})
    if type(name) == 'string' and type(unit) == 'string' then
      local ledger = open_ledger(job.workspace_id, name)
      zrem(ledger.key, spending_of(job, unit))
      count(ledger, unit, -1)
    end
  end
end

write_ledgers = function()
  for _, ledger in pairs(ledgers) do
    local set, gone = {}, {}
    for unit, number in pairs(ledger.counts) do
      local list = number > 0 and set or gone
      list[#list + 1] = unit
      if number > 0 then list[#list + 1] = number end
    end
    for first = 1, #set, MOST do
      later('hash', ledger.units, 'HSET', ledger.units, unpack(set, first, math.min(first + MOST - 1, #set)))
    end
    for first = 1, #gone, MOST do
      later('hash', ledger.units, 'HDEL', ledger.units, unpack(gone, first, math.min(first + MOST - 1, #gone)))
    end
    later('hash', ledger.promises, 'HSET', ledger.promises, 'at', ledger.at, 'number', ledger.number)
    if ledger.total > 0 then zadd(K.budgets, 0, ledger.member) else zrem(K.budgets, ledger.member) end
    expect(ledger.key, 'zset')
  end
  ledgers = {}
end
