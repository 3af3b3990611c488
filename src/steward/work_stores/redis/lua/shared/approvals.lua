-- approvals: what follows from an answer that a person gives, or from none.

local function close_approval(approval, status, actor, comment) -- make it final and note it
  approval.status, approval.decided_by, approval.decided_at = status, actor or '', now
  approval.comment = comment or ''
  local facts = facts_of(approval)
  facts.status, facts.decided_by, facts.comment = status, actor or cjson.null, comment or cjson.null
  local event = status == 'expired' and 'approval.expired' or 'approval.decided'
  note(event, approval.workspace_id, approval.plan_id, approval.job_id, actor, facts)
end

local function held_jobs(approval) -- the jobs that wait for it
  local list = {}
  local jobs
  if approval.job_id == '' then
    local plan = load_plan(approval.workspace_id, approval.plan_id) -- none: the approval no longer says which
    jobs = plan and jobs_of(plan) or {}
  else
    jobs = { load_job(approval.workspace_id, approval.job_id) }
  end
  for _, job in ipairs(jobs) do
    if job.status == 'held' then list[#list + 1] = job end
  end
  return list
end

local function turn_down(approval, reason, actor, plan_ends_as) -- cancel what waited for a yes that was not given
  if approval.job_id == '' then ends_as[K.plan:format(approval.workspace_id, approval.plan_id)] = plan_ends_as end
  for _, job in ipairs(held_jobs(approval)) do
    if job.status == 'held' then -- an earlier one may have taken it along
      job.reason, job.params_sealed = reason, ''
      move(job, 'cancelled', 'job.cancelled', actor)
      if approval.job_id ~= '' then drop_dependents(job, 'cancelled') end
    end
  end
end

local function withdraw_approvals(plan, job_id, actor) -- take back requests that no longer matter: of one job, or all
  for _, id in ipairs(words(plan.approval_ids)) do
    local approval = load_approval(plan.workspace_id, id)
    if approval and approval.status == 'pending' and (not job_id or approval.job_id == job_id) then
      close_approval(approval, 'cancelled', actor)
    end
  end
end
