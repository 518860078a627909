# The gem sqlite3: ruby.rb EXTENSION URI
require "sqlite3"
extension, uri = ARGV
loader = SQLite3::Database.new(":memory:")
loader.enable_load_extension(true)
loader.load_extension(extension)
flags = SQLite3::Constants::Open::READONLY | SQLite3::Constants::Open::URI
read = SQLite3::Database.new(uri, flags: flags)
puts read.execute("SELECT seawall_txid(), count(*), sum(length(payload)) FROM item")[0].join("|")
