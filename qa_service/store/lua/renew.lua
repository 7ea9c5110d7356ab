-- KEYS: 1 queue. ARGV: 1 group, 2 consumer, then queue entries. Returns those that are still this consumer's.
-- Looked up first: XCLAIM alone would take back what another worker has taken over.
local kept = {}
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    kept[#kept + 1] = ARGV[i]
  end
end
return kept
