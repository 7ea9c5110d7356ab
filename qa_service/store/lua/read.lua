-- needs session.lua
-- ARGV: 1 token digest, 2 ttl_s. Returns the session's fields and values, or nil.
if redis.call('HGET', SESSION, 'token') ~= ARGV[1] then return false end
slide(ARGV[2])
return redis.call('HGETALL', SESSION)
