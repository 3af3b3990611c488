-- holds_work: whether one of some plans is under way, or a request would be known again by it.
-- uses: rows flush names

for _ = 1, tonumber(take()) do
  local id = take()
  local workspace = redis.call('HGET', K.home, id)
  local plan = workspace and load_plan(workspace, id)
  if plan then
    if plan.status == 'running' or plan.status == 'awaiting_approval' then return 1 end
    for name in pairs(stored(plan)) do
      if NAME_KEY[tostring(name):match('^(%l+):')] then return 1 end
    end
  end
end
return 0
