-- needs session.lua
-- ARGV: 1 proof, 2 ttl_s, 3 message id, 4 value, 5 reason, 6 log cap, 7 channel, 8 sid.
-- Returns nil (no such session), {'message-not-found'}, {'not-an-answer'}, or {'kept', 1 when it is news}.
local held = redis.call('HMGET', SESSION, 'token', 'uid', 'seq', 'floor')
if not opens(ARGV[1], held[1], held[2]) then return false end
slide(ARGV[2])
local mid = ARGV[3]
local record = string.find(mid, '^%d+$') and redis.call('HGET', MESSAGES, mid)
if not record then return {'message-not-found'} end
-- Within JSON's texts each quote is escaped: this is the message's own role.
local header = string.match(record, '^completed\n%d+\n([^\n]*)\n')
if not header or not string.find(header, '"role":"bot"', 1, true) then return {'not-an-answer'} end
local kept = ARGV[4] .. '\n' .. ARGV[5]
if redis.call('HGET', MESSAGES, 'feedback:' .. mid) == kept then return {'kept', 0} end

local seq, floor, cap = tonumber(held[3]) + 1, tonumber(held[4]), tonumber(ARGV[6])
redis.call('HSET', MESSAGES, 'feedback:' .. mid, kept)
append(seq, 'feedback.received', 'about', mid, 'v', ARGV[4], 'why', ARGV[5])
if seq - floor > cap then floor = trim(seq, floor, cap) end
redis.call('HSET', SESSION, 'seq', seq, 'floor', floor)
tell_followers(ARGV[7], ARGV[8])
return {'kept', 1}
