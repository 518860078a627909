// Knex over better-sqlite3.
import knex from "knex";
import { first, serve } from "./protocol.mjs";

let db;

serve({
  open(filename) {
    db = knex({ client: "better-sqlite3", connection: { filename }, useNullAsDefault: true });
  },
  value: async (sql) => first([].concat(await db.raw(sql))[0]),
  write: (body) => db("item").insert({ body }),
  close: () => db.destroy(),
});
