-- older: pages of lists, newest first.

local function each_older(keys, after, step, visit) -- members of some indexes older than one of them, until `visit` says true
  local lists = {}
  local function read_on(list, from)
    list.ids, list.at = redis.call('ZREVRANGEBYLEX', list.key, from, '-', 'LIMIT', 0, step), 1
    return list.ids[1]
  end
  for _, key in ipairs(keys) do
    local list = { key = key }
    if read_on(list, after == '' and '+' or '(' .. after) then lists[#lists + 1] = list end
  end
  local last
  while true do
    local newest, place
    for i, list in ipairs(lists) do
      local id = list.ids[list.at]
      if not newest or id > newest then newest, place = id, i end
    end
    if not newest or (newest ~= last and visit(newest)) then return end
    last = newest
    local list = lists[place]
    list.at = list.at + 1
    local more = list.ids[list.at] or (#list.ids == step and read_on(list, '(' .. newest))
    if not more then table.remove(lists, place) end
  end
end
