-- KEYS: 1 dead letters. ARGV: 1 uid. Removes the letters of a user's sessions, those that have expired among them.
local removed = 0
for _, letter in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  if letter[2][9] == 'uid' and letter[2][10] == ARGV[1] then removed = removed + redis.call('XDEL', KEYS[1], letter[1]) end
end
return removed
