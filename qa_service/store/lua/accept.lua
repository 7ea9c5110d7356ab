-- needs session.lua
-- KEYS: 5 queue, 6 cached answer (may be absent).
-- ARGV: 1 proof, 2 ttl_s, 3 question id, 4 reply id, 5 question header, 6 reply header, 7 idempotency key,
--       8 body digest, 9 normalised question, 10 job, 11 queue cap, 12 waiting cap, 13 log cap, 14 channel, 15 sid.
-- Returns nil (no such session), {refusal}, {'replayed', question, reply}, {'cached', seq, answer} or {'queued', seq};
-- seq is that of the answer's event, or of the question's. Everything is looked at before anything is written: a refusal leaves no trace.
local held = redis.call('HMGET', SESSION, 'token', 'seq', 'floor', 'owner', 'running', 'uid')
if not opens(ARGV[1], held[1], held[6]) then return false end
local seq, floor, running = tonumber(held[2]), tonumber(held[3]), held[5]

if ARGV[7] ~= '' then
  local earlier = redis.call('HGET', MESSAGES, 'key:' .. ARGV[7])
  if earlier then
    local question, reply, digest = string.match(earlier, '^(%S+) (%S+) (.*)$')
    if digest ~= ARGV[8] then return {'idempotency-key-reused'} end
    slide(ARGV[2])
    return {'replayed', unpack(redis.call('HMGET', MESSAGES, question, reply))}
  end
end

-- While a turn runs or a human owns the session, what a question means may depend on it: no cache.
local answer = false
if KEYS[6] and not running and held[4] == 'bot' then
  local cached = redis.call('GET', KEYS[6])
  local asked = ARGV[9] .. '\n'
  -- The key is a hash; only the whole question proves that it is the same one.
  if cached and string.sub(cached, 1, #asked) == asked then answer = string.sub(cached, #asked + 1) end
end
if not answer then
  -- The queue is the tenant's own and finished jobs are deleted: its length is the tenant's backlog, whoever was killed.
  if redis.call('XLEN', KEYS[5]) >= tonumber(ARGV[11]) then return {'queue-full'} end
  if running and redis.call('LLEN', TURNS) >= tonumber(ARGV[12]) then return {'too-many-pending'} end
end

seq = seq + 1
local event = {'m', ARGV[3], 'r', ARGV[4]}
local records = {ARGV[3], 'completed\n' .. seq .. '\n' .. ARGV[5] .. '\n', ARGV[4]}
if ARGV[7] ~= '' then
  event[#event + 1], event[#event + 2] = 'k', ARGV[7]
  records[5], records[6] = 'key:' .. ARGV[7], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[8]
end
-- Who erases the session forgets the cached answer as well: its record holds the question.
if KEYS[6] then event[#event + 1], event[#event + 2] = 'c', KEYS[6] end
append(seq, 'message.accepted', unpack(event))
local completed
if answer then
  completed = seq + 1
  seq = append_answered(completed, 'message.completed', ARGV[4], ARGV[3], answer)
  records[4] = 'completed\n' .. completed .. '\n' .. ARGV[6] .. '\n' .. answer
else
  records[4] = 'pending\n' .. seq .. '\n' .. ARGV[6] .. '\n'
end
redis.call('HSET', MESSAGES, unpack(records))
redis.call('EXPIRE', MESSAGES, ARGV[2]) -- it may be new, as may the list of turns below
if seq - floor > tonumber(ARGV[13]) then floor = trim(seq, floor, tonumber(ARGV[13])) end
redis.call('HSET', SESSION, 'seq', seq, 'floor', floor)

slide(ARGV[2])
if answer then
  redis.call('PUBLISH', ARGV[14], ARGV[15])
  return {'cached', completed, answer}
end
tell_followers(ARGV[14], ARGV[15])
-- One turn at a time: what the next question means may depend on this one's answer.
if running then
  redis.call('RPUSH', TURNS, ARGV[4] .. '\n' .. ARGV[10])
  redis.call('EXPIRE', TURNS, ARGV[2])
else
  redis.call('HSET', SESSION, 'running', ARGV[4], 'entry', redis.call('XADD', KEYS[5], '*', 'job', ARGV[10]))
end
return {'queued', seq}
