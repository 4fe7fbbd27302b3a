-- Take the calls with the offsets from ARGV[3] on. Answers {version, count}.
for at = 3, #ARGV do
    local offset = name(ARGV[at])
    local row = call('HGET', rows, offset)
    if row then
        local kind, _, _, member = head(row)
        call('ZREM', wakes[kind], offset)
        call('SADD', taken, offset)
        if kind == RANKED then
            call('ZREM', lanes, member)
        end
    end
end
return {changed()}
