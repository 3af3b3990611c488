-- continue_after: let the log go on after another one, so that no number ever stands for two facts.
-- uses: rows flush

local position = tonumber(take())
local newest = tonumber(redis.call('HGET', K.installation, 'position') or '0')
if position > newest then later('hash', K.installation, 'HSET', K.installation, 'position', whole(position)) end
for _ = 1, tonumber(take()) do
  local home, sequence = K.workspace:format(take()), tonumber(take())
  if sequence > tonumber(redis.call('HGET', home, 'event_sequence') or '0') then
    later('hash', home, 'HSET', home, 'event_sequence', sequence, 'event_floor', sequence)
  end
end
flush()
