-- The heads of lanes, which will be told of from now on.
--
-- ARGV: 3 where to begin, as of ZRANGEBYLEX, 4 the most.
-- Answers {version, count, where to go on or '' at the end, key and need of the first lane, of the second ...}.
local from = ARGV[3]
local found = {}
for _ = 1, tonumber(ARGV[4]) do
    local first = call('ZRANGEBYLEX', lanes, from, '+', 'LIMIT', 0, 1)[1]
    if not first then
        from = ''
        break
    end
    local offset = string.sub(first, -8)
    local _, due, needs = head(call('HGET', rows, offset))
    call('ZADD', wakes[RANKED], due, offset)
    found[#found + 1] = string.sub(first, 5, -25)
    found[#found + 1] = string.format('%.0f', needs)
    from = '(' .. string.sub(first, 1, -25) .. string.rep('\255', 24)
end
local version, count
if #found > 0 then
    version, count = changed()
else
    version, count = unchanged()
end
return {version, count, from, found}
