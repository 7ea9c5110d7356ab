-- needs session.lua
-- ARGV: 1 proof, 2 ttl_s, 3 the ticket's digest, 4 it lives (s), 5 tickets kept. Returns 1, or nil (no such session).
-- Tickets are a field of the session's hash, so that they go with it; a line has digest, end (Unix s), and the proof.
if not opens(ARGV[1], unpack(redis.call('HMGET', SESSION, 'token', 'uid'))) then return false end
slide(ARGV[2])
local now = tonumber(redis.call('TIME')[1])
local kept = {ARGV[3] .. ' ' .. (now + tonumber(ARGV[4])) .. ' ' .. ARGV[1]}
for line in string.gmatch(redis.call('HGET', SESSION, 'tickets') or '', '[^\n]+') do
  local ends = tonumber(string.match(line, '^%S+ (%d+) '))
  if ends and ends > now and #kept < tonumber(ARGV[5]) then kept[#kept + 1] = line end
end
redis.call('HSET', SESSION, 'tickets', table.concat(kept, '\n'))
return 1
