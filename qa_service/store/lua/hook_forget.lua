-- needs hooks.lua
-- KEYS: 1 what endpoints want. ARGV: 1 endpoint id, 2 how many deliveries at most. Removes an endpoint with its
-- deliveries, so many at once that Redis stops for nobody. Returns how many are left.
redis.call('HDEL', KEYS[1], ARGV[1])
local all = KEYS[1] .. ':' .. ARGV[1] .. ':all'
for _, id in ipairs(redis.call('ZRANGE', all, 0, ARGV[2] - 1)) do forget(KEYS[1], ARGV[1], id) end
return redis.call('ZCARD', all)
