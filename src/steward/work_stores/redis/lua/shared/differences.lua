-- differences: what stands elsewhere than records say, counted by the name of the key, and put right if that is asked for.

local put_right = take() == '1'
local found = {}

local function differs(name) -- take note of one; say whether to put it right
  found[name] = (found[name] or 0) + 1
  return put_right
end

local function keep(name, key, member, score) -- nil or false: it does not belong there
  local stands = redis.call('ZSCORE', key, member)
  if (stands and tonumber(stands)) == (score and tonumber(score) or false) then return end
  if differs(name) then
    if score then zadd(key, score, member) else zrem(key, member) end
  end
end

local function differences()
  local told = {}
  for name, number in pairs(found) do
    told[#told + 1], told[#told + 2] = name, number
  end
  return told
end
