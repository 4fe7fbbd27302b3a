-- ARGV: 3 what all members of the lane begin with, 4 how far the queue has been read, 5 the present (ms since
-- the epoch), 6 the most.
-- Answers {version, count, rows, what the head needs, when it is due}; the last two are '' unless there is a
-- head that is not given.
local read, now = tonumber(ARGV[4]), tonumber(ARGV[5])
local last = '[' .. ARGV[3] .. string.rep('\255', 24)
local waiting = call('ZRANGEBYLEX', lanes, '[' .. ARGV[3], last, 'LIMIT', 0, ARGV[6])
local found, offsets, members = {}, {}, {}
local first_due, first_needs
for at, member in ipairs(waiting) do
    local offset = string.sub(member, -8)
    local row = call('HGET', rows, offset)
    local _, due, needs = head(row)
    if at == 1 then
        first_due, first_needs = due, needs
    end
    if needs > read or due > now then
        break
    end
    found[at], offsets[at], members[at] = row, offset, member
end
if #found > 0 then
    in_parts(offsets, function(...)
        call('ZREM', wakes[RANKED], ...)
        call('SADD', taken, ...)
    end)
    in_parts(members, function(...)
        call('ZREM', lanes, ...)
    end)
    local version, count = changed()
    return {version, count, found, '', ''}
elseif #waiting == 0 then
    local version, count = unchanged()
    return {version, count, {}, '', ''}
end
local version, count
if first_due > now then
    call('ZADD', wakes[RANKED], first_due, string.sub(waiting[1], -8))
    version, count = changed()
else
    version, count = unchanged()
end
return {version, count, {}, string.format('%.0f', first_needs), string.format('%.0f', first_due)}
