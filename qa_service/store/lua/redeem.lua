-- needs session.lua
-- ARGV: 1 the ticket's digest. Returns the proof of whoever asked for the ticket, or nil. A ticket is good for once.
local kept, proof = {}, false
for line in string.gmatch(redis.call('HGET', SESSION, 'tickets') or '', '[^\n]+') do
  local digest, ends, shown = string.match(line, '^(%S+) (%d+) (.*)$')
  if digest ~= ARGV[1] then
    kept[#kept + 1] = line
  elseif tonumber(ends) > tonumber(redis.call('TIME')[1]) then
    proof = shown
  end
end
if proof then redis.call('HSET', SESSION, 'tickets', table.concat(kept, '\n')) end
return proof
