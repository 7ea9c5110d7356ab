-- KEYS: 1 what endpoints want, 2 outbox, 3 session, 4 its list of deliveries.
-- ARGV: 1 outbox entry, 2 body, 3 now_ms, 4 pending cap, 5 ttl_s of the lists, 6 at_ms; then for each delivery its
-- endpoint, its id, its record.
-- An event leaves the outbox in the very step that makes its deliveries: whoever is killed before has done nothing, and
-- two that do it at once do it once. Where the session is gone, nothing is made.
-- Returns the endpoints that have too many waiting.
local full = {}
if #redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1]) == 0 then return full end
if redis.call('EXISTS', KEYS[3]) == 1 then
  -- Read now: it may have been bound since the event was read. The name shares the session's slot.
  local lists, user = {KEYS[4]}, redis.call('HGET', KEYS[3], 'user')
  if user then lists[2] = user .. ':hooked' end
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
      for _, list in ipairs(lists) do
        redis.call('ZADD', list, ARGV[6], endpoint .. ' ' .. id)
        redis.call('ZREMRANGEBYSCORE', list, '-inf', ARGV[6] - ARGV[5] * 1000) -- they are kept no longer
        redis.call('EXPIRE', list, ARGV[5])
      end
    end
  end
end
redis.call('XDEL', KEYS[2], ARGV[1])
return full
