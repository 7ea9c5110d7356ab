-- KEYS: 1 queue. ARGV: 1 group, 2 consumer, 3 idle_ms, 4 count.
-- Takes over jobs whose worker has been silent for idle_ms. Returns {{entry id, times delivered, job}, ...}.
-- XAUTOCLAIM tells no delivery count and cannot tell a vanished entry from one that another worker just took.
local taken = {}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])) do
  local id = pending[1]
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if entry then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id)
    taken[#taken + 1] = {id, pending[4] + 1, entry[2][2]}
  else
    redis.call('XACK', KEYS[1], ARGV[1], id)
  end
end
return taken
