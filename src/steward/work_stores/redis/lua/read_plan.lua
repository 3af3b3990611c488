-- read_plan: one plan, kept by itself or carried by its job.
-- uses: rows

return plan_values(take(), take()) or {}
