-- needs hooks.lua
-- KEYS: 1 what endpoints want. ARGV: 1 endpoint, 2 delivery id, 3 record, 4 state, 5 next_at_ms, 6 now_ms, 7 how many
-- that have ended are kept. Returns 1, or 0 when the delivery is gone: erased meanwhile.
local hooks, of = KEYS[1], KEYS[1] .. ':' .. ARGV[1]
if redis.call('HEXISTS', hooks .. ':deliveries', ARGV[2]) == 0 then return 0 end
redis.call('HSET', hooks .. ':deliveries', ARGV[2], ARGV[3])
if ARGV[4] == 'pending' then
  redis.call('ZADD', of .. ':due', ARGV[5], ARGV[2])
  redis.call('ZREM', of .. ':done', ARGV[2])
  return 1
end
redis.call('ZREM', of .. ':due', ARGV[2])
redis.call('ZADD', of .. ':done', ARGV[6], ARGV[2])
-- What was delivered is not kept a second time; a failed one may be wanted again after its session's end.
if ARGV[4] == 'delivered' then redis.call('HDEL', hooks .. ':bodies', ARGV[2]) end
local over = redis.call('ZCARD', of .. ':done') - ARGV[7]
if over > 0 then
  for _, id in ipairs(redis.call('ZRANGE', of .. ':done', 0, over - 1)) do forget(hooks, ARGV[1], id) end
end
return 1
