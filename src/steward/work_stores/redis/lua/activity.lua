-- activity: what a workspace has running, what it started within the last minute, and what it used of some budgets.
-- uses: rows flush caps

local workspace = take()
local answer = { redis.call('HGETALL', K.running:format(workspace)), {}, {} }
for i, start in ipairs(starts_of(workspace)) do
  answer[2][i] = { start.action, whole(start.upto), start.number }
end
for i = 1, tonumber(take()) do
  local name, since = take(), take()
  local units, number = {}, 0
  for _, spending in ipairs(redis.call('ZRANGEBYSCORE', K.spendings:format(workspace, name), '(' .. since, '+inf')) do
    local unit = spending:match('^%S+ %S+ (.*)$')
    if not units[unit] then number = number + 1 end
    units[unit] = true
  end
  answer[3][i] = number
end
return answer
