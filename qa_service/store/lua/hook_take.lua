-- KEYS: 1 what endpoints want. ARGV: 1 endpoint, 2 now_ms, 3 until_ms, 4 how many.
-- Takes what is due; it is due again at `until`, unless its taker has said before what came of it.
-- Returns {when the next one is due or nil, record, body or '', record, body or '' ...}.
local due, taken = KEYS[1] .. ':' .. ARGV[1] .. ':due', {false}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', ARGV[2], 'LIMIT', 0, ARGV[4])) do
  local record = redis.call('HGET', KEYS[1] .. ':deliveries', id)
  if record then
    redis.call('ZADD', due, ARGV[3], id)
    taken[#taken + 1] = record
    taken[#taken + 1] = redis.call('HGET', KEYS[1] .. ':bodies', id) or ''
  else
    redis.call('ZREM', due, id)
  end
end
taken[1] = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2] or ''
return taken
