-- KEYS: 1 what endpoints want. ARGV: 1 endpoint, 2 delivery id, 3 record, 4 body, 5 now_ms.
-- A delivery that belongs to no session. Returns 1, or 0 when the endpoint is gone.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1] .. ':deliveries', ARGV[2], ARGV[3])
redis.call('HSET', KEYS[1] .. ':bodies', ARGV[2], ARGV[4])
redis.call('ZADD', KEYS[1] .. ':' .. ARGV[1] .. ':all', ARGV[5], ARGV[2])
redis.call('ZADD', KEYS[1] .. ':' .. ARGV[1] .. ':due', ARGV[5], ARGV[2])
return 1
