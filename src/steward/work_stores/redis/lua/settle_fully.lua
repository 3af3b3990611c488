-- settle_fully: end attempts. A stale fence is refused, a settlement already made is granted again; each stands alone.
-- uses: rows flush budgets transitions
--
-- What becomes of a lost lease was decided by whoever looked, by when it had been dispatched: if it was dispatched since, by somebody
-- whose clock says that the lease still holds, that is decided anew in the next sweep.

local lost = take() == '1' -- only leases that have run out, and the history says so
local answers = {}
for i = 1, tonumber(take()) do
  local workspace, id, fence = take(), take(), take()
  local dispatched_at = lost and tonumber(take()) -- as it was when somebody looked
  local outcome = {
    word = take(), result = take(), result_sealed = take(), result_labels = take(), error = take(),
    not_before = take(), doubtful = take(), reason = take(),
  }
  local word = lost and 'lease_lost' or outcome.word
  local job = leased(workspace, id, fence)
  local is_over = job and (tonumber(job.lease_until) or 0) <= now
  if job and lost and not (is_over and tonumber(job.dispatched_at or '') == dispatched_at) then
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
