# The protocol of a client: see ../python/protocol.py.
require "json"

def write(client, number)
  failed, why = 0, ""
  number.times do |at|
    client.write("row #{at} " * 20)
  rescue StandardError => error
    failed += 1
    why = error.message if why.empty?
  end
  { failed: failed, why: why }
end

def serve(client)
  $stdout.sync = true
  $stdin.each_line(chomp: true) do |line|
    command, rest = line.split(" ", 2)
    answer = case command
             when "write" then write(client, rest.to_i)
             when "value" then { value: client.value(rest) }
             else rest ? client.public_send(command, rest) : client.public_send(command)
                  {}
             end
    puts JSON.generate(answer)
  rescue StandardError => error
    puts JSON.generate({ error: error.message })
  end
end
