-- KEYS: 1 endpoints. ARGV: 1 endpoint id, 2 the revision that is replaced (0: none), 3 the new one, 4 record, 5 cap.
-- A record is `revision \n JSON`. Returns 1, 0 when somebody else was quicker, or 'full'.
local held = redis.call('HGET', KEYS[1], ARGV[1])
local revision = held and string.match(held, '^%d+') or '0'
if revision ~= ARGV[2] then return 0 end
if not held and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. '\n' .. ARGV[4])
return 1
