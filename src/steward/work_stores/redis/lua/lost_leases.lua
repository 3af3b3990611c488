-- lost_leases: show running jobs whose worker did not renew in time; what follows is decided by the caller.
-- uses: rows flush

local lost = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', K.leases, '-inf', now, 'LIMIT', 0, take())) do
  local job = load_job(unpack(words(member)))
  if job and job.status == 'running' then
    lost[#lost + 1] = shown(job, JOB_FIELDS)
  else
    zrem(K.leases, member) -- it stands there in error
  end
end
flush()
return lost
