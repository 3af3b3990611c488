-- set_aside: leave jobs that were claimed, and whose records cannot be read, to a person.
-- uses: rows flush budgets transitions

for _ = 1, tonumber(take()) do
  local job = load_job(take(), take())
  if job and job.status == 'running' then set_aside(job) end
end
flush()
return 'aside'
