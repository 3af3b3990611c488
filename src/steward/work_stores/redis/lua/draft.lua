-- draft: keep a plan that nobody has executed; the workspace's oldest drafts beyond the allowance expire.
-- uses: rows flush transitions

local workspace, actor, said = take(), take(), take()
local fields = take_fields()
local key = K.plan:format(workspace, fields.plan_id)

local plan = load_plan(workspace, fields.plan_id)
if plan then
  if UNUSED[plan.status] and plan.digest == (fields.digest or '') then return end -- sent again
  refuse('Conflict', 'A plan with this id exists.')
end
create('plan', key, fields)
note('plan.drafted', workspace, fields.plan_id, nil, actor, said)
flush()

local function oldest_draft()
  local drafts = redis.call('ZRANGE', K.plans_in:format(workspace, 'draft'), 0, 0)[1]
  local questions = redis.call('ZRANGE', K.plans_in:format(workspace, 'needs_input'), 0, 0)[1]
  if drafts and questions then return drafts < questions and drafts or questions end
  return drafts or questions
end

local kept = redis.call('ZCARD', K.plans_in:format(workspace, 'draft'))
  + redis.call('ZCARD', K.plans_in:format(workspace, 'needs_input'))
for _ = 1, math.min(kept - MAX_DRAFTS, 100) do
  set_plan_status(load_plan(workspace, oldest_draft()), 'expired')
  flush()
end
