-- dispatch: record that effects may now happen, where nothing speaks against any of them and no budget counts; else 'known'.
-- uses: plain
--
-- What is answered of a job is what a dispatch changes of it: whoever asks knows the rest from its claim. `dispatch_fully` takes
-- budgets, too, answers whole records, and does the rest.

if old_copies() then return KNOWN end
local lease_until = take()
local answers, seen = {}, {}
local keys, firsts = {}, {} -- of those that are dispatched now: their records, and when each was dispatched first
for i = 1, tonumber(take()) do
  local workspace, id, fence, claimed_at = take(), take(), take(), take()
  local key = K.job:format(workspace, id)
  if seen[key] or not is_current(id) then return KNOWN end
  seen[key] = true
  local read = redis.pcall('HMGET', key, 'spec', 'fence', 'status', 'attempts', 'lease_until', 'dispatched_at',
    'first_dispatched_at', 'cancel_requested', 'events')
  if claimed_at ~= '' and redis.pcall('HGET', key, 'claimed_at') ~= claimed_at then return KNOWN end
  local before, first = read[6], read[7]
  if not read[1] or read[2] ~= fence or read[3] ~= 'running' or (tonumber(read[5]) or 0) <= now then return KNOWN end
  if before and first then
    answers[i] = before .. ' ' .. read[5] .. ' ' .. first
  else
    local plan_id, step, action, rest, namesake = specified(read[1], id, key)
    if before or read[8] or not plan_id or not number_of(read[4] or 0) then return KNOWN end
    if not first or read[1]:match('^%S+ %S+ (%S+) ', rest) ~= 'keyed' then first = now_text end
    local n = #keys + 1
    keys[n], firsts[n] = key, first
    begun[2 * n - 1], begun[2 * n] = lease_until, workspace .. ' ' .. id
    tell(home(workspace), 'job.dispatched', plan_id, id, said(step, action, 'running', read[4] or '0', ''), namesake, read[9])
    answers[i] = now_text .. ' ' .. lease_until .. ' ' .. first
  end
end
check_plain()
for i, key in ipairs(keys) do
  redis.call('HSET', key, 'dispatched_at', now_text, 'lease_until', lease_until, 'first_dispatched_at', firsts[i])
end
write_plain()
return answers
