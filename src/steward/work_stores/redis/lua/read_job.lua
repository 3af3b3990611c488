-- read_job: one job as the phase of the migration reads it; nothing if there is none.
-- uses: rows flush

local workspace, id = take(), take()
return { phase(), record(workspace, id) }
