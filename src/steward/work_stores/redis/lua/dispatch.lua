-- dispatch: record that effects may now happen, where nothing speaks against any of them and no budget counts; else 'known'.
-- uses: plain
--
-- What is answered of a job is what a dispatch changes of it: whoever asks knows the rest from its claim. `dispatch_fully` takes
-- the same arguments, answers whole records, and does the rest.

if old_copies() then return KNOWN end
local lease_until = take()
local answers, seen = {}, {}
for i = 1, tonumber(take()) do
  local workspace, id, fence = take(), take(), take()
  if take() ~= '0' or take() ~= '0' then return KNOWN end -- it spends something
  local key = K.job:format(workspace, id)
  local job = not seen[key] and read_job(key)
  seen[key] = true
  if not job or job.fence ~= fence or job.status ~= 'running' then return KNOWN end
  if tonumber(job.lease_until) <= now then return KNOWN end
  if not job.dispatched_at then
    if job.cancel_requested then return KNOWN end
    local first = job.first_dispatched_at
    if not first or job.retry ~= 'keyed' then first = now_text end
    job.dispatched_at, job.lease_until, job.first_dispatched_at = now_text, lease_until, first
    later('HSET', key, 'dispatched_at', now_text, 'lease_until', lease_until, 'first_dispatched_at', first)
    lease(workspace, id, lease_until)
    tell_of(job, 'job.dispatched')
  end
  answers[i] = job.dispatched_at .. ' ' .. job.lease_until .. ' ' .. job.first_dispatched_at
end
check_plain()
write_plain()
return answers
