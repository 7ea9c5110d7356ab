-- needs session.lua
-- KEYS: 5 the user's sessions.
-- ARGV: 1 proof, 2 ttl_s, 3 uid, 4 new token digest, 5 log cap, 6 channel, 7 sid.
-- Returns the session's fields and values, 'uid-conflict', or nil.
local held = redis.call('HMGET', SESSION, 'token', 'uid', 'seq', 'floor')
if not opens(ARGV[1], held[1], held[2]) then return false end
if held[2] ~= '' and held[2] ~= ARGV[3] then return 'uid-conflict' end
redis.call('HSET', SESSION, 'token', ARGV[4], 'uid', ARGV[3], 'user', KEYS[5])
enlist(KEYS[5], ARGV[2])
if held[2] == '' then
  -- What webhooks keep of it from before is its user's from now on, and goes with what is erased of the user.
  local its, mine = string.match(SESSION, '^(.*:)session:') .. 'hooked:' .. ARGV[7], KEYS[5] .. ':hooked'
  local ttl_s = math.max(redis.call('TTL', its), redis.call('TTL', mine))
  if redis.call('ZUNIONSTORE', mine, 2, mine, its, 'AGGREGATE', 'MAX') > 0 then redis.call('EXPIRE', mine, ttl_s) end
  local seq, floor = tonumber(held[3]) + 1, tonumber(held[4])
  append(seq, 'session.bound')
  if seq - floor > tonumber(ARGV[5]) then floor = trim(seq, floor, tonumber(ARGV[5])) end
  redis.call('HSET', SESSION, 'seq', seq, 'floor', floor)
end
-- Also when the same uid is bound again: who follows with the old token is to notice that it is void.
tell_followers(ARGV[6], ARGV[7])
slide(ARGV[2])
return redis.call('HGETALL', SESSION)
