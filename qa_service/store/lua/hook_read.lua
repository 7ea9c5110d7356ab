-- needs session.lua
-- ARGV: 1 seq, 2 message id ('' where there is none). Returns nil (no such session), or {its fields and values, the
-- message or nil, the event's fields and values}. Nothing slides.
local session = redis.call('HGETALL', SESSION)
if #session == 0 then return false end
local event = redis.call('XRANGE', LOG, ARGV[1] .. '-0', ARGV[1] .. '-0')[1]
return {session, ARGV[2] ~= '' and redis.call('HGET', MESSAGES, ARGV[2]), event and event[2] or {}}
