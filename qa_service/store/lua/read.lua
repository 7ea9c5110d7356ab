-- needs session.lua
-- ARGV: 1 proof, 2 ttl_s. Returns the session's fields and values, or nil.
if not opens(ARGV[1], unpack(redis.call('HMGET', SESSION, 'token', 'uid'))) then return false end
slide(ARGV[2])
return redis.call('HGETALL', SESSION)
