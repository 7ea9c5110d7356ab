-- needs session.lua
-- KEYS: 5 partial text. ARGV: 1 proof, 2 ttl_s, 3 cursor, 4 limit.
-- Returns nil (no such session), {'cursor-invalid', newest seq}, {'cursor-expired', last dropped seq}, or
-- {'page', cursor to go on from, 1 when there is more, the session's fields and values, partial text, event ...},
-- each event as {seq, its fields and values, its message}.
local held = redis.call('HMGET', SESSION, 'token', 'seq', 'floor', 'uid')
if not opens(ARGV[1], held[1], held[4]) then return false end
slide(ARGV[2])
local cursor = tonumber(ARGV[3])
local newest, floor = tonumber(held[2]), tonumber(held[3])
if cursor > newest then return {'cursor-invalid', newest} end
if cursor < floor then return {'cursor-expired', floor} end

local events = {}
if cursor < newest then
  for _, event in ipairs(redis.call('XRANGE', LOG, (cursor + 1) .. '-0', '+', 'COUNT', ARGV[4])) do
    local mid = fields_of(event).m
    cursor = tonumber(string.match(event[1], '^%d+'))
    events[#events + 1] = {cursor, event[2], mid and redis.call('HGET', MESSAGES, mid) or false}
  end
end
local session, partial = redis.call('HGETALL', SESSION), redis.call('GET', KEYS[5])
return {'page', cursor, cursor < newest and 1 or 0, session, partial, unpack(events)}
