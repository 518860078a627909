// node-sqlite3-wasm: SQLite in WebAssembly with a VFS of its own.
import wasm from "node-sqlite3-wasm";
import { first, returnsRows, serve } from "./protocol.mjs";

let db;

serve({
  open(path) {
    db = new wasm.Database(path);
  },
  value(sql) {
    if (returnsRows(sql)) return first(db.get(sql));
    db.exec(sql);
    return null;
  },
  write: (text) => db.run("INSERT INTO item(body) VALUES(?)", [text]),
  close: () => db.close(),
});
