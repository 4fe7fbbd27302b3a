-- Take in what the log says: all of it, as nothing can fail once something is written but for a lack of rights,
-- after which the sizes are not what they should be.
--
-- ARGV: 3 the new position, or '' to leave it; 4 '1' if all of the log is known with it; then of every change: its offset, the offset of what it ends or
-- goes on from, or '', its id, and the row, or '' for an end.
-- Answers {version, count, ids that survived, keys of lanes from which calls were taken out}.
local survivors, keys, touched = {}, {}, {}

local function take_out(offset, id)
    local row = call('HGET', rows, offset)
    local kind, _, _, member = head(row)
    call('ZREM', wakes[kind], offset)
    call('SREM', taken, offset)
    if member ~= '' then
        local index, place = index_of_rank(member)
        call('ZREM', index, place)
    end
    if kind == RANKED then
        call('ZREM', lanes, member)
        local key = string.sub(member, 5, -25)
        if not touched[key] then
            touched[key] = true
            keys[#keys + 1] = key
        end
    end
    call('HDEL', rows, offset)
    call('ZREM', ids, id)
end

local function put_in(number, id, row)
    local offset = name(number)
    local kind, due, _, member = head(row)
    call('HSET', rows, offset, row)
    call('ZADD', ids, number, id)
    if member ~= '' then
        local index, place = index_of_rank(member)
        call('ZADD', index, 0, place)
    end
    if kind == RANKED then
        call('ZADD', lanes, 0, member)
    end
    -- What is parked behind another is asked for when its turn has come.
    if kind ~= RANKED or due > 0 then
        call('ZADD', wakes[kind], due, offset)
    end
end

-- As kjobs.core.deferred.unaware: a row with a lower offset all the same puts a call in anew.
local function is_unaware(existing, number, of)
    local _, _, _, _, since = head(call('HGET', rows, name(existing)))
    return of < 0 and since >= 0 and since < number and number < existing
end

for at = 5, #ARGV, 4 do
    local number, of, id, row = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
    local existing = tonumber(call('ZSCORE', ids, id) or -1)
    local counts = existing < number
    if existing < 0 then
        counts = row ~= ''
    elseif counts and of and of >= 0 and of < existing then
        survivors[#survivors + 1] = id
        counts = false
    elseif not counts and row ~= '' and is_unaware(existing, number, of) then
        survivors[#survivors + 1] = id
        counts = true
    end
    if counts and existing >= 0 then
        take_out(name(existing), id)
    end
    if counts and row ~= '' then
        put_in(number, id, row)
    end
end
if ARGV[3] ~= '' then
    call('HSET', state, 'position', ARGV[3])
    if ARGV[4] == '1' then
        call('HSET', state, 'seen_ms', now_ms())
    end
end
local version, count = changed()
return {version, count, survivors, keys}
