-- needs session.lua
-- KEYS: 5 partial text. ARGV: 1 message id, 2 attempt (0: begin one), 3 the attempt before it, 4 bytes and
-- 5 characters before the piece, 6 piece, 7 ttl_s, 8 channel, 9 sid.
-- Returns the attempt; 0 when nobody wants the text any more: its message is not pending, or another worker writes it;
-- -1 when what was written has expired.
local mid, attempt = ARGV[1], tonumber(ARGV[2])
if not is_pending(redis.call('HGET', MESSAGES, mid)) then return 0 end
local held = redis.call('GETRANGE', KEYS[5], 0, 63) -- an id has 20 digits at most
local of, number = string.match(held, '^(%d+) (%d+)\n')
if attempt == 0 then
  attempt = math.max(of == mid and tonumber(number) or 0, tonumber(ARGV[3])) + 1
  redis.call('SET', KEYS[5], mid .. ' ' .. attempt .. '\n' .. ARGV[6], 'EX', ARGV[7])
elseif not of then
  return -1
else
  local head = mid .. ' ' .. attempt .. '\n'
  if string.sub(held, 1, #head) ~= head then return 0 end
  if redis.call('STRLEN', KEYS[5]) ~= #head + tonumber(ARGV[4]) then return 0 end
  redis.call('APPEND', KEYS[5], ARGV[6])
  redis.call('EXPIRE', KEYS[5], ARGV[7])
end
local piece = {kind = 'piece', message_id = mid, attempt = attempt, offset = tonumber(ARGV[5]), text = ARGV[6]}
redis.call('PUBLISH', ARGV[8], ARGV[9] .. '\n' .. cjson.encode(piece))
return attempt
