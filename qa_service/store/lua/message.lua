-- needs session.lua
-- ARGV: 1 proof, 2 ttl_s, 3 message id. Returns nil (no such session), or {message or nil}.
if not opens(ARGV[1], unpack(redis.call('HMGET', SESSION, 'token', 'uid'))) then return false end
slide(ARGV[2])
-- Idempotency keys live in the same hash; ids are digits.
local record = string.find(ARGV[3], '^%d+$') and redis.call('HGET', MESSAGES, ARGV[3])
return {record or false}
