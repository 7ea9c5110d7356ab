-- needs hooks.lua
-- KEYS: 1 what endpoints want, 2 a user's list of deliveries. Removes them, those of expired sessions among them.
forget_listed(KEYS[1], KEYS[2])
return 1
