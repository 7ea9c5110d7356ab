-- KEYS: 1 counts (sorted set). ARGV: 1 member, 2 members kept, 3 ttl_s.
-- Counts a member. Where there is no room, a new one takes the place and the count of the rarest, so that what is asked
-- often comes in however full the set is, and no count is too low (Metwally, Agrawal and El Abbadi 2005, Space-Saving).
local count = 1
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  count = tonumber(redis.call('ZPOPMIN', KEYS[1])[2]) + 1
end
redis.call('ZINCRBY', KEYS[1], count, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
