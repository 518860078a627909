#!/usr/bin/env ruby
# Stands for bin/rails in the recipe: Active Record with the application's config/database.yml, and nothing else of Rails.
require "logger"
require "yaml"
require "active_record"

ActiveRecord::Base.establish_connection(YAML.load_file("config/database.yml")["production"])

class Visit < ActiveRecord::Base
end

case ARGV[0]
when "db:prepare"

  ActiveRecord::Schema.define { create_table(:visits, if_not_exists: true) { |table| table.text :page } }
when "server"
  10.times { |page| Visit.create!(page: "page #{page}") }
  sleep
end
