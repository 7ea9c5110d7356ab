-- KEYS: 1 queue. ARGV: 1 queue cap, 2 job. Returns 1, or 0 when there is no room.
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'job', ARGV[2])
return 1
