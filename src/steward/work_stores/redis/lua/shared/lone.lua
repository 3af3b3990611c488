-- lone: a plan of one step, carried by its job, as it is sent.

local function take_lone() -- what it is, the keys that must not be there yet, and what each of its names stands for
  local workspace, actor, id, action, said = take(), take(), take(), take(), take()
  local plan_id, job = 'plan_' .. id:sub(5), K.job:format(workspace, id)
  local keys, named = { job, K.plan:format(workspace, plan_id) }, {}
  for i = 3, 2 + take() do
    if take() == 'request' then
      keys[i], named[i] = K.request_name:format(workspace, take()), plan_id
    else
      keys[i], named[i] = K.action_name:format(workspace, take()), id
    end
  end
  return workspace, actor, id, action, said, plan_id, job, keys, named
end
