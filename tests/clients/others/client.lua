-- LuaSQL's driver for SQLite. The protocol is that of ../python/protocol.py.
local environment = require("luasql.sqlite3").sqlite3()
local db

local function quoted(value)
    if value == nil then return "null" end
    if type(value) == "number" then return tostring(value) end
    return '"' .. tostring(value):gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n") .. '"'
end

local commands = {}

function commands.open(path)
    db = assert(environment:connect(path))
    return "{}"
end

function commands.value(sql)
    local cursor = assert(db:execute(sql))
    local value
    if type(cursor) ~= "number" then
        value = cursor:fetch()
        cursor:close()
    end
    return '{"value": ' .. quoted(value) .. "}"
end

function commands.write(number)
    local failed, why = 0, ""
    for at = 0, number - 1 do
        local done, wrong = db:execute("INSERT INTO item(body) VALUES('" .. ("row " .. at .. " "):rep(20) .. "')")
        if not done then
            failed = failed + 1
            if why == "" then why = wrong end
        end
    end
    return '{"failed": ' .. failed .. ', "why": ' .. quoted(why) .. "}"
end

function commands.close()
    db:close()
    return "{}"
end

io.stdout:setvbuf("line")
for line in io.lines() do
    local command, rest = line:match("^(%S+) ?(.*)$")
    local fine, said = pcall(commands[command], rest)
    print(fine and said or '{"error": ' .. quoted(said) .. "}")
end
