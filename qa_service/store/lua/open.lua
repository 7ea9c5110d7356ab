-- needs session.lua
-- KEYS: 5 its user's sessions (absent where it has no uid).
-- ARGV: 1 ttl_s, then the session's fields and values. Returns 1, or 0 when the sid is taken: a process that was
-- paused past its id lease may hand out an id again.
if redis.call('EXISTS', SESSION) == 1 then return 0 end
redis.call('DEL', MESSAGES, LOG, TURNS)
redis.call('HSET', SESSION, 'seq', 1, 'floor', 0, unpack(ARGV, 2))
append(1, 'session.created')
redis.call('EXPIRE', SESSION, ARGV[1])
redis.call('EXPIRE', LOG, ARGV[1])
if KEYS[5] then enlist(KEYS[5], ARGV[1]) end
return 1
