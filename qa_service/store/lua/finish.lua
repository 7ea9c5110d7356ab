-- needs session.lua
-- KEYS: 5 queue, 6 partial text. ARGV: 1 ttl_s, 2 reply id, 3 state, 4 event, 5 answer, 6 group, 7 queue entry, 8 question id,
--       9 log cap, 10 channel, 11 sid.
-- Returns 1 when this call gave the answer, 0 when the session is gone, -1 when another had, or it was cancelled.
-- The answer is stored only while it is pending: a worker that wakes up late cannot answer twice.
local given = 0
local held = redis.call('HMGET', SESSION, 'seq', 'floor', 'running')
local record = held[1] and redis.call('HGET', MESSAGES, ARGV[2])
if is_pending(record) then
  local seq, floor, cap = tonumber(held[1]) + 1, tonumber(held[2]), tonumber(ARGV[9])
  local header = string.match(record, '^pending\n%d+\n([^\n]*)\n')
  redis.call('HSET', MESSAGES, ARGV[2], ARGV[3] .. '\n' .. seq .. '\n' .. header .. '\n' .. ARGV[5])
  seq = append_answered(seq, ARGV[4], ARGV[2], ARGV[8], ARGV[5])
  if seq - floor > cap then floor = trim(seq, floor, cap) end
  redis.call('HSET', SESSION, 'seq', seq, 'floor', floor)
  given = 1
end
if held[3] == ARGV[2] then advance(KEYS[5]) end
-- Last: when memory is full the first write above fails, and the job must still be there to be tried again.
redis.call('XACK', KEYS[5], ARGV[6], ARGV[7])
redis.call('XDEL', KEYS[5], ARGV[7])
if given == 1 then
  redis.call('DEL', KEYS[6])
  slide(ARGV[1])
  redis.call('PUBLISH', ARGV[10], ARGV[11])
end
if given == 0 and held[1] then return -1 end
return given
