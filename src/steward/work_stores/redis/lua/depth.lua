-- depth: how many jobs are ready in each workspace that has some.
-- uses: rows flush

local answer = {}
for _, workspace in ipairs(redis.call('LRANGE', K.ring, 0, -1)) do
  answer[#answer + 1], answer[#answer + 2] = workspace, depth_of(workspace)
end
return answer
