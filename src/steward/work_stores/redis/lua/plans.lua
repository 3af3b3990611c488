-- plans: some plans, of whatever workspace, for the installation's own readers.
-- uses: rows flush

local answer = {}
for _ = 1, tonumber(take()) do
  local values = plan_values(take(), take())
  if values then answer[#answer + 1] = values end
end
return answer
