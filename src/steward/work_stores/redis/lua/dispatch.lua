-- dispatch: record, just before them, that effects may now happen. The same fence again is granted again.
-- uses: rows flush transitions

local lease_until = take()
local answers = {}
for i = 1, tonumber(take()) do
  local job = leased(take(), take(), take())
  if not job or tonumber(job.lease_until) <= now then
    answers[i] = { 'fence' }
  elseif job.dispatched_at ~= '' then
    answers[i] = job
  elseif job.cancel_requested ~= '' then
    answers[i] = { 'cancelled' }
  else
    job.dispatched_at, job.lease_until = now, lease_until
    if job.first_dispatched_at == '' or job.retry ~= 'keyed' then job.first_dispatched_at = now end
    note_job('job.dispatched', job)
    answers[i] = job
  end
end
return answered(answers)
