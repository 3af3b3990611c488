-- resolve_job: settle an unknown outcome by a person's word.
-- uses: rows flush transitions

local workspace, id, actor, call = take(), take(), take(), take()
local completed, result, error_text = take() == '1', take(), take()
local job = load_job(workspace, id)
if not job then refuse('NotFound') end
if job.call == call then return shown(job, JOB_FIELDS) end
if job.status ~= 'unknown' then
  refuse('IllegalTransition', 'Only an unknown outcome can be resolved; this job is ' .. job.status .. '.')
end

job.call = call
if completed then
  job.result = result
  complete(job, 'job.resolved', actor)
else
  job.first_dispatched_at = ''
  fail(job, error_text, actor)
end
flush()
return shown(job, JOB_FIELDS)
