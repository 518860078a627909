// Turso's engine, written in Rust, in Node.
import { connect } from "@tursodatabase/database";
import { first, returnsRows, serve } from "./protocol.mjs";

let db;

serve({
  async open(path) {
    db = await connect(path);
  },
  async value(sql) {
    if (returnsRows(sql)) return first(await (await db.prepare(sql)).get());
    await db.exec(sql);
    return null;
  },
  write: async (text) => (await db.prepare("INSERT INTO item(body) VALUES(?)")).run(text),
  close: () => db.close(),
});
