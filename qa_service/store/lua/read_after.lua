-- needs session.lua
-- ARGV: 1 proof, 2 ttl_s, 3 cursor, 4 limit.
-- Returns nil (no such session), {'cursor-invalid', newest seq}, {'cursor-expired', last dropped seq}, or
-- {'page', cursor to go on from, 1 when there is more, message ...}.
local held = redis.call('HMGET', SESSION, 'token', 'seq', 'floor', 'uid')
if not opens(ARGV[1], held[1], held[4]) then return false end
slide(ARGV[2])
local cursor, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
local newest, floor = tonumber(held[2]), tonumber(held[3])
if cursor > newest then return {'cursor-invalid', newest} end
if cursor < floor then return {'cursor-expired', floor} end
if cursor == newest then return {'page', cursor, 0} end

-- A few more than `limit`: events of the session itself carry no message.
local ids = {}
for _, event in ipairs(redis.call('XRANGE', LOG, (cursor + 1) .. '-0', '+', 'COUNT', limit + 4)) do
  local mid = event[2][3] == 'm' and event[2][4]
  if mid and #ids == limit then break end
  if mid then ids[#ids + 1] = mid end
  cursor = tonumber(string.match(event[1], '^%d+'))
end
local page = {'page', cursor, cursor < newest and 1 or 0}
if #ids > 0 then
  for _, record in ipairs(redis.call('HMGET', MESSAGES, unpack(ids))) do page[#page + 1] = record end
end
return page
