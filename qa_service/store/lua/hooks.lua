-- What the scripts of webhooks share. `hooks` is the hash of what endpoints want; beside it lie the deliveries, their
-- bodies, and for each endpoint sorted sets of delivery ids: all (by when it happened), due (by when it is tried next)
-- and done (by when it ended).
local function forget(hooks, endpoint, id)
  redis.call('HDEL', hooks .. ':deliveries', id)
  redis.call('HDEL', hooks .. ':bodies', id)
  for _, kind in ipairs({'all', 'due', 'done'}) do redis.call('ZREM', hooks .. ':' .. endpoint .. ':' .. kind, id) end
end

-- Removes the deliveries that a sorted set lists as 'endpoint id', by when they happened, and the set.
local function forget_listed(hooks, listed)
  for _, one in ipairs(redis.call('ZRANGE', listed, 0, -1)) do forget(hooks, string.match(one, '^(%S+) (%S+)$')) end
  redis.call('DEL', listed)
end
