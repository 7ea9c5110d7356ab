-- needs session.lua
-- ARGV: 1 id of the question that is being answered, 2 how many turns, 3 how many events to look through.
-- Returns question, reply, question, reply ..., newest first. One turn runs at a time: what is completed came before.
local ids = {}
for _, event in ipairs(redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', ARGV[3])) do
  local field = event[2]
  if field[2] == 'message.completed' and field[6] ~= ARGV[1] and #ids < 2 * tonumber(ARGV[2]) then
    ids[#ids + 1], ids[#ids + 2] = field[6], field[4]
  end
end
return #ids > 0 and redis.call('HMGET', MESSAGES, unpack(ids)) or {}
