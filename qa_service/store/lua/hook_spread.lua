-- KEYS: 1 what endpoints want, 2 outbox, 3 session, 4 its list of deliveries, 5 its user's (absent where it has none).
-- ARGV: 1 outbox entry, 2 body, 3 now_ms, 4 pending cap, 5 ttl_s of the lists, 6 at_ms; then for each delivery its
-- endpoint, its id, its record.
-- An event leaves the outbox in the very step that makes its deliveries: whoever is killed before has done nothing, and
-- two that do it at once do it once. Where the session is gone, nothing is made.
-- Returns the endpoints that have too many waiting.
local full = {}
if #redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1]) == 0 then return full end
if redis.call('EXISTS', KEYS[3]) == 1 then
  for i = 7, #ARGV, 3 do
    local endpoint, id, record = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local due = KEYS[1] .. ':' .. endpoint .. ':due'
    if redis.call('HEXISTS', KEYS[1], endpoint) == 0 then
      -- removed since
    elseif redis.call('ZCARD', due) >= tonumber(ARGV[4]) then
      full[#full + 1] = endpoint
    elseif redis.call('HSETNX', KEYS[1] .. ':deliveries', id, record) == 1 then
      redis.call('HSET', KEYS[1] .. ':bodies', id, ARGV[2])
      redis.call('ZADD', KEYS[1] .. ':' .. endpoint .. ':all', ARGV[6], id)
      redis.call('ZADD', due, ARGV[3], id)
      for list = 4, #KEYS do
        redis.call('SADD', KEYS[list], endpoint .. ' ' .. id)
        redis.call('EXPIRE', KEYS[list], ARGV[5])
      end
    end
  end
end
redis.call('XDEL', KEYS[2], ARGV[1])
return full
