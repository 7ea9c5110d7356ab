-- needs session.lua hooks.lua
-- KEYS: 5 queue, 6 dead letters, 7 partial text, 8 sessions of the user who asks (absent where none does).
-- ARGV: 1 proof, 2 channel, 3 sid.
-- Removes the session with its messages, its waiting turns, its job, its dead letters and its deliveries. A worker that
-- has the job in hand finishes it into nothing: finish.lua writes only where a session is.
-- Returns nil (no such session), or {cached answer, question, cached answer, question ...} for what it asked.
local held = redis.call('HMGET', SESSION, 'token', 'uid', 'entry', 'user')
if not opens(ARGV[1], held[1], held[2]) then
  if KEYS[8] and not held[1] then redis.call('ZREM', KEYS[8], ARGV[3]) end
  return false
end
local asked = {}
for _, event in ipairs(redis.call('XRANGE', LOG, '-', '+')) do
  local field = fields_of(event)
  local question = field.c and redis.call('HGET', MESSAGES, field.m)
  if question then asked[#asked + 1], asked[#asked + 2] = field.c, question end
end
if held[3] then redis.call('XDEL', KEYS[5], held[3]) end
local named = '"sid":"' .. ARGV[3] .. '"'
for _, letter in ipairs(redis.call('XRANGE', KEYS[6], '-', '+')) do
  if string.find(letter[2][2], named, 1, true) then redis.call('XDEL', KEYS[6], letter[1]) end
end
if held[4] then redis.call('ZREM', held[4], ARGV[3]) end
local folder = string.match(SESSION, '^(.*:)session:')
forget_listed(folder .. 'hooks', folder .. 'hooked:' .. ARGV[3])
redis.call('DEL', SESSION, MESSAGES, LOG, TURNS, KEYS[7])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return asked
