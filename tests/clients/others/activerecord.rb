# Active Record, the database layer of Rails, with its defaults.
require "logger"
require "active_record"
require_relative "protocol"

class Item < ActiveRecord::Base
  self.table_name = "item"
end

class Client
  def open(path)
    ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: path)
    ActiveRecord::Base.connection
  end

  def value(sql) = ActiveRecord::Base.connection.select_value(sql)
  def write(text) = Item.create!(body: text)
  def close = ActiveRecord::Base.connection_handler.clear_all_connections!
end

serve(Client.new)
