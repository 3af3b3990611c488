-- expire: end approvals that nobody decided in time and drafts that nobody executed, a bounded number of each.
-- uses: rows flush transitions asking approvals

local limit = take()

local function overdue(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, limit)
end

local approvals, drafts = 0, 0
for _, member in ipairs(overdue(K.undecided)) do
  local approval = load_approval(unpack(words(member)))
  if approval and approval.status == 'pending' then
    approvals = approvals + 1
    close_approval(approval, 'expired')
    turn_down(approval, 'Nobody decided in time.', nil, 'expired')
  else
    zrem(K.undecided, member) -- it stands there in error
  end
end
for _, member in ipairs(overdue(K.drafts)) do
  local plan = load_plan(unpack(words(member)))
  if plan and UNUSED[plan.status] then
    drafts = drafts + 1
    set_plan_status(plan, 'expired')
  else
    zrem(K.drafts, member)
  end
end
flush()
return { approvals, drafts }
