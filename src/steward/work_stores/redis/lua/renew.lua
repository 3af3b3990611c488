-- renew: extend leases that are still current.
-- uses: rows flush transitions

local lease_until = take()
local answers = {}
for i = 1, tonumber(take()) do
  local job = leased(take(), take(), take())
  if job then job.lease_until = lease_until end
  answers[i] = job or { 'fence' }
end
return answered(answers)
