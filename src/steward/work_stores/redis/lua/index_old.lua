-- index_old: put ids of the older software into their workspaces' lists, unless they have a current record, which is there.
-- uses: rows flush

for _ = 1, tonumber(take()) do
  local workspace, id, status, at = take(), take(), take(), take()
  if redis.call('EXISTS', K.job:format(workspace, id)) == 0 then place_old(workspace, id, status, at) end
end
flush()
