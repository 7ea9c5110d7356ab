-- needs hooks.lua
-- KEYS: 1 what endpoints want. ARGV: 1 endpoint, 2 before_ms, 3 how many at most. Returns how many were removed.
local old = redis.call('ZRANGEBYSCORE', KEYS[1] .. ':' .. ARGV[1] .. ':all', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(old) do forget(KEYS[1], ARGV[1], id) end
return #old
