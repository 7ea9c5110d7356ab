-- What the scripts of a session share. KEYS 1 to 4 are always its hash, messages, log and waiting turns.
local SESSION, MESSAGES, LOG, TURNS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Whether a proof opens the session: its token's digest, 'uid:' and the uid that it belongs to, or 'client' where it
-- belongs to any. An unknown session has no token and opens to nobody.
local function opens(proof, token, uid)
  if not token then return false end
  if not uid or uid == '' then return proof == token end
  return proof == token or proof == 'client' or proof == 'uid:' .. uid
end

-- A uid's sessions are listed in a sorted set of the same slot, whose name the session's hash keeps as 'user'. It
-- outlives each of them, because one step lengthens both lives; the expired ones leave it a few at a time.
local function enlist(user, ttl_s)
  local at, folder, sid = redis.call('TIME')[1], string.match(SESSION, '^(.*:)([^:]*)$')
  for _, other in ipairs(redis.call('ZRANGE', user, 0, 3)) do
    if redis.call('EXISTS', folder .. other) == 0 then
      redis.call('ZREM', user, other)
    else
      redis.call('ZADD', user, at, other)
    end
  end
  redis.call('ZADD', user, at, sid)
  redis.call('EXPIRE', user, ttl_s)
end

-- The session's hash never outlives the others: one of them that expired alone would lose accepted questions.
-- At most once a minute (of 24 h): each EXPIRE is a write to the append-only file, and waiting clients read all the time.
local function slide(ttl_s)
  if redis.call('TTL', SESSION) > ttl_s - ttl_s / 1440 then return end
  for i = 1, 4 do redis.call('EXPIRE', KEYS[i], ttl_s) end
  local user = redis.call('HGET', SESSION, 'user')
  if user then enlist(user, ttl_s) end
end

-- What webhooks wait for goes into the outbox in the same step, with the endpoints that want it; only where to find it,
-- so that nothing is left of it when the session is erased.
local function tell_hooks(seq, event, name, id)
  local folder, sid = string.match(SESSION, '^(.*:)session:([^:]*)$')
  local wishes, wanted_by = redis.call('HGETALL', folder .. 'hooks'), {}
  for i = 1, #wishes, 2 do
    if string.find(wishes[i + 1], ' ' .. event .. ' ', 1, true) then wanted_by[#wanted_by + 1] = wishes[i] end
  end
  if #wanted_by == 0 then return end
  local mid = (name == 'm' or name == 'about') and id or ''
  local by = table.concat(wanted_by, ' ')
  redis.call('XADD', folder .. 'outbox', '*', 'sid', sid, 'seq', seq, 'e', event, 'm', mid, 'by', by)
end

-- The one place where a durable event comes into being. `seq` is the session's next number; the fields of the event
-- follow, its time (Unix milliseconds) last. The caller writes `seq` back to the session.
-- `m` is the message that a reader is given for the event; `about` names one that it is given elsewhere.
local function append(seq, event, ...)
  local time, fields = redis.call('TIME'), {'e', event, ...}
  fields[#fields + 1] = 't'
  fields[#fields + 1] = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
  redis.call('XADD', LOG, seq .. '-0', unpack(fields))
  tell_hooks(seq, event, ...)
end

local function fields_of(event)
  local field = {}
  for i = 1, #event[2], 2 do field[event[2][i]] = event[2][i + 1] end
  return field
end

local function is_pending(record)
  return record and string.sub(record, 1, 8) == 'pending\n'
end

-- Within JSON's texts each quote is escaped, so that this is the decision itself.
local function is_handoff(answer)
  return string.find(answer, '"decision":"handoff"', 1, true) ~= nil
end

-- Append an answer's end, and that it asks for a person where it does. Returns the newest seq.
local function append_answered(seq, event, reply, question, answer)
  append(seq, event, 'm', reply, 'q', question)
  if event ~= 'message.completed' or not is_handoff(answer) then return seq end
  append(seq + 1, 'handoff.requested', 'about', reply, 'why', 'customer-asked')
  return seq + 1
end

-- The running turn is over: the next one that waits goes into the queue.
local function advance(queue)
  local waiting = redis.call('LPOP', TURNS)
  if waiting then
    local reply, job = string.match(waiting, '^([^\n]*)\n(.*)$')
    redis.call('HSET', SESSION, 'running', reply, 'entry', redis.call('XADD', queue, '*', 'job', job))
  else
    redis.call('HDEL', SESSION, 'running', 'entry')
  end
end

-- What stands behind a name's line break is for who follows the session; nothing there says that its log has grown,
-- which wakes nobody who waits for a reply.
local function tell_followers(channel, sid)
  redis.call('PUBLISH', channel, sid .. '\n')
end

-- Drop the oldest events over `cap` with the messages they carry; stop at a question whose answer is still to come.
-- Returns the last dropped seq. The log has no gaps, so that its length is seq - floor.
local function trim(seq, floor, cap)
  for _, event in ipairs(redis.call('XRANGE', LOG, '-', '+', 'COUNT', seq - floor - cap)) do
    local field = fields_of(event)
    if field.r and is_pending(redis.call('HGET', MESSAGES, field.r)) then break end
    if field.m then redis.call('HDEL', MESSAGES, field.m, 'feedback:' .. field.m) end
    if field.k then redis.call('HDEL', MESSAGES, 'key:' .. field.k) end
    redis.call('XDEL', LOG, event[1])
    floor = tonumber(string.match(event[1], '^%d+'))
  end
  return floor
end
