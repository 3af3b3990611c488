-- copy_jobs: write the old copies of some jobs anew, from their current records, or only those that are not there.
-- uses: rows flush

local only_missing = take() == '1'
local copied = 0
for _ = 1, tonumber(take()) do
  local job = load_job(take(), take())
  if job and job.status ~= '' and not (only_missing and redis.call('EXISTS', K.old_job:format(job.job_id)) == 1) then
    copy_old(job)
    copied = copied + 1
  end
end
flush()
return copied
