-- compare_jobs: some jobs as both schemas have them at the same moment: the current fields and the old record's.
-- uses: rows flush

local answer = {}
for i = 1, tonumber(take()) do
  local workspace, id = take(), take()
  local values = redis.pcall('HMGET', K.job:format(workspace, id), unpack(JOB_FIELDS))
  answer[i] = { values[1] and values or {}, old_record(workspace, id) or {} }
end
return answer
