-- KEYS: a log for each limit. ARGV: 1 window_us, 2 longest clean-up; then for each log its quota, and 1 where it counts
-- (0: room is all that is asked for).
-- A log is a list of what was counted lately: microseconds by Redis's own clock, oldest first, at most `quota` of them.
-- While the oldest of a full log lies in the window there is no room, so that no window ever holds more than the quota.
-- Either all logs have room and count, or none counts.
-- Returns {1 or 0 (admitted), then for each log: what is left, milliseconds until the next one is given back}.
local window, admitted, time = tonumber(ARGV[1]), 1, redis.call('TIME')
local clock, looked = tonumber(time[1]) * 1000000 + tonumber(time[2]), {}
for i, log in ipairs(KEYS) do
  local quota, now = tonumber(ARGV[2 * i + 1]), clock
  local newest = tonumber(redis.call('LINDEX', log, -1) or 0)
  if newest > now + window then
    redis.call('DEL', log) -- the clock was set back by more than a window: what it said is worth nothing
  else
    now = math.max(now, newest)
  end
  local oldest, cleaned = tonumber(redis.call('LINDEX', log, 0)), 0
  while oldest and oldest <= now - window and cleaned < tonumber(ARGV[2]) do
    redis.call('LPOP', log)
    oldest, cleaned = tonumber(redis.call('LINDEX', log, 0)), cleaned + 1
  end
  local held = redis.call('LLEN', log)
  local over = held - quota -- not below 0 where there is no room; above it, where the quota was more a moment ago
  if over > 0 then oldest = tonumber(redis.call('LINDEX', log, over)) end
  if over >= 0 then admitted = 0 end
  looked[i] = {now = now, oldest = oldest, left = math.max(0, -over)}
end

local reply = {admitted}
for i, log in ipairs(KEYS) do
  local found = looked[i]
  if admitted == 1 and ARGV[2 * i + 2] == '1' then
    -- Lua's own way to write a number of this size would lose its last digits.
    redis.call('RPUSH', log, string.format('%.0f', found.now))
    -- Lives twice as long as it must, so that not every request has to write when it ends.
    if redis.call('PTTL', log) < window / 1000 then redis.call('PEXPIRE', log, math.ceil(window / 500)) end
    found.left, found.oldest = found.left - 1, found.oldest or found.now
  end
  reply[2 * i] = found.left
  reply[2 * i + 1] = found.oldest and math.ceil((found.oldest + window - found.now) / 1000) or 0
end
return reply
