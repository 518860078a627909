# The gem sqlite3, with its defaults.
require "sqlite3"
require_relative "protocol"

class Client
  def open(path) = @db = SQLite3::Database.new(path)
  def value(sql) = (@db.execute(sql).first || [nil]).first
  def write(text) = @db.execute("INSERT INTO item(body) VALUES(?)", [text])
  def close = @db.close
end

serve(Client.new)
