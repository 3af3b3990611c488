-- schema_move: bring the migration from one phase to another, if it still is in the first; with facts to note beside it.
-- uses: rows flush

local from, to, facts = take(), take(), take_fields()
local is = redis.call('HGET', K.schema, 'phase') -- where none is noted the older software never was: there are new keys alone
if (is or '') ~= from and (is or 'new-only') ~= from then return 0 end
later('hash', K.schema, 'HSET', K.schema, 'phase', to)
for name, value in pairs(facts) do
  if value == '' then
    later('hash', K.schema, 'HDEL', K.schema, name)
  else
    later('hash', K.schema, 'HSET', K.schema, name, value)
  end
end
flush()
return 1
