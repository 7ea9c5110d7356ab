-- needs session.lua
-- ARGV: 1 proof. Returns nil (no such session), or {its fields and values, its messages by id}. Nothing slides: who
-- looks at what is kept of a user does not keep it longer.
if not opens(ARGV[1], unpack(redis.call('HMGET', SESSION, 'token', 'uid'))) then return false end
return {redis.call('HGETALL', SESSION), redis.call('HGETALL', MESSAGES)}
