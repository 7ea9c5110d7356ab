-- KEYS: 1 what endpoints want. ARGV: 1 endpoint id, 2 revision, 3 the events it wants, each between blanks.
-- An older revision changes nothing, so that whoever brings one late does no harm. Returns 1 or 0.
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and tonumber(string.match(held, '^%d+')) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ARGV[3])
return 1
