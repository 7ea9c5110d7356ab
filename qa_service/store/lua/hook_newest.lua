-- KEYS: 1 what endpoints want. ARGV: 1 endpoint, 2 how many. Returns the newest records, newest first.
local ids = redis.call('ZREVRANGE', KEYS[1] .. ':' .. ARGV[1] .. ':all', 0, ARGV[2] - 1)
return #ids > 0 and redis.call('HMGET', KEYS[1] .. ':deliveries', unpack(ids)) or {}
