-- dispatch_fully: record, just before them, that effects may now happen. The same fence again is granted again.
-- uses: rows flush budgets transitions
--
-- Where it matters, whoever asks says when it claimed. A server that lost its last second gives out a fence a second time, and then two
-- hold the same one: the claim that is on record is the one that counts.

local lease_until = take()
local answers = {}

local function take_budgets()
  local budgets, recipients = {}, {}
  for i = 1, tonumber(take()) do
    budgets[i] = { name = take(), limit = take(), window_s = take(), amount = tonumber(take()) }
  end
  for i = 1, tonumber(take()) do
    recipients[i] = {}
    for n = 1, tonumber(take()) do recipients[i][n] = take() end
  end
  return budgets, recipients
end

for i = 1, tonumber(take()) do
  local job, claimed_at = leased(take(), take(), take()), take()
  local budgets, recipients = take_budgets()
  local good = job and (tonumber(job.lease_until) or 0) > now and (claimed_at == '' or job.claimed_at == claimed_at)
  local spendable = good and job.dispatched_at == '' and job.cancel_requested == ''
  local refused = spendable and reserve(job, budgets, recipients)
  if not good then
    answers[i] = { 'fence' }
  elseif job.dispatched_at ~= '' then
    answers[i] = job
  elseif job.cancel_requested ~= '' then
    answers[i] = { 'cancelled' }
  elseif refused then
    answers[i] = refused
  else
    job.dispatched_at, job.lease_until = now_text, lease_until
    if job.first_dispatched_at == '' or job.retry ~= 'keyed' then job.first_dispatched_at = now_text end
    note_job('job.dispatched', job)
    answers[i] = job
  end
end
return answered(answers)
