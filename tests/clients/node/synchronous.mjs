// Libraries with synchronous calls: better-sqlite3 and libsql (which has its interface), node:sqlite, bun:sqlite. The argument names one.
import { first, returnsRows, serve } from "./protocol.mjs";

const name = process.argv[2];
const module = await import(name);
const Database = { "node:sqlite": module.DatabaseSync, "bun:sqlite": module.Database }[name] ?? module.default;
let db;

serve({
  open(path) {
    db = new Database(path);
  },
  value(sql) {
    if (returnsRows(sql)) return first(db.prepare(sql).get());
    db.exec(sql);
    return null;
  },
  write(text) {
    db.prepare("INSERT INTO item(body) VALUES(?)").run(text);
  },
  close() {
    db.close();
  },
});
