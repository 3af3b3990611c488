-- caps: how many of a workspace's ready jobs may start now. The rule is that of `steward.caps`, counted in the claim itself.

local function covers(pattern, action)
  if pattern == '*' or pattern == action then return true end
  return pattern:sub(-2) == '.*' and action:sub(1, #pattern - 1) == pattern:sub(1, -2)
end

local function starts_of(workspace) -- what was claimed within the last minute, the soonest to be forgotten first
  local starts, gone = {}, {}
  local flat = redis.call('HGETALL', K.starts:format(workspace))
  for i = 1, #flat, 2 do
    local upto, action = flat[i]:match('^(%d+) (.*)$')
    if tonumber(upto) > now then
      starts[#starts + 1] = { upto = tonumber(upto), action = action, number = tonumber(flat[i + 1]) }
    else
      gone[#gone + 1] = flat[i]
    end
  end
  table.sort(starts, function(one, two) return one.upto < two.upto end)
  return starts, gone
end

local function running_of(workspace)
  local running = {}
  local flat = redis.call('HGETALL', K.running:format(workspace))
  for i = 1, #flat, 2 do running[flat[i]] = tonumber(flat[i + 1]) end
  return running
end

local function rule_leaves(room, rule) -- how many more it lets start; and when it will let one, if that is by itself
  local left = rule.limit
  if rule.kind == 'running' then
    for action, number in pairs(room.running) do
      if covers(rule.pattern, action) then left = left - number end
    end
    return left
  end
  for _, start in ipairs(room.starts) do
    if covers(rule.pattern, start.action) then left = left - start.number end
  end
  local too_many = 1 - left
  for _, start in ipairs(room.starts) do
    if too_many > 0 and covers(rule.pattern, start.action) then
      too_many = too_many - start.number
      if too_many <= 0 then return left, start.upto end
    end
  end
  return left
end

local function room_for(room, action) -- how many more of this action may start, and when the first full rule has room
  local least = math.huge
  local full, upto
  for _, rule in ipairs(room.rules) do
    if covers(rule.pattern, action) then
      local left, at = rule_leaves(room, rule)
      if left <= 0 and not full then full, upto = true, at end
      least = math.min(least, left)
    end
  end
  return math.max(least, 0), full, upto
end

local function within_caps(workspace, share, rules, counts_until) -- ids that may start; whether a cap keeps some; until when
  local starts, gone = starts_of(workspace)
  local room = { rules = rules, running = running_of(workspace), starts = starts }
  local heads, ids, started = {}, {}, {}
  local ready = redis.call('ZRANGE', K.ready_actions:format(workspace), 0, -1)
  for _, action in ipairs(ready) do
    local most = math.min(share, (room_for(room, action)))
    if most > 0 then
      for _, id in ipairs(redis.call('ZRANGE', K.ready:format(workspace, action), 0, most - 1)) do
        heads[#heads + 1] = { id, action }
      end
    end
  end
  table.sort(heads, function(one, two) return one[1] < two[1] end)
  for _, head in ipairs(heads) do
    local id, action = unpack(head)
    if #ids < share and room_for(room, action) > 0 then
      ids[#ids + 1] = id
      room.running[action] = (room.running[action] or 0) + 1
      starts[#starts + 1] = { upto = counts_until, action = action, number = 1 }
      started[action] = (started[action] or 0) + 1
    end
  end
  local kept, upto = false, nil
  if #ids < share then
    for _, action in ipairs(ready) do
      local _, full, at = room_for(room, action)
      kept = kept or full
      if at and (not upto or at < upto) then upto = at end
    end
  end
  return ids, kept, upto, started, gone
end
