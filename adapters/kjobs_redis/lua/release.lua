-- Give back the calls with the offsets from ARGV[3] on. Answers {version, count}.
for at = 3, #ARGV do
    put_back(name(ARGV[at]))
end
return {changed()}
