-- needs session.lua
-- KEYS: 5 queue, 6 partial text. ARGV: 1 proof, 2 ttl_s, 3 message id, 4 log cap, 5 channel, 6 sid.
-- Returns nil (no such session), or {message or nil} as it stands afterwards.
-- Only a pending message is cancelled; it keeps what was written. Whoever finishes it later writes nothing (finish.lua).
local held = redis.call('HMGET', SESSION, 'token', 'uid', 'seq', 'floor', 'running', 'entry')
if not opens(ARGV[1], held[1], held[2]) then return false end
local mid = ARGV[3]
local record = string.find(mid, '^%d+$') and redis.call('HGET', MESSAGES, mid)
if not is_pending(record) then
  slide(ARGV[2])
  return {record or false}
end

local seq, floor, cap = tonumber(held[3]) + 1, tonumber(held[4]), tonumber(ARGV[4])
local of, written = string.match(redis.call('GET', KEYS[6]) or '', '^(%d+) %d+\n(.*)$')
local answer = ''
if of == mid then answer = '{"text":' .. cjson.encode(written) .. ',"decision":"none"}' end
record = 'cancelled\n' .. seq .. '\n' .. string.match(record, '^pending\n%d+\n([^\n]*)\n') .. '\n' .. answer
redis.call('HSET', MESSAGES, mid, record)
append(seq, 'message.cancelled', 'm', mid)
if seq - floor > cap then floor = trim(seq, floor, cap) end
redis.call('HSET', SESSION, 'seq', seq, 'floor', floor)
if of == mid then redis.call('DEL', KEYS[6]) end

if held[5] == mid then
  -- Where a worker has the job already, its claim on what is gone means nothing to anybody.
  redis.call('XDEL', KEYS[5], held[6])
  advance(KEYS[5])
else
  for _, waiting in ipairs(redis.call('LRANGE', TURNS, 0, -1)) do
    if string.sub(waiting, 1, #mid + 1) == mid .. '\n' then redis.call('LREM', TURNS, 1, waiting) end
  end
end
slide(ARGV[2])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return {record}
