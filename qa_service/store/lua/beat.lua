-- KEYS: 1 pointer (hash), 2 workers (sorted set: worker -> last seen), 3 ready (hash: worker -> version it has opened).
-- ARGV: 1 worker, 2 now_ms ('' takes Redis's own clock), 3 version it has ready ('' when none), 4 wanted version,
--       5 generator, 6 alive_ms, 7 forgotten_ms, 8 refusal ('' when none), 9 version it answers from ('' when none),
--       10 gather_ms.
-- A worker says that it lives and what it could answer from. Once every living worker is ready for the wanted version
-- it is committed, for all of them at once; the very first one as soon as anybody has it, because nobody answers yet.
-- Returns {committed version or '', 1 when this beat committed it}.
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local now, alive = tonumber(ARGV[2]) or clock(), tonumber(ARGV[6])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. (now - alive))) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('HDEL', KEYS[3], gone)
end
local nobody_lives = redis.call('ZCARD', KEYS[2]) == 0
redis.call('ZADD', KEYS[2], now, ARGV[1])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
else
  redis.call('HDEL', KEYS[3], ARGV[1])
end

local committed = redis.call('HGET', KEYS[1], 'version') or ''
local mine = 0
if committed == '' and ARGV[9] ~= '' then
  -- The pointer was forgotten while Redis was away, and this is what it said.
  committed = ARGV[9]
  redis.call('HSET', KEYS[1], 'version', committed)
end
if nobody_lives and committed ~= '' then
  -- After an outage, who comes back first must not decide without the others.
  redis.call('HSET', KEYS[1], 'gathering_until_ms', now + tonumber(ARGV[10]))
end
if ARGV[4] ~= '' and committed ~= ARGV[4] then
  local all = now >= tonumber(redis.call('HGET', KEYS[1], 'gathering_until_ms') or 0)
  for _, worker in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if redis.call('HGET', KEYS[3], worker) ~= ARGV[4] then all = false end
  end
  if all or committed == '' then
    committed, mine = ARGV[4], 1
    redis.call('HSET', KEYS[1], 'version', committed)
    redis.call('HDEL', KEYS[1], 'refused', 'refused_by')
  end
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'refused', ARGV[8], 'refused_by', ARGV[1])
else
  -- Only who refused takes it back, or whoever outlives it.
  local by = redis.call('HGET', KEYS[1], 'refused_by')
  if by and (by == ARGV[1] or not redis.call('ZSCORE', KEYS[2], by)) then
    redis.call('HDEL', KEYS[1], 'refused', 'refused_by')
  end
end
redis.call('HSET', KEYS[1], 'generator', ARGV[5], 'reported_at_ms', now, 'workers', redis.call('ZCARD', KEYS[2]))
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[7]) end
return {committed, mine}
