-- run: calls the script's own part, so that a refusal becomes an answer. Whatever else goes wrong stays an error.

local fine, answer = pcall(verb)
if not fine then
  if type(answer) == 'table' and answer.refused then return { 'refused', answer.refused, answer.detail, answer.facts } end
  if type(answer) == 'table' and answer.instead then return { 'done', answer.instead, {}, {} } end -- before anything was written
  error(answer)
end
return { 'done', answer or {}, committed, rung }
