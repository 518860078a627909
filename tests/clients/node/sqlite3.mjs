// node-sqlite3, which calls back.
import sqlite3 from "sqlite3";
import { first, serve } from "./protocol.mjs";

let db;
const called = (start) => new Promise((done, fail) => start((error, row) => (error ? fail(error) : done(row))));

serve({
  open: (path) => called((back) => (db = new sqlite3.Database(path, back))),
  value: async (sql) => first(await called((back) => db.get(sql, back))),
  write: (text) => called((back) => db.run("INSERT INTO item(body) VALUES(?)", [text], back)),
  close: () => called((back) => db.close(back)),
});
