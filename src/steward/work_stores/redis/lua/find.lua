-- find: answer with the original of a request by its names alone; changes nothing.
-- uses: rows flush names

local workspace = take()
return find_original(workspace, take_names(tonumber(take()))) or {}
