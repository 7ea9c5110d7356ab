-- KEYS: 1 dead letters, 2 the job's session (absent where it has none).
-- ARGV: 1 job, 2 reason, 3 deliveries, 4 at_ms, 5 letters kept.
-- Returns 1, or 0 when the session is gone: what is erased while it fails must not come back as a letter.
local uid = KEYS[2] and redis.call('HGET', KEYS[2], 'uid')
if KEYS[2] and not uid then return 0 end
local letter = {'job', ARGV[1], 'reason', ARGV[2], 'deliveries', ARGV[3], 'at_ms', ARGV[4]}
if uid and uid ~= '' then letter[9], letter[10] = 'uid', uid end
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[5], '*', unpack(letter))
return 1
