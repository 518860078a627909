// Drizzle over better-sqlite3.
import Database from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { first, returnsRows, serve } from "./protocol.mjs";

const item = sqliteTable("item", { id: integer("id").primaryKey(), body: text("body") });
let client, db;

serve({
  open(path) {
    client = new Database(path);
    db = drizzle({ client });
  },
  value(sql) {
    if (returnsRows(sql)) return first(client.prepare(sql).get());
    client.exec(sql);
    return null;
  },
  write: (body) => db.insert(item).values({ body }).run(),
  close: () => client.close(),
});
