-- KEYS: 1 queue, 2 reply. ARGV: 1 answer, 2 ttl_ms, 3 group, 4 queue entry, 5 channel, 6 job id.
-- Returns 1 when this call gave the answer, 0 when another had. Acknowledged last, as in finish.lua.
local given = redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2], 'NX')
redis.call('XACK', KEYS[1], ARGV[3], ARGV[4])
redis.call('XDEL', KEYS[1], ARGV[4])
if not given then return 0 end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 1
