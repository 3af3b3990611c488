-- retire_jobs: remove old records whose current twin is there, each by its own key, only while the old is neither written nor read.
-- uses: rows flush

local answer = {}
for i = 1, tonumber(take()) do
  local workspace, id, key = take(), take(), take()
  local named = redis.call('HMGET', K.job:format(workspace, id), 'job_id', 'workspace_id')
  local is_twin = named[1] == id and named[2] == workspace
  answer[i] = 0
  if phase() == 'new-only' and is_twin and redis.pcall('HGET', key, 'workspace_id') == workspace then
    later('hash', key, 'DEL', key)
    if key == K.old_job:format(id) then count('old', -1) end
    answer[i] = 1
  end
end
flush()
return answer
