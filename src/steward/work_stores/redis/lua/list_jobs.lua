-- list_jobs: the same as list_jobs_fully for a plain page, as one text: a line for each job, of its id and fields; of any other it
-- says nothing.
-- uses:

local workspace, after, limit, status = take(), take(), tonumber(take()), take()
local known = redis.call('HGET', K.schema, 'phase')
if known and known ~= 'new-only' or redis.call('EXISTS', K.old_jobs:format(workspace)) == 1 then return {} end

local function newest(ids) -- so many of them, from the newest on, each once
  table.sort(ids)
  local kept = {}
  for i = #ids, 1, -1 do
    if ids[i] ~= kept[#kept] then kept[#kept + 1] = ids[i] end
    if #kept == limit then break end
  end
  return kept
end

local every = {}
for i, any in ipairs(status == '' and ENDED_FIRST or { status }) do every[i] = K.jobs_in:format(workspace, any) end
local there = redis.call('EXISTS', unpack(every)) -- of ten lists, mostly two or three: what ended is what there is most of
local ids, lists, from = {}, 0, after == '' and '+' or '(' .. after
for i = 1, #every do
  if lists == there then break end
  local found = redis.call('ZREVRANGEBYLEX', every[i], from, '-', 'LIMIT', 0, limit)
  if lists == 0 then ids = found else for j = 1, #found do ids[#ids + 1] = found[j] end end
  if found[1] then lists = lists + 1 end
end
if lists > 1 then ids = newest(ids) end

local A, B, C, D, E, F, G, H, I, J = unpack(LINE_FIELDS) -- written out: in half the time of a loop over them
local head, NUL, read, lines = K.job:format(workspace, ''), '\0', redis.pcall, {}
for i = 1, #ids do
  local id = ids[i]
  local v = read('HMGET', head .. id, A, B, C, D, E, F, G, H, I, J)
  if not v[1] or not v[2] or status ~= '' and v[1] ~= status then return {} end
  lines[i] = id .. NUL .. v[1] .. NUL .. v[2] .. NUL .. (v[3] or '') .. NUL .. (v[4] or '') .. NUL .. (v[5] or '')
    .. NUL .. (v[6] or '') .. NUL .. (v[7] or '') .. NUL .. (v[8] or '') .. NUL .. (v[9] or '') .. NUL .. (v[10] or '')
end
local more = lines[limit] and ids[limit - 1] or ''
lines[limit] = nil -- it says that there is one more
return { redis.call('ZCARD', K.jobs_in:format(workspace, 'pending')), more, table.concat(lines, '\255') }
