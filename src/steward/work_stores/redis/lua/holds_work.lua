-- holds_work: whether one of some plans is under way, or a request would be known again by it.
-- uses: rows flush names

local function is_named(row)
  for name in pairs(stored(row)) do
    if NAME_KEY[tostring(name):match('^(%l+):')] then return true end
  end
end

for _ = 1, tonumber(take()) do
  local plan = load_plan(take(), take())
  if plan then
    if plan.status == 'running' or plan.status == 'awaiting_approval' then return 1 end
    if is_named(plan) then return 1 end
    for _, job in ipairs(jobs_of(plan)) do
      if is_named(job) then return 1 end
    end
  end
end
return 0
