-- ARGV: 3 a kind, 4 the present (ms since the epoch), 5 the most.
-- Answers {version, count, rows whose time has come}.
local kind = tonumber(ARGV[3])
local offsets = call('ZRANGEBYSCORE', wakes[kind], '-inf', ARGV[4], 'LIMIT', 0, ARGV[5])
if #offsets == 0 then
    local version, count = unchanged()
    return {version, count, {}}
end
local found = {}
in_parts(offsets, function(...)
    for _, row in ipairs(call('HMGET', rows, ...)) do
        found[#found + 1] = row
    end
    call('ZREM', wakes[kind], ...)
    if kind ~= RANKED then
        call('SADD', taken, ...)
    end
end)
local version, count = changed()
return {version, count, found}
