-- settle_fully: end attempts. A stale fence is refused, a settlement already made is granted again; each stands alone.
-- uses: rows flush budgets transitions

local lost = take() == '1' -- only leases that have run out, and the history says so
local answers = {}
for i = 1, tonumber(take()) do
  local workspace, id, fence = take(), take(), take()
  local outcome = {
    word = take(), result = take(), result_sealed = take(), result_labels = take(), error = take(),
    not_before = take(), doubtful = take(), reason = take(),
  }
  local word = lost and 'lease_lost' or outcome.word
  local job = leased(workspace, id, fence)
  if job and lost and (tonumber(job.lease_until) or 0) > now then
    answers[i] = { 'fence' }
  elseif job and lost and not (number_of(job.fence) and number_of(job.attempts)) then
    set_aside(job)
    answers[i] = job
  elseif job then
    apply(job, outcome, lost and word)
    answers[i] = job
  else
    answers[i] = settled_before(workspace, id, fence, word) or { 'fence' }
  end
end
return answered(answers)
